"""What people and tools ask: the state of targets, what happened."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.controller.headcount import Counting, Headcount
from app.controller.overview import holds_in_force
from app.controller.picture import Census
from app.controller.readiness import Readiness
from app.controller.rules import Rules
from app.domain.activity import Activity
from app.domain.casefile import CaseFile
from app.domain.control import Halt
from app.domain.decision import Reason
from app.domain.fidelity import FidelityReport
from app.domain.remediation import Remediation, State
from app.errors import EngineUnavailable
from app.policies.match import max_instances, most_careful, policy_for, policy_named
from app.policies.membership import Member
from app.policies.roster import Found, NotOurs, Roster
from app.policies.spec import Mode, Policy, Rulebook
from app.ports import Clock, Glance, Orders, RemediationFilter, Store

#: Dry runs at once while a list of targets is made.
_PARALLEL: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """One opted-in target as people see it."""

    target: str
    container: str
    group: str
    mode: Mode
    state: State
    remediation: Remediation | None
    #: Name of the policy that covers it, or would.
    policy: str
    failures: int
    hold: Halt | None
    #: Of its group, as what follows.
    headcount: Headcount
    max_instances: int
    #: No other scale-out before then; None: one may be made.
    cooling_until: datetime | None
    readiness: FidelityReport | None


class Desk:
    """Answers questions; changes nothing."""

    def __init__(
        self,
        store: Store,
        census: Census,
        readiness: Readiness,
        counting: Counting,
        clock: Clock,
        *,
        rules: Rules,
        prefix: str,
        mode: Mode,
    ) -> None:
        self._store = store
        self._census = census
        self._readiness = readiness
        self._counting = counting
        self._clock = clock
        self._rules = rules
        self._prefix = prefix
        self._mode = mode

    async def targets(self) -> tuple[TargetView, ...]:
        """
        List every opted-in target.

        :raises EngineUnavailable: the engine was never seen
        :raises StoreUnavailable:
        """
        roster = await self._roster()
        return await self._views(roster, roster.targets())

    async def target(self, name: str) -> TargetView | None:
        """
        Find one target by ``engine:slot`` or slot, or by the name of a clone of it.

        None where no opted-in one is called so.
        """
        roster = await self._roster()
        member = self._named(roster, name)
        if member is None:
            found = self._called(roster, name)
            member = self._named(roster, str(found.root.target)) if found is not None else None
        return None if member is None else (await self._views(roster, (member,)))[0]

    async def source_of(self, name: str) -> str | None:
        """Tell which target a clone of that name belongs to; None where there is no such clone."""
        found = self._called(await self._roster(), name)
        return None if found is None or found.on_source else str(found.root.target)

    async def whose(self, name: str) -> Found | NotOurs:
        """
        Tell which target a container's name or a slot leads to, or why it leads to none.

        :param name: also with the engine's name before it
        :raises EngineUnavailable: the engine was never seen
        """
        roster = await self._roster()
        engine, colon, slot = name.partition(":")
        if colon and engine != roster.engine:
            detail = f"that is on the engine {engine}; this Relevo looks after {roster.engine}"
            return NotOurs(reason=Reason.OTHER_ENGINE, detail=detail)
        asked = {"name": slot if colon else name}
        return roster.resolve(asked, target_labels=("name",))

    async def find(self, name: str) -> str | None:
        """Find whom an order is for; held ones may be gone, None where several claim the slot."""
        roster = await self._roster()
        member, wanted = self._named(roster, name), self.canonical(name)
        if member is not None and len(roster.at(member.target)) == 1:
            return wanted
        return wanted if wanted in await self._holds() else None

    async def engine_seen(self) -> None:
        """Learn the engine's name: just started, it is not known. :raises EngineUnavailable:"""
        if self._census.last is None:
            await self._roster()

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
        """
        List scaling activities, newest first.

        :param group: ``engine:group``, or the group alone; None: of all
        :raises StoreUnavailable:
        """
        if group is not None:
            group = self._with_engine(group)
        return await self._store.history.activities(group=group, limit=limit)

    def rulebook(self) -> Rulebook:
        """The policy file in force."""
        return self._rules.book

    async def hold_of(self, target: str) -> Halt | None:
        """Read the hold of a target that has not expired. :raises StoreUnavailable:"""
        return (await self._holds()).get(target)

    async def case_files(self, record: Remediation) -> Mapping[str, CaseFile]:
        """Read the case files of a remediation, by attempt. :raises StoreUnavailable:"""
        found = {a.id: await self._store.casefiles.of(a.id) for a in record.attempts}
        return {attempt: file for attempt, file in found.items() if file is not None}

    def replies(self) -> Orders:
        """Where answers under an Idempotency-Key are kept."""
        return self._store.orders

    async def _holds(self) -> Mapping[str, Halt]:
        return await holds_in_force(self._store.controls, now=self._clock.now())

    async def _roster(self) -> Roster:
        try:
            return await self._census.roster()
        except EngineUnavailable:
            if self._census.last is None:
                raise
            return self._census.last

    def _named(self, roster: Roster, name: str) -> Member | None:
        wanted = self.canonical(name)
        return next((m for m in roster.targets() if str(m.target) == wanted), None)

    def _called(self, roster: Roster, name: str) -> Found | None:
        """Find whom a container's name is about: a target, or a clone of one."""
        bare = name.removeprefix(f"{roster.engine}:")
        found = roster.resolve({"name": bare}, target_labels=("name",))
        return found if isinstance(found, Found) else None

    def _with_engine(self, group: str) -> str:
        last = self._census.last
        if last is None or group.startswith(f"{last.engine}:"):
            return group
        return f"{last.engine}:{group}"

    async def _views(self, roster: Roster, members: Iterable[Member]) -> tuple[TargetView, ...]:
        members = tuple(members)
        groups = {one.group for one in members}
        # What is being made for a group is in the story of any of its originals.
        asked = [one for one in roster.targets() if one.group in groups]
        glances = await self._glance(asked, now=self._clock.now())
        stories: defaultdict[str, list[Remediation]] = defaultdict(list)
        for glance in glances.values():
            if glance.remediation is not None:
                stories[glance.remediation.group].append(glance.remediation)
        under_way = await self._store.scaling.under_way()
        counted = await asyncio.gather(
            *(self._counting.count(roster, one, stories[str(one)], under_way) for one in groups)
        )
        counts = dict(zip(groups, counted, strict=True))
        holds = await self._holds()
        slots = asyncio.Semaphore(_PARALLEL)
        return tuple(
            await asyncio.gather(
                *(
                    self._view(one, glances[str(one.target)], counts[one.group], holds, slots)
                    for one in members
                )
            )
        )

    async def _glance(self, members: Iterable[Member], *, now: datetime) -> Mapping[str, Glance]:
        book = self._rules.book
        policies = (book.defaults, *(policy for _, policy in book.policies))
        longest = max(policy.restart.window for policy in policies)
        return await self._store.history.glance(
            {str(one.target): str(one.group) for one in members}, now=now, since=now - longest
        )

    async def _view(
        self,
        member: Member,
        glance: Glance,
        headcount: Headcount,
        holds: Mapping[str, Halt],
        slots: asyncio.Semaphore,
    ) -> TargetView:
        record = glance.remediation
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
            policy=policy.name,
            failures=self._failures(member, glance, now=self._clock.now()),
            hold=holds.get(str(member.target)),
            headcount=headcount,
            max_instances=max_instances(policy, member.listed.labels, prefix=self._prefix),
            cooling_until=glance.cooling_until,
            readiness=report,
        )

    def _policy(self, member: Member, record: Remediation | None) -> Policy:
        if record is not None:
            return policy_named(self._rules.book, record.policy)
        return policy_for(self._rules.book, member.listed.labels, "", prefix=self._prefix)

    def _failures(self, member: Member, glance: Glance, *, now: datetime) -> int:
        policy = self._policy(member, glance.remediation)
        return glance.failures(policy.restart.window, now=now)
