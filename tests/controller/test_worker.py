"""The loop, in virtual time: fair, patient, and not to be ended by one bad target."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.controller.pace import MOST_STEPS
from app.controller.telemetry import Telemetry
from app.controller.worker import LEASE, MAX_IDLE, RETRY, Step, Worker
from app.errors import LeaseLost, StoreUnavailable
from app.ports import Claim, Claimed, Entry, Notice
from tests.builders import START, alert, at
from tests.controller.house import VirtualClock, pass_time
from tests.memory_store import MemoryStore

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(20)]

LEASE_S = LEASE.total_seconds()
IDLE_S = MAX_IDLE.total_seconds()
RETRY_S = RETRY.total_seconds()


class Flaky:
    """A schedule that does not answer as often as it is told to."""

    def __init__(self, store: MemoryStore, *errors: Exception) -> None:
        self._store = store
        self.errors = list(errors)
        #: When it was asked, in seconds since the start.
        self.asked: list[float] = []
        self.renewed: list[float] = []
        self.renew_errors: list[Exception] = []
        self.released: list[str] = []

    async def claim(self, *, now: datetime, **more: Any) -> Claimed:
        """See `app.ports.Schedule`."""
        self.asked.append((now - START).total_seconds())
        if self.errors:
            raise self.errors.pop(0)
        return await self._store.claim(now=now, **more)

    async def renew(
        self, claims: Sequence[Claim], *, now: datetime, lease: timedelta
    ) -> tuple[Claim, ...]:
        """See `app.ports.Schedule`."""
        self.renewed.append((now - START).total_seconds())
        if self.renew_errors:
            raise self.renew_errors.pop(0)
        return await self._store.renew(claims, now=now, lease=lease)

    async def requeue(self, claim: Claim, *, due: datetime, forget_lost: bool = True) -> None:
        """See `app.ports.Schedule`."""
        await self._store.requeue(claim, due=due, forget_lost=forget_lost)

    async def release(
        self, claims: Sequence[Claim], *, due: datetime, forget_lost: bool = False
    ) -> None:
        """See `app.ports.Schedule`."""
        self.released += [claim.target for claim in claims]
        await self._store.release(claims, due=due, forget_lost=forget_lost)

    async def overdue(self, *, now: datetime) -> timedelta:
        """See `app.ports.Schedule`."""
        return await self._store.overdue(now=now)

    async def nudge(self, targets: Sequence[str], *, now: datetime) -> None:
        """See `app.ports.Schedule`."""
        await self._store.nudge(targets, now=now)


class Ward:
    """A store, a worker, and what its steps did."""

    def __init__(self, *, errors: Sequence[Exception] = (), parallel: int = 64) -> None:
        self.store = MemoryStore()
        self.schedule = Flaky(self.store, *errors)
        self.telemetry = Telemetry()
        #: (target, when it began), in seconds since the start.
        self.ran: list[tuple[str, float]] = []
        self.ended: list[tuple[str, float]] = []
        #: What a step does besides being noted.
        self.within: Callable[[Claim], Awaitable[None]] | None = None
        self.clock = VirtualClock()
        self.worker = Worker(
            self.schedule, self.clock, self.step, self.telemetry, parallel=parallel
        )

    def since_start(self) -> float:
        return (self.clock.now() - START).total_seconds()

    async def step(self, claim: Claim, now: datetime) -> None:
        """A step that is handed the time of its claim, and gives the claim back."""
        assert now == self.clock.now()
        self.ran.append((claim.target, self.since_start()))
        if self.within is not None:
            await self.within(claim)
        await self.store.note(claim, Entry(remediation=None, due=None), now=self.clock.now())
        self.ended.append((claim.target, self.since_start()))

    async def due(self, target: str, seconds: float) -> None:
        """Have a target due so long after the start: something new is told of it then."""
        news = alert(fingerprint=f"{target} {seconds}")
        await self.store.accept([Notice(target=target, alert=news)], [], now=at(seconds))

    def errors_of(self, name: str) -> float:
        found = self.telemetry.registry.get_sample_value(
            "relevo_step_errors_total", {"error": name}
        )
        return found or 0

    @asynccontextmanager
    async def working(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.worker.run())
        try:
            yield task
            if task.done() and not task.cancelled():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_runs_each_step_at_its_due_time() -> None:
    ward = Ward()
    await ward.due("late", 180)
    await ward.due("soon", 5)

    async with ward.working():
        await pass_time(minutes=10)

    assert ward.ran == [("soon", 5), ("late", 180)]


async def test_runs_the_longest_due_first() -> None:
    ward = Ward(parallel=1)
    for target, since in (("b", -5), ("c", 0), ("a", -60)):
        await ward.due(target, since)

    async with ward.working():
        await pass_time(seconds=1)

    assert [target for target, _ in ward.ran] == ["a", "b", "c"]


async def test_what_falls_due_while_idle_is_noticed_in_time() -> None:
    """A write by another replica wakes nobody here."""
    ward = Ward()
    async with ward.working():
        await pass_time(seconds=1)
        await ward.due("web", 1)
        await pass_time(seconds=60)

    assert ward.ran == [("web", IDLE_S)]


async def test_a_wake_up_is_noticed_at_once() -> None:
    ward = Ward()
    async with ward.working():
        await pass_time(seconds=1)
        await ward.due("web", 1)
        ward.worker.wake()
        await pass_time(seconds=60)

    assert ward.ran == [("web", 1)]


async def test_a_wake_up_during_the_claim_is_not_lost() -> None:
    ward = Ward()
    claim = ward.schedule.claim

    async def claim_while_somebody_calls(**how: Any) -> Claimed:
        claimed = await claim(**how)
        if len(ward.schedule.asked) == 1:
            await ward.due("web", 0)  # after the look, before the wait
            ward.worker.wake()
        return claimed

    ward.schedule.claim = claim_while_somebody_calls  # type: ignore[method-assign]
    async with ward.working():
        await pass_time(seconds=5)

    assert ward.ran == [("web", 0)]


async def test_an_idle_worker_is_stingy() -> None:
    ward = Ward()
    async with ward.working():
        await pass_time(minutes=5)

    assert len(ward.schedule.asked) <= 300 / IDLE_S + 1


# ---------------------------------------------------------------- fairness


async def test_one_slow_step_delays_no_other() -> None:
    ward = Ward()

    async def slow(claim: Claim) -> None:
        if claim.target == "slow":
            await pass_time(seconds=LEASE_S - 1)

    ward.within = slow
    await ward.due("slow", 0)
    for number in range(50):
        await ward.due(f"quick{number:02}", 1 + number / 10)

    async with ward.working():
        await pass_time(minutes=2)

    assert ward.ran[0] == ("slow", 0)
    assert [at for _, at in ward.ran[1:]] == [pytest.approx(1 + n / 10) for n in range(50)]
    assert ward.ended[-1] == ("slow", LEASE_S - 1)


@pytest.mark.parametrize("parallel", [1, 3])
async def test_no_more_steps_at_once_than_allowed(parallel: int) -> None:
    ward = Ward(parallel=parallel)
    running: set[str] = set()
    most = 0

    async def busy(claim: Claim) -> None:
        nonlocal most
        running.add(claim.target)
        most = max(most, len(running))
        await pass_time(seconds=5)
        running.remove(claim.target)

    ward.within = busy
    for number in range(9):
        await ward.due(f"t{number}", 0)

    async with ward.working():
        await pass_time(minutes=1)

    assert most == parallel
    # A step that ends makes room at once, not at the next look.
    assert ward.ended[-1][1] == 9 / parallel * 5


async def test_a_target_that_is_at_work_is_not_claimed_again() -> None:
    ward = Ward()

    async def slow(claim: Claim) -> None:
        await ward.due("web", ward.since_start())  # a notice comes while it runs
        ward.worker.wake()
        await pass_time(seconds=20)

    ward.within = slow
    await ward.due("web", 0)
    async with ward.working():
        await pass_time(seconds=19)
        assert ward.ran == [("web", 0)]
        ward.within = None
        await pass_time(seconds=10)

    assert ward.ran == [("web", 0), ("web", 20)]


@pytest.mark.parametrize(
    "errors",
    [
        pytest.param([], id="store-answers"),
        pytest.param([StoreUnavailable("down")], id="store-misses-one-renewal"),
    ],
)
async def test_a_step_longer_than_its_lease_is_not_run_twice(errors: list[Exception]) -> None:
    """An engine may take minutes to stop a container."""
    ward = Ward()
    ward.schedule.renew_errors = errors

    async def slow(_: Claim) -> None:
        await pass_time(seconds=10 * LEASE_S)

    ward.within = slow
    await ward.due("web", 0)
    async with ward.working():
        await pass_time(seconds=11 * LEASE_S)

    assert ward.ran == [("web", 0)]
    assert ward.ended == [("web", 10 * LEASE_S)]
    # Nothing holds a lease on after its step.
    assert max(ward.schedule.renewed) <= 10 * LEASE_S


async def test_a_target_that_is_always_due_starves_nobody() -> None:
    """A defect, but it must be neither a busy loop nor the end of the others."""
    ward = Ward()

    async def again(claim: Claim) -> None:
        if claim.target == "mad":
            await ward.due("mad", ward.since_start() - 1 - len(ward.ran))
            ward.worker.wake()

    ward.within = again
    await ward.due("mad", 0)
    await ward.due("good", 5)
    with capture_logs() as logs:
        async with ward.working():
            await pass_time(seconds=10)

    assert ("good", 5) in ward.ended
    assert len(ward.ran) < 10 * 2 * MOST_STEPS
    assert any("without end" in line["event"] for line in logs)


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ValueError("a bug"), id="a-bug"),
        pytest.param(asyncio.CancelledError(), id="a-cancelled-inside"),
        pytest.param(ExceptionGroup("two", [ValueError("bugs")]), id="a-group-of-bugs"),
    ],
)
async def test_a_step_that_fails_is_repeated_once_its_lease_is_over(
    error: BaseException,
) -> None:
    ward = Ward()

    async def explode(claim: Claim) -> None:
        if claim.target == "bad" and len(ward.ended) < 2:
            raise error

    ward.within = explode
    await ward.due("bad", 0)
    await ward.due("good", 1)
    await ward.due("good2", LEASE_S + 1)
    async with ward.working():
        await pass_time(seconds=LEASE_S - 0.001)
        assert ward.ran == [("bad", 0), ("good", 1)]
        await pass_time(minutes=5)

    assert [at for target, at in ward.ran if target == "bad"] == [0, LEASE_S, 2 * LEASE_S]
    assert ward.ended == [("good", 1), ("good2", LEASE_S + 1), ("bad", 2 * LEASE_S)]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(StoreUnavailable("gone"), id="no-store"),
        pytest.param(LeaseLost("too late"), id="too-late"),
    ],
)
async def test_a_step_that_could_not_be_done_is_given_back(error: Exception) -> None:
    ward = Ward()

    async def fail(claim: Claim) -> None:
        if len(ward.ran) < 3:
            raise error

    ward.within = fail
    await ward.due("bad", 0)
    async with ward.working():
        await pass_time(minutes=1)

    assert ward.ran == [("bad", 0), ("bad", 5), ("bad", 10)]
    assert ward.ended == [("bad", 10)]


async def test_a_step_that_ends_its_worker_twice_is_buried() -> None:
    ward = Ward()
    buried: list[tuple[int, float]] = []

    async def explode(_: Claim) -> None:
        raise ZeroDivisionError

    async def bury(claim: Claim, now: datetime) -> None:
        buried.append((claim.lost, ward.since_start()))
        await ward.store.requeue(claim, due=now + timedelta(minutes=15))

    ward.within = explode
    await ward.due("bad", 0)
    ward.worker = Worker(ward.schedule, ward.clock, ward.step, ward.telemetry, bury=bury)
    async with ward.working():
        await pass_time(minutes=17)

    minutes = 15 * 60
    assert [at for _, at in ward.ran] == [0, LEASE_S, 2 * LEASE_S + minutes, 3 * LEASE_S + minutes]
    assert buried[0][1] == 2 * LEASE_S


async def test_who_had_to_wait_while_the_store_was_away_is_no_more_suspect_than_before() -> None:
    """Two whose leases ran out go one after the other: the second has done nothing yet."""
    ward = Ward()
    is_away = False
    real = ward.schedule.requeue

    async def requeue(claim: Claim, *, due: datetime, forget_lost: bool = True) -> None:
        if is_away:
            raise StoreUnavailable("down")
        await real(claim, due=due, forget_lost=forget_lost)

    async def slow(_: Claim) -> None:
        await pass_time(seconds=1)

    ward.schedule.requeue = requeue  # type: ignore[method-assign]
    ward.within = slow
    for target in ("a", "b"):
        await ward.due(target, 0)
    # Whoever had them has died.
    await ward.store.claim(now=START, lease=LEASE, limit=9)
    await pass_time(seconds=LEASE_S)
    is_away = True
    async with ward.working():
        await pass_time(seconds=0.5)
        ward.schedule.errors = [StoreUnavailable("down")] * 50
        await pass_time(seconds=1.5 * LEASE_S)
        is_away = False
        seen: list[Claim] = []

        async def look(claim: Claim) -> None:
            seen.append(claim)

        ward.within = look
        ward.schedule.errors = []
        await pass_time(seconds=10)

    assert [(claim.target, claim.lost) for claim in seen] == [("b", 1)]


async def test_only_who_may_claims() -> None:
    ward = Ward()
    may = False
    ward.worker = Worker(
        ward.schedule, ward.clock, ward.step, ward.telemetry, may_claim=lambda: may
    )
    await ward.due("bad", 0)
    async with ward.working():
        await pass_time(minutes=1)
        assert ward.ran == []
        may = True
        ward.worker.wake()
        await pass_time(seconds=1)

    assert ward.ran == [("bad", 60)]


async def test_failures_are_counted_by_kind() -> None:
    ward = Ward()

    async def explode(_: Claim) -> None:
        raise ValueError("a bug")

    ward.within = explode
    await ward.due("bad", 0)
    async with ward.working():
        await pass_time(seconds=LEASE_S + 1)

    assert ward.errors_of("ValueError") == 2


async def test_only_a_changed_failure_is_news() -> None:
    ward = Ward()
    says = iter(["one", "one", "one", "two", "two"])

    async def explode(_: Claim) -> None:
        word = next(says, None)
        if word is not None:
            raise StoreUnavailable(word)

    ward.within = explode
    await ward.due("bad", 0)
    with capture_logs() as logs:
        async with ward.working():
            await pass_time(minutes=5)

    loud = [line["error"] for line in logs if line["log_level"] == "warning"]
    assert loud == ["StoreUnavailable: one", "StoreUnavailable: two"]


async def test_a_failure_after_a_success_is_news_again() -> None:
    ward = Ward(errors=[StoreUnavailable("down")])
    with capture_logs() as logs:
        async with ward.working():
            await pass_time(minutes=1)
            ward.schedule.errors = [StoreUnavailable("down")]
            await pass_time(minutes=1)

    assert [line["log_level"] for line in logs] == ["warning", "warning"]


async def test_a_store_that_does_not_answer_is_asked_again_soon() -> None:
    ward = Ward(errors=[StoreUnavailable("down")] * 5)
    await ward.due("web", 0)

    async with ward.working():
        await pass_time(minutes=1)

    assert ward.schedule.asked[:6] == [n * RETRY_S for n in range(6)]
    assert ward.ran == [("web", 5 * RETRY_S)]
    assert ward.errors_of("StoreUnavailable") == 5


async def test_a_bug_in_the_claim_ends_the_worker_loudly() -> None:
    """Nothing can be done about it here; a process that acts no more must not look alive."""
    ward = Ward(errors=[ValueError("a bug")])
    task = asyncio.create_task(ward.worker.run())

    await asyncio.wait([task])

    with pytest.raises(ValueError, match="a bug"):
        task.result()


# ---------------------------------------------------------------- stopping


async def test_stopping_lets_running_steps_end_and_claims_nothing_more() -> None:
    ward = Ward()

    async def slow(_: Claim) -> None:
        await pass_time(seconds=20)

    ward.within = slow
    await ward.due("web", 0)
    await ward.due("next", 6)
    async with ward.working() as task:
        await pass_time(seconds=5)
        ward.worker.stop()
        await task
        assert ward.since_start() == 20

    assert ward.ended == [("web", 20)]
    assert ward.ran == [("web", 0)]


@pytest.mark.parametrize(
    "errors",
    [
        pytest.param([], id="idle"),
        pytest.param([StoreUnavailable("down")] * 99, id="waiting-for-the-store"),
    ],
)
async def test_a_worker_without_work_stops_at_once(errors: list[Exception]) -> None:
    ward = Ward(errors=errors)
    async with ward.working() as task:
        await pass_time(seconds=3.5)
        ward.worker.stop()
        await task
        assert ward.since_start() == 3.5


async def test_one_that_is_stopped_before_it_runs_does_nothing() -> None:
    ward = Ward()
    await ward.due("web", 0)
    ward.worker.stop()

    await ward.worker.run()

    assert ward.ran == []


async def test_cancelling_cuts_running_steps_off_and_leaves_nothing_behind() -> None:
    ward = Ward()
    cut: list[str] = []

    async def slow(claim: Claim) -> None:
        try:
            await pass_time(seconds=1000)
        except asyncio.CancelledError:
            cut.append(claim.target)
            raise

    ward.within = slow
    await ward.due("a", 0)
    await ward.due("b", 0)
    async with ward.working() as task:
        await pass_time(seconds=1)
        task.cancel()
        await asyncio.wait([task])

    assert sorted(cut) == ["a", "b"]
    assert ward.ended == []
    assert len(asyncio.all_tasks()) == 1


async def test_what_a_shutdown_cuts_off_is_given_back() -> None:
    """Whoever comes next need not wait for the lease, and counts nothing as lost."""
    ward = Ward()

    async def slow(_: Claim) -> None:
        await pass_time(seconds=1000)

    ward.within = slow
    await ward.due("a", 0)
    await ward.due("b", 0)
    async with ward.working() as task:
        await pass_time(seconds=5)
        ward.worker.stop()
        await pass_time(seconds=1)
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])

    found = await ward.store.claim(now=ward.clock.now(), lease=LEASE, limit=9)
    assert [(claim.target, claim.lost) for claim in found.claims] == [("a", 0), ("b", 0)]


async def test_a_store_that_is_away_does_not_hold_a_shutdown_up() -> None:
    ward = Ward()

    async def slow(_: Claim) -> None:
        await pass_time(seconds=1000)

    async def requeue(claim: Claim, *, due: datetime, forget_lost: bool = True) -> None:
        raise StoreUnavailable("down")

    ward.within = slow
    ward.schedule.requeue = requeue  # type: ignore[method-assign]
    await ward.due("a", 0)
    async with ward.working() as task:
        await pass_time(seconds=5)
        ward.worker.stop()
        task.cancel()
        await asyncio.wait([task])

    # Its lease brings it back.
    found = await ward.store.claim(now=at(LEASE_S), lease=LEASE, limit=9)
    assert [(claim.target, claim.lost) for claim in found.claims] == [("a", 1)]


async def test_a_worker_that_no_longer_leads_claims_nothing_and_lives_on() -> None:
    ward = Ward(errors=[LeaseLost("another controller leads now")] * 3)
    await ward.due("web", 0)

    async with ward.working() as task:
        await pass_time(seconds=2.5 * RETRY_S)
        assert ward.ran == []
        assert not task.done()
        await pass_time(seconds=RETRY_S)

    assert ward.ran == [("web", 3 * RETRY_S)]
    assert ward.errors_of("LeaseLost") == 0


async def test_a_second_worker_is_kept_off_by_the_lease_and_takes_over_after_it() -> None:
    """The first dies in the middle of a step: nobody else may until its lease is over."""
    ward = Ward()
    taken: list[float] = []

    async def dies(_: Claim) -> None:
        await pass_time(seconds=1000)

    async def heir(claim: Claim, now: datetime) -> None:
        taken.append((now - START).total_seconds())
        await ward.store.note(claim, Entry(remediation=None, due=None), now=now)

    ward.within = dies
    await ward.due("web", 0)
    async with ward.working() as first:
        await pass_time(seconds=1)
        second = asyncio.create_task(other(ward, heir).run())
        first.cancel()
        await asyncio.wait([first])
        await pass_time(seconds=LEASE_S - 1.001)
        assert taken == []
        await pass_time(minutes=2)
        second.cancel()
        await asyncio.wait([second])

    assert taken == [LEASE_S]


def other(ward: Ward, step: Step) -> Worker:
    """Another replica at the same store."""
    return Worker(ward.schedule, ward.clock, step, ward.telemetry)
