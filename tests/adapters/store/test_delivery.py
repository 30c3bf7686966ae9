"""From a step's note to Grafana, over a real Redis and real sockets, whoever dies in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest

from app.adapters.grafana import GrafanaAnnotations
from app.adapters.store import open_store
from app.controller.courier import Courier
from app.controller.telemetry import Telemetry
from app.domain.decision import Verdict
from app.domain.message import Message
from app.domain.remediation import Attempt
from app.policies import annotation
from app.ports import Entry, Store
from tests.adapters.far_side import eventually
from tests.adapters.grafana_api import TOKEN, Grafana, running_grafana
from tests.adapters.store.builders import at, attempt, remediation, step
from tests.adapters.store.server import RedisServer

pytestmark = pytest.mark.redis

ACTED = attempt(acted_at=at(61))
JUDGED = attempt(acted_at=at(61), verdict=Verdict.RECOVERED, finished_at=at(400))
SOON = timedelta(milliseconds=200)


def leaving(one: Attempt) -> Entry:
    record = remediation(attempts=(one,))
    told = annotation.message(record, one, external_url="https://relevo.example")
    assert told is not None
    return Entry(remediation=record, due=None, outbox=(told,))


@pytest.fixture
async def grafana() -> AsyncIterator[Grafana]:
    async with running_grafana() as one:
        yield one


@dataclass
class Site:
    """A store, and who carries what steps leave in it."""

    store: Store
    courier: Courier

    async def step(self, seconds: float, entry: Entry) -> None:
        await step(self.store, seconds, entry)
        self.courier.wake()


class Dying(GrafanaAnnotations):
    """Its process is killed at the very moment after a delivery."""

    async def deliver(self, message: Message) -> None:
        """See `app.ports.MessageSink`."""
        await super().deliver(message)
        await asyncio.Event().wait()


@asynccontextmanager
async def controller(
    url: str,
    grafana: Grafana,
    *,
    token: str = TOKEN,
    telemetry: Telemetry | None = None,
    sink: type[GrafanaAnnotations] = GrafanaAnnotations,
) -> AsyncIterator[Site]:
    """Run a courier over a store; leaving this is a crash."""
    async with open_store(url) as store, httpx.AsyncClient() as client:
        courier = Courier(
            store.outbox,
            sink(grafana.url, token, client, limit=SOON),
            telemetry or Telemetry(),
            first_wait=timedelta(milliseconds=10),
        )
        task = asyncio.create_task(courier.run())
        try:
            yield Site(store, courier)
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def is_empty(site: Site) -> bool:
    return (await site.store.outbox.waiting(limit=1)).number == 0


def regions(grafana: Grafana) -> list[tuple[int, bool]]:
    """How long each annotation is, in seconds, and whether it has a verdict."""
    return [
        ((end - begun) // 1000, any(tag.startswith("verdict:") for tag in tags))
        for tags, begun, end in grafana.told()
    ]


async def test_killed_between_the_note_and_the_delivery(
    server: RedisServer, grafana: Grafana
) -> None:
    async with open_store(server.url) as store:
        await step(store, 0, leaving(ACTED))
        await step(store, 400, leaving(JUDGED))
    assert grafana.annotations == {}

    async with controller(server.url, grafana) as site:
        await eventually(lambda: is_empty(site))

    assert regions(grafana) == [(340, True)]


@pytest.mark.parametrize("entry", [leaving(ACTED), leaving(JUDGED)], ids=["acted", "judged"])
async def test_killed_between_the_delivery_and_its_end(
    server: RedisServer, grafana: Grafana, entry: Entry
) -> None:
    async with open_store(server.url) as store:
        await step(store, 0, entry)
    async with controller(server.url, grafana, sink=Dying) as site:
        await eventually(lambda: _has(grafana, 1))
        assert not await is_empty(site)
    before = grafana.told()

    async with controller(server.url, grafana) as site:
        await eventually(lambda: is_empty(site))

    assert grafana.told() == before
    assert len(grafana.asked) >= 4  # it was delivered a second time


async def test_a_crash_of_redis_loses_no_message(server: RedisServer, grafana: Grafana) -> None:
    grafana.status = 503
    async with controller(server.url, grafana) as site:
        await site.step(0, leaving(ACTED))
        server.kill()
        grafana.status = None
        server.start()

        await eventually(lambda: _has(grafana, 1))
        await eventually(lambda: is_empty(site))


async def test_grafana_away_and_back(server: RedisServer, grafana: Grafana) -> None:
    await grafana.stop()
    async with controller(server.url, grafana) as site:
        await site.step(0, leaving(ACTED))
        await grafana.start()
        await site.step(400, leaving(JUDGED))
        await eventually(lambda: is_empty(site))

    assert regions(grafana) == [(340, True)]


@pytest.mark.parametrize("status", [500, 401, 429])
async def test_grafana_ill_and_well(server: RedisServer, grafana: Grafana, status: int) -> None:
    grafana.status = status
    async with controller(server.url, grafana) as site:
        await site.step(0, leaving(ACTED))
        await eventually(lambda: _was_asked(grafana, 3))
        assert not await is_empty(site)
        grafana.status = None
        await eventually(lambda: is_empty(site))

    assert regions(grafana) == [(0, False)]


async def test_a_token_that_is_renewed(server: RedisServer, grafana: Grafana) -> None:
    async with controller(server.url, grafana, token="old") as site:
        await site.step(0, leaving(ACTED))
        await eventually(lambda: _was_asked(grafana, 2))
        grafana.token = "old"
        await eventually(lambda: is_empty(site))

    assert len(grafana.annotations) == 1


async def test_a_tarpit_keeps_no_note_waiting(server: RedisServer, grafana: Grafana) -> None:
    grafana.hangs = True
    async with controller(server.url, grafana) as site:
        async with asyncio.timeout(12):  # a hundred waits for Grafana would take 20 s
            for number in range(100):
                await site.step(400 * number, leaving(attempt(number, acted_at=at(61))))
        await eventually(lambda: _was_asked(grafana, 2))
        await grafana.stop()
        grafana.hangs = False
        await grafana.start()
        await eventually(lambda: is_empty(site))

    assert len(grafana.annotations) == 100


async def test_a_message_that_grafana_refuses_is_counted_and_the_next_is_delivered(
    server: RedisServer, grafana: Grafana
) -> None:
    telemetry = Telemetry()
    grafana.status = 400
    async with controller(server.url, grafana, telemetry=telemetry) as site:
        await site.step(0, leaving(ACTED))
        await eventually(lambda: is_empty(site))
        grafana.status = None
        await site.step(400, leaving(JUDGED))
        await eventually(lambda: is_empty(site))

    assert regions(grafana) == [(340, True)]
    labels = {"kind": "annotation", "reason": "refused"}
    assert telemetry.registry.get_sample_value("relevo_outbox_dropped_total", labels) == 1


async def test_a_message_that_grafana_stumbles_over_holds_no_other_up(
    server: RedisServer, grafana: Grafana
) -> None:
    grafana.stumbles_over = "/remediations/ill"
    async with open_store(server.url) as store:
        for number in range(12):
            one = attempt(number, acted_at=at(61))
            record = remediation("ill" if number == 0 else "r1", attempts=(one,))
            told = annotation.message(record, one, external_url="https://relevo.example")
            assert told is not None
            entry = Entry(remediation=record, due=None, outbox=(told,))
            await step(store, 400 * number, entry)

    async with controller(server.url, grafana) as site:
        await eventually(lambda: is_empty(site))

    assert len(grafana.annotations) == 11


async def test_two_couriers_at_once_lead_to_one_story_each(
    server: RedisServer, grafana: Grafana
) -> None:
    async with open_store(server.url) as store:
        for number in range(30):
            one = attempt(number, acted_at=at(61), verdict=Verdict.EXITED, finished_at=at(99))
            await step(store, 400 * number, leaving(one))

    async with controller(server.url, grafana), controller(server.url, grafana) as site:
        await eventually(lambda: is_empty(site))

    # Never fewer; one that both deliver at the same moment may be there twice, told alike.
    tags = {tuple(one[0]) for one in grafana.told()}
    assert len(tags) == 30
    assert set(regions(grafana)) == {(39, True)}


async def _has(grafana: Grafana, number: int) -> bool:
    return len(grafana.annotations) >= number


async def _was_asked(grafana: Grafana, times: int) -> bool:
    return len(grafana.asked) >= times
