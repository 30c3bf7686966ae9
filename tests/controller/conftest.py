"""A house in virtual time, with and without an API to ask."""

from datetime import timedelta

import pytest

from tests.builders import START, listed_alert
from tests.controller.house import House, VirtualClock, build
from tests.fakes import FakeAlertmanager, FakeEngine, FakePrometheus, web
from tests.memory_store import make_store


@pytest.fixture
async def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def engine(clock: VirtualClock) -> FakeEngine:
    fake = FakeEngine(clock)
    fake.run(web())
    return fake


@pytest.fixture
async def house(clock: VirtualClock, engine: FakeEngine) -> House:
    """A controller without any API: it follows the notices."""
    return build(make_store(), clock, engine)


@pytest.fixture
async def alertmanager(clock: VirtualClock) -> FakeAlertmanager:
    return FakeAlertmanager(up_since=START - timedelta(days=1), alerts=[listed_alert()])


@pytest.fixture
async def watched(clock: VirtualClock, engine: FakeEngine, alertmanager: FakeAlertmanager) -> House:
    """A controller that can ask Alertmanager and Prometheus."""
    return build(make_store(), clock, engine, alerts=alertmanager, samples=FakePrometheus(clock))
