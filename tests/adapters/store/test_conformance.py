"""Whatever is done to them, the store in memory and the one in Redis answer the same."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from app.adapters.store import open_store
from app.domain.activity import ActivityKind, ActivityStatus
from app.domain.control import Brake
from app.domain.decision import Reason
from app.domain.remediation import Remediation
from app.errors import CoolingDown, GroupBusy, LeaseLost, OutOfBudget, StoreRegressed
from app.ports import (
    Candidate,
    Claim,
    Cooldown,
    Entry,
    RemediationFilter,
    Restored,
    Standing,
    Store,
)
from tests.adapters.store.builders import (
    LEASE,
    WINDOW,
    activity,
    aside,
    at,
    closed,
    halt,
    leaving,
    left,
    limits,
    message,
    notice,
    off_duty,
    order,
    outcome,
    remediation,
    reply,
)
from tests.adapters.store.server import RedisServer
from tests.memory_store import make_store

TARGETS = ("host:a", "host:b", "host:c")
GROUPS = ("host:g1", "host:g2")
FINGERPRINTS = ("f1", "f2")

targets = st.sampled_from(TARGETS)
seconds = st.integers(min_value=0, max_value=90).map(lambda half: half / 2)
notices = st.builds(
    notice,
    st.sampled_from(FINGERPRINTS),
    target=targets,
    starts=st.sampled_from((0, 30, 60)),
    resolved=st.booleans(),
    listed=st.booleans(),
)
#: To be made for the target of the claim that writes them.
remediations = st.tuples(
    st.sampled_from((remediation, closed)),
    st.sampled_from("123"),
    st.integers(0, 5),
    st.sampled_from(GROUPS),
)
activities = st.none() | st.builds(
    activity, st.sampled_from(("a1", "a2")), started=st.integers(0, 5), group=st.just(GROUPS[0])
)
attempts = st.sampled_from(("r1:1", "r1:2", "r2:1"))
cooldowns = st.none() | st.builds(
    Cooldown,
    group=st.sampled_from(GROUPS),
    attempt_id=attempts,
    until=st.none() | seconds.map(at),
)
bounds = st.builds(
    limits,
    attempts,
    concurrent=st.integers(0, 3),
    burst=st.integers(0, 3),
    burst_span=st.just(timedelta(seconds=20)),
    per_hour=st.integers(1, 4),
    hour=st.just(timedelta(minutes=1)),
    group=st.none() | st.sampled_from(GROUPS),
    out_of_group=st.integers(0, 2),
    out_for=seconds.map(lambda length: timedelta(seconds=length + 0.5)),
)
#: Often the very same one.
orders = st.builds(order, st.sampled_from((1, 2)), at=st.sampled_from((at(0), at(1))))
replies = st.builds(reply, st.sampled_from(("k1", "k2")), st.sampled_from(('"a"', '"b"')))
halts = st.none() | st.builds(halt, since=seconds, until=st.none() | seconds)
candidates = st.builds(
    Candidate, instance=st.sampled_from("ab"), life=st.sampled_from(("1", "2"))
).map(lambda one: replace(one, life=one.instance + one.life))
histories = st.sampled_from(("", "h1", "h2", "h3"))
restorations = st.none() | st.builds(
    Restored,
    fence=st.integers(0, 40),
    charges=st.dictionaries(attempts, seconds.map(at), max_size=2),
    pause=halts,
    holds=st.dictionaries(targets, st.builds(halt, since=seconds, until=st.none() | seconds)),
)
Call = Callable[[Store], Coroutine[Any, Any, Any]]


class Comparison(RuleBasedStateMachine):
    """The same calls to both, and the same answers or errors from both."""

    url: str
    #: Of all examples: one loop, and what is to be closed at the end.
    loop: asyncio.AbstractEventLoop
    stack: AsyncExitStack

    def __init__(self) -> None:
        super().__init__()
        self.memory = make_store()
        self.redis = self.loop.run_until_complete(
            self.stack.enter_async_context(open_store(self.url, namespace=f"{uuid4().hex}:"))
        )
        self.now = 0.0
        #: All that were ever given out, those that are no longer valid as well.
        self.claims: list[Claim] = []
        self.standings: list[Standing | None] = [None]

    def both(self, call: Call) -> Any:
        """Ask both the same thing."""
        answer = self.loop.run_until_complete(_outcome(call(self.memory)))
        assert self.loop.run_until_complete(_outcome(call(self.redis))) == answer
        return answer

    @rule(by=seconds)
    def wait(self, by: float) -> None:
        self.now += by

    @rule(some=st.lists(notices, max_size=4), how_many_asides=st.integers(0, 2))
    def accept(self, some: list[Any], how_many_asides: int) -> None:
        asides = [aside(number, seconds=self.now) for number in range(how_many_asides)]
        if some or asides:  # Redis is not asked for nothing, and counts no write
            self.both(lambda store: store.inbox.accept(some, asides, now=at(self.now)))

    @rule(limit=st.integers(0, 3), has_suspect=st.booleans(), here=st.lists(targets, max_size=2))
    def claim(self, limit: int, has_suspect: bool, here: list[str]) -> None:
        found = self.both(
            lambda store: store.schedule.claim(
                now=at(self.now), lease=LEASE, limit=limit, has_suspect=has_suspect, here=here
            )
        )
        self.claims += () if found is LeaseLost else found.claims

    @rule(data=st.data(), lease=seconds.map(lambda length: timedelta(seconds=length)))
    def renew(self, data: Any, lease: timedelta) -> None:
        claims = [self.some_claim(data) for _ in range(data.draw(st.integers(1, 3)))]
        self.both(lambda store: store.schedule.renew(claims, now=at(self.now), lease=lease))

    @rule(some=st.lists(targets, max_size=2))
    def nudge(self, some: list[str]) -> None:
        self.both(lambda store: store.schedule.nudge(some, now=at(self.now)))

    @rule(
        data=st.data(),
        what=remediations,
        bounded=bounds,
        shown=activities,
        cooldown=cooldowns,
        twice=st.booleans(),
    )
    def intend(
        self, data: Any, what: Any, bounded: Any, shown: Any, cooldown: Any, twice: bool
    ) -> None:
        claim = self.some_claim(data)
        answers = [
            self.both(
                lambda store: store.records.intend(
                    claim,
                    _made(what, claim),
                    now=at(self.now),
                    lease=LEASE,
                    limits=bounded,
                    activity=shown,
                    cooldown=cooldown,
                )
            )
            for _ in range(2 if twice else 1)
        ]
        assert len(set(answers)) == 1

    @rule(whose=targets, one=orders, told=st.none() | replies)
    def place(self, whose: str, one: Any, told: Any) -> None:
        self.both(lambda store: store.orders.place(whose, one, now=at(self.now), reply=told))

    @rule(
        number=st.sampled_from("12"),
        bounded=bounds,
        since=st.none() | seconds.map(at),
        told=st.none() | replies,
        twice=st.booleans(),
    )
    def begin(self, number: str, bounded: Any, since: Any, told: Any, twice: bool) -> None:
        one = leaving(f"in{number}", group=GROUPS[0], container_id=number * 64)
        limited = replace(bounded, attempt_id=one.id, group=None, waiting_since=since)
        for _ in range(2 if twice else 1):
            self.both(
                lambda store: store.scaling.begin(
                    one, limited, now=at(self.now), told=outcome(), reply=told
                )
            )

    @rule(
        number=st.sampled_from("12"),
        status=st.sampled_from(ActivityStatus).filter(lambda one: one.value != "in_progress"),
        reason=st.sampled_from((Reason.QUIET, Reason.CLONE_DOWN)),
        ordered=st.none() | st.just("ops: less load"),
        twice=st.booleans(),
    )
    def end(self, number: str, twice: bool, **how: Any) -> None:
        one = left(f"in{number}", group=GROUPS[0], **how)
        for _ in range(2 if twice else 1):
            self.both(lambda store: store.scaling.end(one, now=at(self.now), told=outcome()))

    @rule(
        number=st.sampled_from("12"),
        kind=st.sampled_from((ActivityKind.ISOLATE, ActivityKind.STOP, ActivityKind.BRING_BACK)),
        status=st.sampled_from((ActivityStatus.SUCCESSFUL, ActivityStatus.FAILED)),
        whose=st.sampled_from("ef"),
    )
    def relieve(self, number: str, whose: str, **how: Any) -> None:
        one = off_duty(f"off{number}", group=GROUPS[0], container_id=whose * 64, **how)
        self.both(lambda store: store.scaling.end(one, now=at(self.now), told=outcome()))

    @rule(place=st.integers(1, 4))
    def deliver(self, place: int) -> None:
        self.both(lambda store: store.outbox.done(place))

    @rule(told=replies)
    def reply(self, told: Any) -> None:
        self.both(lambda store: store.orders.reply(told))

    @rule(one=halts, whose=st.none() | targets, said=st.booleans())
    def stop(self, one: Any, whose: str | None, said: bool) -> None:
        told = outcome(int(self.now)) if said else None
        if whose is None:
            self.both(lambda store: store.controls.set_pause(one, told=told))
        else:
            self.both(lambda store: store.controls.set_hold(whose, one, told=told))

    @rule(cleared=st.none() | seconds)
    def set_brake(self, cleared: float | None) -> None:
        brake = Brake(failing=3, cleared_at=None if cleared is None else at(cleared))
        self.both(lambda store: store.controls.set_brake(brake))

    @rule(
        data=st.data(),
        what=st.none() | remediations,
        amended=st.lists(remediations, max_size=1),
        due=st.none() | seconds,
        failed=st.none() | attempts,
        consumed=st.lists(targets, max_size=1),
        listed=st.lists(st.sampled_from(FINGERPRINTS), max_size=1),
        shown=activities,
        cooldown=cooldowns,
        recovered=st.none() | attempts,
        freed=st.none() | attempts,
        back=st.booleans(),
        answered=st.none() | st.sampled_from(("r1:1", "r1:2")),
        tally=st.dictionaries(st.sampled_from("ab"), st.integers(0, 2)),
        outbox=st.lists(st.integers(1, 2), max_size=2),
        audit=st.lists(st.integers(1, 2), max_size=2),
        twice=st.booleans(),
    )
    def note(self, data: Any, twice: bool, **what: Any) -> None:
        claim = self.some_claim(data)
        seen = self.dossier(claim.target).alerts
        entry = Entry(
            remediation=_made(what["what"], claim) if what["what"] else None,
            amended=tuple(_made(one, claim) for one in what["amended"]),
            due=None if what["due"] is None else at(self.now + what["due"]),
            failed_attempt=what["failed"],
            window=WINDOW,
            consumed=tuple(what["consumed"]),
            listed=tuple(what["listed"]),
            over=tuple(data.draw(st.lists(st.sampled_from(seen), max_size=1))) if seen else (),
            activity=what["shown"],
            cooldown=what["cooldown"],
            recovered_attempt=what["recovered"],
            freed=what["freed"],
            back=what["back"],
            answered_order=what["answered"],
            tally=what["tally"],
            outbox=tuple(message(number) for number in what["outbox"]),
            audit=tuple(outcome(number) for number in what["audit"]),
        )
        for _ in range(2 if twice else 1):
            self.both(lambda store: store.records.note(claim, entry, now=at(self.now)))

    @rule(data=st.data(), due=seconds, forgets=st.booleans(), twice=st.booleans())
    def requeue(self, data: Any, due: float, forgets: bool, twice: bool) -> None:
        claim = self.some_claim(data)
        for _ in range(2 if twice else 1):
            self.both(
                lambda store: store.schedule.requeue(
                    claim, due=at(self.now + due), forget_lost=forgets
                )
            )

    @rule(data=st.data(), due=seconds, forgets=st.booleans())
    def release(self, data: Any, due: float, forgets: bool) -> None:
        claims = [self.some_claim(data) for _ in range(data.draw(st.integers(1, 3)))]
        self.both(
            lambda store: store.schedule.release(
                claims, due=at(self.now + due), forget_lost=forgets
            )
        )

    @rule(data=st.data(), me=candidates, engine=st.sampled_from(("", "host1", "host1", "host2")))
    def lead(self, data: Any, me: Candidate, engine: str) -> None:
        deserted = data.draw(st.sampled_from(self.standings[-3:]))
        self.standing(
            lambda store: store.leadership.lead(
                me, now=at(self.now), engine=engine, deserted=deserted
            )
        )

    @rule(me=candidates)
    def resign(self, me: Candidate) -> None:
        self.both(lambda store: store.leadership.resign(me))

    @rule(epoch=histories.filter(bool), before=histories, restored=restorations)
    def found(self, epoch: str, before: str, restored: Any) -> None:
        found = self.standing(
            lambda store: store.leadership.found(
                epoch, now=at(self.now), instead_of=before, restored=restored
            )
        )
        self.trust(found.epoch, found.fence)

    @rule(me=st.sampled_from((None, None, "a", "b")))
    def act_as(self, me: str | None) -> None:
        """From now on, what only the leader may do is asked for in this name."""
        for store in (self.memory, self.redis):
            store.leadership.act_as(Candidate(instance=me, life=f"{me}1") if me else None)

    @rule(data=st.data(), epoch=st.sampled_from(("", "h1", "h9")), ahead=st.integers(-1, 1))
    def believe(self, data: Any, epoch: str, ahead: int) -> None:
        """For one round of calls, take the store for one that it may not be."""
        found = self.standing(lambda store: store.leadership.look())
        self.trust(epoch or found.epoch, found.fence + ahead)
        claim = self.some_claim(data)
        self.both(lambda store: store.schedule.requeue(claim, due=at(self.now)))
        self.both(lambda store: store.schedule.overdue(now=at(self.now)))
        self.both(lambda store: store.controls.set_hold(claim.target, halt()))
        self.both(lambda store: store.inbox.accept([notice()], (), now=at(self.now)))
        found = self.standing(lambda store: store.leadership.look())
        self.trust(found.epoch, found.fence)

    def trust(self, epoch: str, fence: int) -> None:
        for store in (self.memory, self.redis):
            store.leadership.trust(epoch, fence)

    def standing(self, call: Call) -> Any:
        """Ask both how they stand: but for the name of the server, they stand alike."""

        async def nameless(store: Store) -> Standing:
            standing: Standing = await call(store)
            return replace(standing, run_id="")

        found = self.both(nameless)
        self.standings.append(found)
        return found

    def some_claim(self, data: Any) -> Claim:
        # Mostly the newest: the others are refused.
        newest_first = [Claim(target="host:a", fence=99), *self.claims][::-1]
        claim = data.draw(st.sampled_from(newest_first))
        assert isinstance(claim, Claim)
        return claim

    def dossier(self, target: str) -> Any:
        return self.both(
            lambda store: store.records.read(
                target,
                group=GROUPS[0],
                now=at(self.now),
                window=timedelta(minutes=1),
                brake_window=LEASE,
            )
        )

    @invariant()
    def tell_the_same(self) -> None:
        now = at(self.now)
        for target in TARGETS:
            self.dossier(target)
            self.both(partial(_remediation_of, target=target))
        groups = {target: GROUPS[0] for target in TARGETS}
        self.both(lambda store: store.history.glance(groups, now=now, since=now - LEASE))
        self.both(lambda store: store.schedule.overdue(now=now))
        self.both(lambda store: store.failures.failing_targets(now=now, window=LEASE))
        self.both(lambda store: store.failures.recoveries(since=now - LEASE))
        self.both(lambda store: store.failures.charged(since=now - 3 * LEASE))
        self.both(lambda store: store.leadership.charges(since=now - 3 * LEASE))
        assert self.memory.leadership.heard == self.redis.leadership.heard
        self.both(lambda store: store.controls.holds())
        self.both(lambda store: store.orders.replied("k1"))
        self.both(lambda store: store.history.tallies())
        self.both(lambda store: store.history.remediations(RemediationFilter()))
        self.both(lambda store: store.history.remediations(RemediationFilter(open_only=True)))
        self.both(lambda store: store.history.activities())
        self.both(lambda store: store.history.asides())
        self.both(lambda store: store.scaling.under_way())
        self.both(lambda store: store.scaling.replaced())
        self.both(lambda store: store.outbox.waiting(limit=3))
        self.both(lambda store: store.audit.entries(since=now - LEASE))
        assert self.both(lambda store: store.audit.verify()).broken_at is None
        self.both(lambda store: store.audit.head())


def _remediation_of(store: Store, target: str) -> Coroutine[Any, Any, Any]:
    return store.records.remediation_of(target)


def _made(what: Any, claim: Claim) -> Remediation:
    build, number, opened, group = what
    made = build(f"{claim.target}:{number}", opened=opened, target=claim.target, group=group)
    assert isinstance(made, Remediation)
    return made


async def _outcome(asked: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await asked
    except (CoolingDown, OutOfBudget, GroupBusy) as exc:
        return type(exc), exc.until
    except LeaseLost:
        return LeaseLost
    except StoreRegressed:
        return StoreRegressed


_SETTINGS = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.redis
def test_both_stores_answer_the_same(shared_server: RedisServer) -> None:
    # Not asyncio.Runner: it would unset the loop that pytest-asyncio has set.
    its_loop = asyncio.new_event_loop()
    its_stack = AsyncExitStack()

    class OnThisServer(Comparison):
        url = shared_server.url
        loop = its_loop
        stack = its_stack

    try:
        run_state_machine_as_test(OnThisServer, settings=_SETTINGS)
    finally:
        its_loop.run_until_complete(its_stack.aclose())
        its_loop.close()
