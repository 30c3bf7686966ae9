"""What operators stop stays stopped, and each look at a target shows it."""

import pytest

from app.domain.control import Brake, Halt
from app.ports import Store
from tests.adapters.store.builders import (
    WEB,
    WINDOW,
    at,
    casefile,
    failed,
    halt,
    just_before,
    read,
)

DAY = 24 * 3600


async def test_at_first_nothing_is_stopped(store: Store) -> None:
    assert await store.controls.pause() is None
    assert await store.controls.holds() == {}
    assert await store.controls.brake() == Brake()


@pytest.mark.parametrize("one", [halt(), halt(until=60)], ids=["endless", "with-an-end"])
async def test_a_pause_lasts_until_it_is_ended(store: Store, one: Halt) -> None:
    await store.controls.set_pause(halt(since=-5))
    await store.controls.set_pause(one)

    assert await store.controls.pause() == one
    # Whoever reads decides whether it is over.
    assert (await read(store, 61)).pause == one

    for _ in range(2):
        await store.controls.set_pause(None)
        assert await store.controls.pause() is None
        assert (await read(store, 61)).pause is None


@pytest.mark.parametrize("one", [halt(), halt(until=60)], ids=["endless", "with-an-end"])
async def test_a_hold_is_of_one_target(store: Store, one: Halt) -> None:
    await store.controls.set_hold(WEB, halt(since=-5))
    await store.controls.set_hold(WEB, one)
    await store.controls.set_hold("host:db|1", halt(since=7))
    await store.controls.set_pause(halt())

    assert await store.controls.holds() == {WEB: one, "host:db|1": halt(since=7)}
    assert (await read(store, 61)).hold == one
    assert (await read(store, 61, target="host:db|1")).hold == halt(since=7)
    assert (await read(store, 61, target="host:other")).hold is None

    for _ in range(2):
        await store.controls.set_hold(WEB, None)
        assert await store.controls.holds() == {"host:db|1": halt(since=7)}
        assert (await read(store, 61)).hold is None


async def test_a_hold_is_forgotten_a_day_after_its_end(store: Store) -> None:
    await store.controls.set_hold("host:ended", halt(until=60))
    await store.controls.set_hold("host:endless", halt())

    await store.controls.set_hold(WEB, halt(since=60 + DAY, until=61))
    assert set(await store.controls.holds()) == {"host:ended", "host:endless", WEB}

    await store.controls.set_hold("host:new", halt(since=60.001 + DAY))
    assert set(await store.controls.holds()) == {"host:endless", WEB, "host:new"}


async def test_a_hold_that_is_over_as_it_is_set_is_told(store: Store) -> None:
    await store.controls.set_hold(WEB, halt(since=2 * DAY, until=60))

    assert set(await store.controls.holds()) == {WEB}


async def test_the_brake_is_as_it_was_set(store: Store) -> None:
    for brake in (
        Brake(engaged_at=at(60), failing=4),
        Brake(engaged_at=at(60), failing=4, cleared_at=at(90)),
        Brake(cleared_at=at(90)),
        Brake(),
    ):
        await store.controls.set_brake(brake)

        assert await store.controls.brake() == brake
        assert (await read(store, 100)).brake == brake


async def test_a_look_counts_the_failing_targets_in_the_brakes_window(store: Store) -> None:
    await failed(store, "r1:1", 0)
    await failed(store, "r1:2", 10)
    await failed(store, "r2:1", 20, target="host:db")

    async def failing(moment: float) -> int:
        dossier = await store.records.read(
            WEB, group="host:g", now=at(moment), window=WINDOW / 60, brake_window=WINDOW
        )
        return dossier.failing

    assert [await failing(moment) for moment in (9, 19, 20, 3609, 3610, 3620)] == [0, 1, 2, 2, 1, 0]


async def test_what_failed_before_the_brake_was_cleared_no_longer_counts(store: Store) -> None:
    await failed(store, "r1:1", 10)
    await failed(store, "r2:1", 20, target="host:db")

    async def failing() -> int:
        seen = (await read(store, 30)).failing
        brake = await store.controls.brake()
        counted = await store.failures.failing_targets(
            now=at(30), window=WINDOW, after=brake.cleared_at
        )
        assert counted == seen
        return seen

    for cleared, expected in (
        (None, 2),
        (just_before(at(10)), 2),
        (at(10), 1),
        (just_before(at(20)), 1),
        (at(20), 0),
        (None, 2),
    ):
        await store.controls.set_brake(Brake(cleared_at=cleared))
        assert await failing() == expected


async def test_a_brake_cleared_before_the_window_changes_nothing(store: Store) -> None:
    await failed(store, "r1:1", 0)
    await store.controls.set_brake(Brake(cleared_at=just_before(at(0))))

    assert (await read(store, 3599)).failing == 1
    assert (await read(store, 3600)).failing == 0
    after = just_before(at(0))
    assert await store.failures.failing_targets(now=at(3600), window=WINDOW, after=after) == 0


async def test_a_case_file_is_read_back_as_it_was_kept(store: Store) -> None:
    await store.casefiles.keep("r1:1", casefile())
    await store.casefiles.keep("r1:2", casefile(logs=(), exit_code=137, oom_killed=True))

    assert await store.casefiles.of("r1:1") == casefile()
    assert await store.casefiles.of("r1:2") == casefile(logs=(), exit_code=137, oom_killed=True)
    assert await store.casefiles.of("r1:3") is None


async def test_a_case_file_may_be_kept_again(store: Store) -> None:
    await store.casefiles.keep("r1:1", casefile())
    await store.casefiles.keep("r1:1", casefile(restart_count=3))

    assert await store.casefiles.of("r1:1") == casefile(restart_count=3)
