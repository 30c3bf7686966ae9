"""
An Alertmanager as far as Relevo sees one: strict where the real one is.

* A group is sent again until it is answered 2xx, or dropped for good by anything but a 5xx
  (measured on the real one); its state at that time is what is sent.
* "Resolved" is sent only to those who have taken "firing".
* Firing alerts are repeated, and listed by its API v2; resolved ones are not.

With several addresses each is a receiver's own webhook, as for a pair of controllers.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from types import TracebackType
from typing import Any, Final, Self

import httpx
from aiohttp import web

from app.adapters.clock import LoopClock

#: Between two tries: the real one starts with half a second, and grows.
_FIRST_RETRY_S: Final = 0.5
_LONGEST_RETRY_S: Final = 4.0
#: Of one request: Alertmanager's own floor of a context, ten seconds.
_PATIENCE_S: Final = 10.0
#: How often a firing alert is sent again (Alertmanager: four hours; a run is shorter).
_REPEAT_S: Final = 20.0
WEBHOOK: Final = "/api/v1/webhooks/alertmanager"
_NEVER: Final = "0001-01-01T00:00:00Z"


@dataclass(eq=False, kw_only=True)
class Alert:
    """One alert on one container, and how its deliveries went."""

    labels: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None = None
    #: Receiver -> when it took "firing", and "resolved", for the first time.
    firing_taken: dict[str, datetime] = field(default_factory=dict)
    resolved_taken: dict[str, datetime] = field(default_factory=dict)
    #: Receivers that answered neither 2xx nor 5xx: Alertmanager sends it to them no more.
    dropped: dict[str, int] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def fingerprint(self) -> str:
        """Of its labels, as Alertmanager identifies it."""
        text = "\n".join(f"{name}={value}" for name, value in sorted(self.labels.items()))
        return sha256(text.encode()).hexdigest()[:16]

    @property
    def taken_at(self) -> datetime | None:
        """When somebody answered 2xx for the first time; None: nobody yet."""
        return min(self.firing_taken.values(), default=None)

    @property
    def end_taken_at(self) -> datetime | None:
        """When somebody took its end; None: nobody yet."""
        return min(self.resolved_taken.values(), default=None)

    def written(self) -> dict[str, Any]:
        """As part of a notification."""
        return {
            "status": "firing" if self.ends_at is None else "resolved",
            "labels": self.labels,
            "annotations": {},
            "startsAt": self.starts_at.isoformat(),
            "endsAt": _NEVER if self.ends_at is None else self.ends_at.isoformat(),
            "generatorURL": "http://prometheus/graph",
            "fingerprint": self.fingerprint,
        }


def notification(alerts: Sequence[Alert], *, group: str) -> dict[str, Any]:
    """Write a notification of a group."""
    firing = any(alert.ends_at is None for alert in alerts)
    return {
        "version": "4",
        "groupKey": f'{{}}:{{name="{group}"}}',
        "truncatedAlerts": 0,
        "status": "firing" if firing else "resolved",
        "receiver": "relevo",
        "groupLabels": {"name": group},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": [alert.written() for alert in alerts],
    }


class Pager:
    """See the module."""

    def __init__(self, receivers: Sequence[str]) -> None:
        """
        Prepare; nothing is sent yet.

        :param receivers: base URLs of controllers
        """
        self.receivers = tuple(receivers)
        self._clock = LoopClock()
        self._up_since = self._clock.now() - timedelta(hours=1)
        self._alerts: list[Alert] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        self._http = httpx.AsyncClient(timeout=_PATIENCE_S)
        app = web.Application()
        app.router.add_get("/api/v2/status", self._status)
        app.router.add_get("/api/v2/alerts", self._list)
        app.router.add_post("/api/v2/alerts", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._runner is not None
        await self._runner.cleanup()
        await self._http.aclose()

    def fire(self, labels: dict[str, str]) -> Alert:
        """Let an alert begin to fire."""
        alert = Alert(labels=labels, starts_at=self._clock.now())
        self._alerts.append(alert)
        for receiver in self.receivers:
            task = asyncio.create_task(self._tell(alert, receiver))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return alert

    def list_only(self, alerts: Sequence[Alert]) -> None:
        """Let alerts fire that somebody else tells of: here they are only listed."""
        self._alerts += alerts

    def resolve(self, alert: Alert) -> None:
        """Let it end."""
        if alert.ends_at is None:
            alert.ends_at = self._clock.now()
            alert.changed.set()
            alert.changed = asyncio.Event()  # one for each receiver's wait of now
            self._alerts.remove(alert)

    async def _tell(self, alert: Alert, receiver: str) -> None:
        """Tell one receiver of one alert, until it knows of its end."""
        pause = _FIRST_RETRY_S
        while True:
            changed = alert.changed
            is_end = alert.ends_at is not None
            if is_end and receiver not in alert.firing_taken:
                return  # never told that it fired: nothing to take back
            status = await self._post(alert, receiver)
            if status is not None and 200 <= status < 300:
                taken = alert.resolved_taken if is_end else alert.firing_taken
                taken.setdefault(receiver, self._clock.now())
                if is_end:
                    return
                pause, wait = _FIRST_RETRY_S, _REPEAT_S
            elif status is not None and status < 500:
                alert.dropped[receiver] = status
                return
            else:
                wait, pause = pause, min(pause * 1.5, _LONGEST_RETRY_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), wait)

    async def _post(self, alert: Alert, receiver: str) -> int | None:
        body = notification([alert], group=alert.labels["name"])
        try:
            return (await self._http.post(f"{receiver}{WEBHOOK}", json=body)).status_code
        except httpx.HTTPError:
            return None

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "uptime": self._up_since.isoformat(),
                "config": {"original": "route: {receiver: relevo}\nreceivers: [{name: relevo}]\n"},
                "versionInfo": {"version": "0.28.1"},
                "cluster": {"status": "disabled", "peers": []},
            }
        )

    async def _list(self, _: web.Request) -> web.Response:
        now = self._clock.now().isoformat()
        watchdog = {"alertname": "RelevoWatchdog"}
        listed = [(watchdog, self._up_since, "nobody")]
        listed += [(alert.labels, alert.starts_at, "relevo") for alert in self._alerts]
        return web.json_response(
            [
                {
                    "fingerprint": Alert(labels=labels, starts_at=since).fingerprint,
                    "labels": labels,
                    "annotations": {},
                    "receivers": [{"name": receiver}],
                    "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
                    "startsAt": since.isoformat(),
                    "updatedAt": now,
                    "endsAt": now,
                    "generatorURL": "http://prometheus/graph",
                }
                for labels, since, receiver in listed
            ]
        )

    async def _take(self, _: web.Request) -> web.Response:
        return web.json_response({})
