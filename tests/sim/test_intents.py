"""Attempts and charges, where an intent arrives after its writer has given up."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from random import Random

import pytest

from app.domain.remediation import State
from app.errors import StoreUnavailable
from app.policies.spec import Rulebook
from app.ports import Claim, Store
from tests.adapters.store.builders import claimed, limits
from tests.builders import START, attempt, remediation
from tests.parts import require
from tests.sim.audit import EVERY, Audit
from tests.sim.backend import Backend, MemoryBackend
from tests.sim.backend_redis import RedisBackend, server, stop_server
from tests.sim.chaos import Chaos
from tests.sim.daemon import Daemon
from tests.sim.fleet import Fleet
from tests.sim.intents import WatchedRecords
from tests.sim.loop import VirtualLoop
from tests.sim.process import Process
from tests.sim.prometheus import Prometheus
from tests.sim.trace import Trace
from tests.sim.ward import Ward
from tests.sim.watch import Watch
from tests.sim.weather import CALL_S, Weather, Wire

_LEASE = timedelta(seconds=90)
_ATTEMPT = attempt(intent_at=START, acted_at=None, started_after=None)
_RECORD = remediation(state=State.ACTING, target="host:web", attempts=(_ATTEMPT,))


class _Slow(Random):
    """What is late is as late as can be."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Stage:
    """A checker, and the records of one process behind the wire."""

    def __init__(self, backend: str) -> None:
        self.loop = loop = VirtualLoop()
        asyncio.set_event_loop(loop)
        self.wire = Wire(loop, _Slow(1))
        self._backend: Backend = (
            RedisBackend(self.wire, loop, server())
            if backend == "redis"
            else MemoryBackend(self.wire, loop)
        )
        self.broken: list[tuple[str, str]] = []
        self._trace = Trace(loop, tell=None)
        self.watch: Watch
        self.truth: Store
        self.claim: Claim
        self.records: WatchedRecords
        loop.run_until_complete(self._begin())

    async def _begin(self) -> None:
        loop, trace = self.loop, self._trace
        daemon = Daemon(loop, Random(1), trace)
        prometheus = Prometheus(loop, Ward(loop, daemon, Random(1), trace), trace)

        def fail(rule: str, what: str) -> None:
            self.broken.append((rule, what))

        self.truth = await self._backend.truth()
        self.watch = Watch(
            loop,
            trace,
            truth=self.truth,
            daemon=daemon,
            prometheus=prometheus,
            rulebook=Rulebook(),
            slack=0.0,
            fail=fail,
        )
        chaos, fleet = object.__new__(Chaos), object.__new__(Fleet)  # asked for liveness alone
        Audit(
            loop,
            watch=self.watch,
            chaos=chaos,
            fleet=fleet,
            daemon=daemon,
            prometheus=prometheus,
            fail=fail,
            liveness=False,
        )
        store = await self._backend.view()
        await store.leadership.look()  # from here on the server knows all scripts
        process = Process("c1", 1, loop, trace)
        process.now = daemon.moment
        self.records = WatchedRecords(self.watch, process, store.records)
        self.claim = await claimed(self.truth, target=_RECORD.target)

    def intend(self, weather: Weather) -> None:
        """Write the intent of the attempt, with no answer."""
        self.wire.weather = weather
        with pytest.raises(StoreUnavailable):
            self.loop.run_until_complete(
                self.records.intend(
                    self.claim, _RECORD, now=START, lease=_LEASE, limits=limits(_ATTEMPT.id)
                )
            )
        self.wire.weather = Weather()

    def charge_again(self) -> None:
        """Charge the attempt a second time, by another name."""
        twice = self.truth.records.intend(
            self.claim, _RECORD, now=START, lease=_LEASE, limits=limits(f"{_ATTEMPT.id}+")
        )
        self.loop.run_until_complete(twice)

    def charges(self) -> int:
        """Count what is charged."""
        since = START - timedelta(minutes=1)
        return len(self.loop.run_until_complete(self.truth.failures.charged(since=since)))

    def audit(self) -> list[tuple[str, str]]:
        """Let the checker look at all; answer the rules that are broken."""
        self.loop.later(EVERY + 1.0, self.loop.stop)
        self.loop.run_forever()
        return self.broken

    def close(self) -> None:
        """End."""
        self._backend.close()
        asyncio.set_event_loop(None)
        self.loop.close()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    if request.param == "redis":
        require("redis")
    stage = Stage(request.param)
    yield stage
    stage.close()
    if request.param == "redis":
        stop_server()


def test_what_is_written_after_its_writer_gave_up_is_an_attempt(stage: Stage) -> None:
    stage.intend(Weather(late=1.0))

    assert stage.charges() == 0
    assert stage.loop.now == pytest.approx(CALL_S)
    assert stage.audit() == []
    assert stage.charges() == 1
    assert set(stage.watch.intents) == {_ATTEMPT.id}


def test_what_is_never_written_is_no_attempt(stage: Stage) -> None:
    stage.intend(Weather(lost_request=1.0))

    assert stage.audit() == []
    assert stage.charges() == 0
    assert not stage.watch.intents


@pytest.mark.parametrize("weather", [Weather(late=1.0), Weather(lost_reply=1.0)])
def test_a_second_charge_for_one_attempt_is_seen(stage: Stage, weather: Weather) -> None:
    stage.intend(weather)
    stage.charge_again()

    assert stage.audit() == [("I5", "2 charges for 1 attempts")]
