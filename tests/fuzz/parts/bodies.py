"""
What may be posted at the webhook: 4xx, or set aside; never 5xx, and never told back.

The real application, called through its ASGI interface, over a store in memory.
"""

import asyncio
import json
from collections.abc import Mapping
from random import Random
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from app.api.app import create_app
from app.api.deps import Scope
from tests.api.conftest import parts_of
from tests.controller.house import House, VirtualClock, build
from tests.fakes import FakeEngine, web
from tests.fuzz import soup
from tests.fuzz.tally import Tally
from tests.memory_store import make_store

#: A store in memory keeps all that it was told: it is a new one after so many cases.
_LIVES: Final = 1000
#: One in so many is made by hypothesis.
_SHRUNK: Final = 20
_TOKEN: Final = "a-token-of-some-length"
_WITHIN_S: Final = 30.0

ALERT: Final[Mapping[str, Any]] = {
    "status": "firing",
    "labels": {"alertname": "ContainerHighCPU", "engine": "host1", "name": "web"},
    "annotations": {"summary": "97 %", "relevo_settle": "240"},
    "startsAt": "2026-11-22T09:59:30Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus.test/graph",
    "fingerprint": "f00d",
}
NOTIFICATION: Final[Mapping[str, Any]] = {
    "version": "4",
    "groupKey": "{}:{}",
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "relevo",
    "groupLabels": {},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager.test",
    "alerts": [dict(ALERT), dict(ALERT) | {"status": "resolved", "fingerprint": "beef"}],
}
_RAW: Final = soup.written(NOTIFICATION)
#: (status, fields of the head, body)
Answer = tuple[int, dict[str, str], bytes]


class Webhook:
    """The application, and a way to post at it without a client in between."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._app = create_app(parts_of(house, {Scope.INGEST: [_TOKEN]}))

    @classmethod
    async def open(cls) -> "Webhook":
        """Have one over an empty store, which may be written to."""
        clock = VirtualClock()
        engine = FakeEngine(clock)
        engine.run(web())
        house = build(make_store(), clock, engine)
        await house.tenure.beat()
        return cls(house)

    async def post(self, raw: bytes) -> Answer:
        """Post a body at the webhook, as Alertmanager does."""
        heads = {
            "host": "127.0.0.1:5000",
            "content-type": "application/json",
            "authorization": f"Bearer {_TOKEN}",
            "content-length": str(len(raw)),
        }
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/api/v1/webhooks/alertmanager",
            "raw_path": b"/api/v1/webhooks/alertmanager",
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), one.encode()) for name, one in heads.items()],
            "client": ("127.0.0.1", 4000),
            "server": ("127.0.0.1", 5000),
        }
        sent: list[dict[str, Any]] = []
        said = iter([{"type": "http.request", "body": raw, "more_body": False}])

        async def receive() -> dict[str, Any]:
            return next(said, None) or {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(dict(message))

        async with asyncio.timeout(_WITHIN_S):
            await self._app(scope, receive, send)
        begun = sent[0]
        told = {name.decode().lower(): one.decode() for name, one in begun["headers"]}
        return begun["status"], told, b"".join(one.get("body", b"") for one in sent[1:])


def fault_of(answer: Answer) -> str | None:
    """Say what is wrong with an answer to something hostile; None where nothing is."""
    status, told, body = answer
    if status >= 500:
        return f"answers {status}"
    if soup.MARK.encode() in body or soup.DIGITS[:50].encode() in body:
        return f"tells back what was sent, with a {status}"
    if b"Traceback" in body or len(body) > 2000:
        return f"says too much, with a {status}"
    found = json.loads(body)
    if status == 202:
        return None if all(isinstance(one, int) for one in found.values()) else "counts oddly"
    if status not in (400, 413, 415, 422):
        return f"answers {status}"
    if told["content-type"] != "application/problem+json" or found["status"] != status:
        return f"answers {status} in a form of its own"
    return None


def body_of(chance: Random) -> bytes:
    """Make a body: a notification that is wrong somewhere, or bytes that were one."""
    kind = chance.random()
    if kind < 0.45:
        return soup.written(soup.spoilt(chance, NOTIFICATION))
    if kind < 0.6:
        alert = soup.spoilt(chance, ALERT, chance.randrange(1, 4))
        return soup.written({"version": "4", "alerts": [alert, ALERT]})
    if kind < 0.7:
        labels = {soup.text(chance): soup.text(chance) for _ in range(chance.choice((1, 5, 70)))}
        alert = dict(ALERT) | {"labels": dict(ALERT["labels"]) | labels}
        return soup.written({"version": "4", "alerts": [alert, ALERT]})
    if kind < 0.72:
        large = {"name": "x" * chance.choice((2048, 2049, 100_000))}
        alert = dict(ALERT) | {"labels": dict(ALERT["labels"]) | large}
        return soup.written({"version": "4", "alerts": [alert]})
    if kind < 0.75:
        return soup.written(soup.value(chance, 6))
    return soup.mutated(chance, _RAW)


def fuzz(tally: Tally, cases: int) -> None:
    """Post bodies."""
    with asyncio.Runner() as runner:
        _posted(tally, runner, cases - cases // _SHRUNK)
        _made(tally, runner, cases // _SHRUNK, first=cases)


def _posted(tally: Tally, runner: asyncio.Runner, cases: int) -> None:
    async def some(numbers: list[int]) -> None:
        webhook = await Webhook.open()
        for number in numbers:
            await _try(tally, webhook, number, body_of(tally.chance(number)))

    todo = list(tally.numbers(cases))
    for start in range(0, len(todo), _LIVES):
        runner.run(some(todo[start : start + _LIVES]))


async def _try(tally: Tally, webhook: Webhook, number: int, raw: bytes) -> None:
    with tally.case(number, raw):
        answer = await webhook.post(raw)
        tally.outcomes[str(answer[0])] += 1
        fault = fault_of(answer)
        if fault is not None:
            tally.find(number, fault, raw)


_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["version", "alerts", "status", "labels", "annotations", "startsAt"])
            | st.sampled_from(["endsAt", "fingerprint", "truncatedAlerts", "groupKey", "receiver"])
            | st.text(max_size=8),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)
_ALERTS: Final = st.lists(
    st.fixed_dictionaries(
        {
            "status": st.sampled_from(["firing", "resolved"]) | _JSON,
            "labels": st.dictionaries(
                st.sampled_from(["alertname", "name", "engine"]) | st.text(max_size=8),
                st.text(max_size=30) | _JSON,
                max_size=6,
            ),
            "startsAt": st.datetimes().map(lambda at: f"{at.isoformat()}Z") | _JSON,
            "fingerprint": st.text(max_size=8) | _JSON,
        },
        optional={"endsAt": st.text(max_size=30) | _JSON, "annotations": _JSON},
    ),
    max_size=3,
)


def _made(tally: Tally, runner: asyncio.Runner, cases: int, first: int) -> None:
    """The same, by hypothesis, whose examples shrink; a number stands for all of them."""
    if cases < 1 or (tally.only is not None and tally.only != first):
        return
    webhook = runner.run(Webhook.open())

    @seed(tally.seed)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.fixed_dictionaries({"version": st.sampled_from(["4", "1"]), "alerts": _ALERTS})
        | _JSON
        | st.binary(max_size=60)
    )
    def one(made: Any) -> None:
        raw = made if isinstance(made, bytes) else soup.written(made)
        runner.run(_try(tally, webhook, first, raw))

    one()
