"""
What the controllers were told of each alert: all that one without an API can know.

An end can be left out of a notification, and is not sent again (`max_alerts` of a receiver):
such an alert is believed in until its notices have expired (semantics, section 6). So a rule that
goes by the truth is wrong here in both directions; these go by the notices, to the second.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.alert import Alert, AlertStatus
from tests.builders import ENGINE
from tests.sim.alertmanager import Post
from tests.sim.daemon import Daemon
from tests.sim.loop import VirtualLoop


@dataclass(slots=True)
class _Firing:
    """The last firing notice of an alert, of the latest of its lives."""

    life: datetime | None = None
    #: Since when this life is known, and when it was told last.
    since: float = 0.0
    at: float = 0.0

    def hear(self, life: datetime, now: float) -> None:
        if self.life is None or life > self.life:
            self.life, self.since = life, now
        self.at = now


@dataclass(slots=True)
class _Heard:
    """One alert."""

    name: str
    root: str
    #: Sent, and perhaps kept: its answer may be lost.
    sent: _Firing = field(default_factory=_Firing)
    #: Answered: it is kept.
    kept: _Firing = field(default_factory=_Firing)
    #: The latest life whose end was answered, and since when that is known.
    ended: datetime | None = None
    ended_at: float = -1e9
    #: The latest life whose end was sent, and when first: kept perhaps, its answer lost.
    ending: datetime | None = None
    ending_at: float = -1e9


class Told:
    """See the module. Alerts of a clone are those of the container that it was made of."""

    def __init__(self, loop: VirtualLoop, daemon: Daemon, *, expiry_s: float) -> None:
        self._loop = loop
        self._daemon = daemon
        self._expiry_s = expiry_s
        self._alerts: dict[str, _Heard] = {}

    def around(self, post: Post) -> Post:
        """Listen to what is handed over."""

        async def listened(alerts: list[Alert], truncated: int) -> int:
            self._sending(alerts)
            status = await post(alerts, truncated)
            if status // 100 == 2:
                self._answered(alerts)
            return status

        return listened

    def _sending(self, alerts: Sequence[Alert]) -> None:
        for alert in self._ours(alerts):
            heard = self._heard(alert)
            if alert.status is AlertStatus.FIRING:
                heard.sent.hear(alert.starts_at, self._loop.now)
            elif heard.ending is None or alert.starts_at > heard.ending:
                heard.ending, heard.ending_at = alert.starts_at, self._loop.now

    def _answered(self, alerts: Sequence[Alert]) -> None:
        for alert in self._ours(alerts):
            heard = self._heard(alert)
            if alert.status is AlertStatus.FIRING:
                heard.kept.hear(alert.starts_at, self._loop.now)
            elif heard.ended is None or alert.starts_at > heard.ended:
                life = heard.sent.life
                if life is not None and (heard.ended is None or life > heard.ended):
                    heard.ended_at = self._loop.now  # else nobody has believed in it lately
                heard.ended = alert.starts_at

    def over_since(self, root: str) -> float | None:
        """Since when nobody may believe that it is ill; None: somebody may."""
        latest = -1e9
        for heard in self._of(root):
            until = self._until(heard, heard.sent)
            if until > self._loop.now:
                return None
            latest = max(latest, until)
        return latest

    def perhaps_over_since(self, root: str) -> float | None:
        """Since when it may be believed that it is over; None: nobody may believe that now."""
        if self.over_since(root) is None:
            return None
        return max(
            (
                min(self._until(heard, heard.sent), heard.ending_at)
                if heard.ending is not None and heard.ending == heard.sent.life
                else self._until(heard, heard.sent)
                for heard in self._of(root)
            ),
            default=-1e9,
        )

    def ill_since(self, root: str) -> float | None:
        """Since when everybody must know that it is ill; None: nobody must."""
        known = [
            heard.kept.since
            for heard in self._of(root)
            if self._until(heard, heard.kept) > self._loop.now and self._is_there(heard)
        ]
        return min(known, default=None)

    def _is_there(self, heard: _Heard) -> bool:
        """Whether the container that was meant has not left: a clone may, and be followed."""
        is_here = self._daemon.named(heard.name) is not None
        return is_here and self._daemon.named_at[heard.name] <= heard.kept.at

    def believed_until(self) -> float:
        """When all that was told is over, if nothing more is told."""
        return max((self._until(one, one.sent) for one in self._alerts.values()), default=-1e9)

    def _until(self, heard: _Heard, firing: _Firing) -> float:
        """When it is over: its end was told, or its last notice expires."""
        if firing.life is None:
            return -1e9
        if heard.ended is not None and heard.ended >= firing.life:
            return heard.ended_at
        return firing.at + self._expiry_s

    def _of(self, root: str) -> list[_Heard]:
        return [heard for heard in self._alerts.values() if heard.root == root]

    @staticmethod
    def _ours(alerts: Sequence[Alert]) -> list[Alert]:
        return [alert for alert in alerts if alert.labels["engine"] == ENGINE]

    def _heard(self, alert: Alert) -> _Heard:
        heard = self._alerts.get(alert.fingerprint)
        if heard is None:
            name = alert.labels["name"]
            one = self._daemon.named(name)
            root = one.labels.get("relevo.clone-of", name) if one is not None else name
            heard = self._alerts[alert.fingerprint] = _Heard(name, root)
        return heard
