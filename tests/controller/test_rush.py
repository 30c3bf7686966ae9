"""How soon news are looked at: alone at once, in a storm together, and never not at all."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uvloop

from app.controller.rush import AT_ONCE, MANY, Rush
from app.domain.alert import AlertStatus
from app.ports import Dossier
from tests.builders import alert
from tests.controller.house import VirtualClock, build, pass_time
from tests.fakes import FakeEngine, web
from tests.memory_store import make_store

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
_LATER = timedelta(milliseconds=300)


def after(notifications: int, *, at: datetime = NOON, rush: Rush | None = None) -> Rush:
    """One that has counted so many."""
    rush = rush or Rush(lambda: None)
    for _ in range(notifications):
        rush.is_on(at)
    return rush


@pytest.mark.parametrize(
    ("before", "now", "is_on"),
    [
        pytest.param(0, NOON, False, id="the-first"),
        pytest.param(MANY - 1, NOON + _LATER, False, id="the-last-of-few"),
        pytest.param(MANY, NOON + _LATER, True, id="one-of-many"),
        pytest.param(MANY + 1, NOON + timedelta(seconds=1), True, id="the-storm-goes-on"),
        pytest.param(MANY + 1, NOON + timedelta(seconds=2), False, id="the-storm-is-over"),
        pytest.param(MANY + 1, NOON - timedelta(seconds=9), False, id="the-clock-was-set-back"),
    ],
)
def test_what_is_a_storm(before: int, now: datetime, is_on: bool) -> None:
    assert after(before).is_on(now) is is_on


def test_many_at_the_same_moment_are_a_storm_from_their_beginning() -> None:
    rush = Rush(lambda: None)
    taking = [rush.one_more() for _ in range(AT_ONCE + 1)]
    for one in taking:
        one.__enter__()

    assert rush.is_on(NOON)

    taking[0].__exit__(None, None, None)
    assert not rush.is_on(NOON)


@pytest.mark.parametrize("ms", [0, 1, 499, 999])
def test_a_target_has_one_turn_in_two_seconds(ms: int) -> None:
    rush = Rush(lambda: None)
    now = NOON + timedelta(milliseconds=ms)
    turns = {rush.turn(f"host:web-{number}", now) for number in range(200)}

    assert all(now < turn <= now + timedelta(seconds=2) for turn in turns)
    assert len(turns) > 100, "not all at the same instant"
    for turn in turns:
        assert turn == turn.replace(microsecond=turn.microsecond // 1000 * 1000)
    assert rush.turn("host:web", now + timedelta(seconds=8)) == rush.turn(
        "host:web", now
    ) + timedelta(seconds=8)


@pytest.mark.looptime
async def test_who_looks_is_woken_for_the_first_of_them() -> None:
    woken: list[float] = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    rush = Rush(lambda: woken.append(loop.time() - began))
    soon = NOON + timedelta(seconds=1)

    rush.kept(None, NOON)
    for _ in range(3):
        rush.kept(soon, NOON + _LATER)
    rush.kept(soon - _LATER, NOON + _LATER)
    rush.kept(soon, NOON + _LATER)
    await pass_time(seconds=5)
    rush.kept(soon + timedelta(seconds=5), NOON + timedelta(seconds=5.5))
    await pass_time(seconds=5)

    assert woken == pytest.approx([0, 0.4, 5.5])


def test_what_is_due_already_is_one_with_what_is_due_then() -> None:
    woken = 0

    async def main() -> None:
        is_woken = asyncio.Event()

        def wake() -> None:
            nonlocal woken
            woken += 1
            is_woken.set()

        rush = Rush(wake)
        for _ in range(3):
            rush.kept(NOON, NOON)
        await is_woken.wait()

    uvloop.run(main())

    assert woken == 1


@pytest.mark.looptime
async def test_the_ends_of_many_that_are_gone_leave_connections_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`docker compose down`: each end is looked up, and all come at once."""
    clock = VirtualClock()
    engine = FakeEngine(clock)
    engine.run(web())
    house = build(make_store(), clock, engine)
    await house.take(alert())
    engine.inside.clear()
    await pass_time(seconds=5)
    most = now = 0
    read = house.store.records.read

    async def watched(target: str, **more: Any) -> Dossier:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return await read(target, **more)

    monkeypatch.setattr(house.store.records, "read", watched)
    over = alert(status=AlertStatus.RESOLVED)

    counts = await asyncio.gather(*(house.take(over) for _ in range(100)))

    assert {one.resolved for one in counts} == {1}
    assert 1 < most <= 16
