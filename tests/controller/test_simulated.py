"""What a simulation tells is what the whole controller does, in virtual time."""

import asyncio
from datetime import timedelta
from typing import Final

import pytest

from app.domain.alert import AlertStatus
from app.domain.remediation import State
from app.policies.simulate import TROUBLES, Scenario, simulate
from app.policies.simulate_world import Doings
from app.policies.spec import Policy, RestartRules, Rulebook, ScaleOutRules, Strategy
from tests.builders import START, alert
from tests.controller.house import House, VirtualClock, build, working
from tests.fakes import FakeEngine
from tests.memory_store import make_store

pytestmark = pytest.mark.looptime

MINUTE: Final = timedelta(minutes=1)
HOURS: Final = timedelta(hours=2)
#: Seconds between two looks at the trouble, and what an act may lag behind for each before it.
EVERY: Final = 5
LATE: Final = 25
#: What the simulation calls an act, and the engine.
ACTS: Final = {"restart": "restart", "scale_out": "clone"}
ENDS: Final = {"escalate": State.QUARANTINED, "close": State.CLOSED}


async def suffer(house: House, scenario: Scenario) -> None:
    """Send notices as the trouble comes and goes."""
    is_active = False
    while house.clock.now() < START + HOURS:
        now = house.clock.now()
        acts = {what: house.engine.done(what) for what in ("restart", "clone")}
        stories = await house.stories()
        closed = [story.closed_at for story in stories if story.closed_at is not None]
        doings = Doings(
            restarts=len(acts["restart"]),
            scale_outs=len(acts["clone"]),
            acted_at=max((*acts["restart"], *acts["clone"]), default=None),
            closed_at=max(closed, default=None),
        )
        if TROUBLES[scenario](doings, now) is not is_active:
            is_active = not is_active
            status = AlertStatus.FIRING if is_active else AlertStatus.RESOLVED
            await house.take(alert(status=status, starts_at=now))
        await asyncio.sleep(EVERY)


@pytest.mark.parametrize("scenario", list(Scenario))
@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(Policy(), id="as-shipped"),
        pytest.param(Policy(strategy=Strategy.SCALE_FIRST), id="scale-first"),
        pytest.param(Policy(strategy=Strategy.RELIEVE_FIRST), id="relieve-first"),
        pytest.param(
            Policy(strategy=Strategy.RELIEVE_FIRST, scale_out=ScaleOutRules(enabled=False)),
            id="relieve-first-without-scale-out",
        ),
        pytest.param(Policy(scale_out=ScaleOutRules(enabled=False)), id="no-scale-out"),
        pytest.param(
            Policy(restart=RestartRules(delays=(3 * MINUTE,), max_failed=2)), id="two-failures"
        ),
    ],
)
async def test_the_controller_does_what_the_simulation_tells(
    clock: VirtualClock, engine: FakeEngine, policy: Policy, scenario: Scenario
) -> None:
    house = build(make_store(), clock, engine, rulebook=Rulebook(defaults=policy))
    told = [step for step in simulate(policy, scenario) if step.at < HOURS]

    async with working(house):
        await suffer(house, scenario)

    expected = [(step.at.total_seconds(), step.what) for step in told if step.what in ACTS]
    done = sorted((at, what) for what, act in ACTS.items() for at in house.since_start(act))
    for number, (one, other) in enumerate(zip(done, expected, strict=False), start=1):
        assert one[1] == other[1]
        # Notices come later here, and wake the controller between two looks.
        assert abs(one[0] - other[0]) <= number * LATE
    if told[-1].what in ENDS:
        assert len(done) == len(expected)
        assert (await house.story()).state is ENDS[told[-1].what]
    else:
        assert len(done) >= len(expected) - 1  # the last one may lag behind the end
