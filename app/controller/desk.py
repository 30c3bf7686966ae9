"""What people and tools ask: the state of targets, what happened, how Relevo itself is."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from app.controller.picture import Census
from app.controller.readiness import Readiness
from app.controller.telemetry import Telemetry
from app.domain.activity import Activity
from app.domain.fidelity import FidelityReport
from app.domain.remediation import Remediation, State
from app.errors import EngineUnavailable, StoreUnavailable
from app.policies.match import max_instances, most_careful, policy_for, policy_named
from app.policies.roster import Member, Roster
from app.policies.spec import Mode, Policy, Rulebook
from app.ports import Clock, RemediationFilter, Store

#: Dry runs at once while a list of targets is made.
_PARALLEL: Final = 8
#: Whoever asks how we are gets an answer, also while the engine hangs.
_ENGINE_ANSWERS: Final = timedelta(seconds=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """One opted-in target as people see it."""

    target: str
    container: str
    group: str
    mode: Mode
    state: State
    remediation: Remediation | None
    failures: int
    #: Of its group, originals and clones.
    instances: int
    max_instances: int
    readiness: FidelityReport | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """Relevo at a glance."""

    engine: str | None
    mode: Mode
    #: Why nothing can be accepted; empty while the store answers.
    store_trouble: tuple[str, ...]
    #: What weakens the store's word although it answers.
    store_warnings: tuple[str, ...]
    engine_trouble: tuple[str, ...]
    states: Mapping[State, int]
    failing_targets: int


class Desk:
    """Answers questions; changes nothing."""

    def __init__(
        self,
        store: Store,
        census: Census,
        readiness: Readiness,
        clock: Clock,
        telemetry: Telemetry,
        *,
        rulebook: Rulebook,
        prefix: str,
        mode: Mode,
    ) -> None:
        self._store = store
        self._census = census
        self._readiness = readiness
        self._clock = clock
        self._telemetry = telemetry
        self._rulebook = rulebook
        self._prefix = prefix
        self._mode = mode

    async def targets(self) -> tuple[TargetView, ...]:
        """
        List every opted-in target.

        :raises EngineUnavailable: the engine was never seen
        :raises StoreUnavailable:
        """
        roster = await self._roster()
        slots = asyncio.Semaphore(_PARALLEL)
        members = roster.targets()
        return tuple(await asyncio.gather(*(self._view(roster, m, slots) for m in members)))

    async def target(self, name: str) -> TargetView | None:
        """Find one target by ``engine:slot`` or slot; None where no opted-in one is called so."""
        roster = await self._roster()
        wanted = self.canonical(name)
        for member in roster.targets():
            if str(member.target) == wanted:
                return await self._view(roster, member, asyncio.Semaphore(1))
        return None

    def canonical(self, name: str) -> str:
        """Complete a bare slot with the engine's name, where that is known."""
        if ":" in name or self._census.last is None:
            return name
        return f"{self._census.last.engine}:{name}"

    async def remediations(self, which: RemediationFilter) -> tuple[Remediation, ...]:
        """List remediations, newest first. :raises StoreUnavailable:"""
        return await self._store.history.remediations(which)

    async def remediation(self, remediation_id: str) -> Remediation | None:
        """Read one remediation. :raises StoreUnavailable:"""
        return await self._store.history.remediation(remediation_id)

    async def activities(self, *, group: str | None, limit: int) -> tuple[Activity, ...]:
        """List scaling activities, newest first. :raises StoreUnavailable:"""
        return await self._store.history.activities(group=group, limit=limit)

    async def status(self) -> StatusView:
        """Tell how Relevo is; never raises, what is down is part of the answer."""
        store_trouble: tuple[str, ...] = ()
        warnings: tuple[str, ...] = ()
        engine_trouble: tuple[str, ...] = ()
        states: Counter[State] = Counter()
        failing = 0
        roster = self._census.last
        try:
            async with asyncio.timeout(_ENGINE_ANSWERS.total_seconds()):
                roster = await self._census.roster()
        except EngineUnavailable as exc:
            engine_trouble = (str(exc),)
        except TimeoutError:
            engine_trouble = ("the engine does not answer in time",)
        try:
            health = self._store.health
            warnings = (*await health.check(), *await health.remarks())
            failing = await self._failing()
            if roster is not None:
                states = await self._states(roster)
        except StoreUnavailable as exc:
            store_trouble = (str(exc),)
        return StatusView(
            engine=roster.engine if roster is not None else None,
            mode=self._mode,
            store_trouble=store_trouble,
            store_warnings=warnings,
            engine_trouble=engine_trouble,
            states=states,
            failing_targets=failing,
        )

    async def measure(self) -> None:
        """Bring the gauges up to date, for a scrape; what cannot be read keeps its last value."""
        telemetry = self._telemetry
        status = await self.status()
        # Empty until the engine has told its name, which is the same as no label.
        engine = status.engine or ""
        telemetry.up(engine, store=not status.store_trouble, engine_up=not status.engine_trouble)
        if status.store_trouble:
            return
        telemetry.failing_targets.labels(engine=engine).set(status.failing_targets)
        for state in State:
            if state is not State.CLOSED:
                count = status.states.get(state, 0)
                telemetry.targets.labels(engine=engine, state=state).set(count)
        try:
            overdue = await self._store.schedule.overdue(now=self._clock.now())
            telemetry.overdue_seconds.labels(engine=engine).set(overdue.total_seconds())
            await self._measure_failures()
        except StoreUnavailable:
            telemetry.up(engine, store=False, engine_up=not status.engine_trouble)

    async def _measure_failures(self) -> None:
        roster = self._census.last
        if roster is None:
            return
        counts = {}
        for member in roster.targets():
            record = await self._store.records.remediation_of(str(member.target))
            policy = self._policy(member, record)
            counts[member.listed.name] = await self._failures(member, policy)
        # Only now, and at once: another scrape must not find them half told.
        self._telemetry.failures_in_window.clear()
        for name, count in counts.items():
            self._telemetry.failures_in_window.labels(engine=roster.engine, name=name).set(count)

    async def _roster(self) -> Roster:
        try:
            return await self._census.roster()
        except EngineUnavailable:
            if self._census.last is None:
                raise
            return self._census.last

    async def _view(self, roster: Roster, member: Member, slots: asyncio.Semaphore) -> TargetView:
        record = await self._store.records.remediation_of(str(member.target))
        policy = self._policy(member, record)
        async with slots:
            report = await self._readiness.report(
                member.listed.id, policy.scale_out, now=self._clock.now()
            )
        return TargetView(
            target=str(member.target),
            container=member.listed.name,
            group=str(member.group),
            mode=most_careful(self._mode, policy.mode, member.mode),
            state=record.state if record is not None else State.OK,
            remediation=record,
            failures=await self._failures(member, policy),
            instances=len(roster.group(member.group)),
            max_instances=max_instances(policy, member.listed.labels, prefix=self._prefix),
            readiness=report,
        )

    def _policy(self, member: Member, record: Remediation | None) -> Policy:
        if record is not None:
            return policy_named(self._rulebook, record.policy)
        return policy_for(self._rulebook, member.listed.labels, "", prefix=self._prefix)

    async def _failures(self, member: Member, policy: Policy) -> int:
        return await self._store.failures.count(
            str(member.target), now=self._clock.now(), window=policy.restart.window
        )

    async def _failing(self) -> int:
        return await self._store.failures.failing_targets(
            now=self._clock.now(), window=self._rulebook.guards.brake.window
        )

    async def _states(self, roster: Roster) -> Counter[State]:
        states: Counter[State] = Counter()
        for member in roster.targets():
            record = await self._store.records.remediation_of(str(member.target))
            states[record.state if record is not None else State.OK] += 1
        return states
