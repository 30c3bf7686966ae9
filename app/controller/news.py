"""Gathers from store and census what Relevo's own alerts are made of."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from app.controller.rules import Rules
from app.domain.remediation import Remediation
from app.domain.target import TargetId
from app.errors import Unreadable
from app.policies import announce_chronic as chronic
from app.policies.announce_facts import (
    NewsView,
    Subject,
    group_label,
    group_label_of,
    left_clones,
)
from app.policies.match import most_careful, policy_for, policy_named
from app.policies.membership import Member
from app.policies.roster import Roster
from app.policies.spec import Mode, Rulebook
from app.ports import RemediationFilter, Store

_ALL: Final = 10_000
#: Among so many of the newest stories those are looked for that have just ended; besides, among
#: those that were open before.
_NEWEST: Final = 100


class News:
    """
    See the module; it writes nothing.

    :param over_for: how long the end of a story is told
    :param mode: of this whole Relevo
    """

    def __init__(
        self,
        store: Store,
        rules: Rules,
        *,
        external_url: str | None,
        has_prometheus: bool,
        over_for: timedelta,
        prefix: str,
        mode: Mode,
    ) -> None:
        self._store = store
        self._rules = rules
        self._external_url = external_url
        self._has_prometheus = has_prometheus
        self._over_for = over_for
        self._prefix = prefix
        self._mode = mode
        #: Ids of the stories that were open at the last look, or had just ended.
        self._watched: frozenset[str] = frozenset()

    async def gather(self, roster: Roster, *, now: datetime) -> NewsView:
        """
        Gather what announcements are made of.

        :raises Transient: the store does not answer
        """
        store, book = self._store, self._rules.book
        rules = book.guards.brake
        every = (book.defaults, *(policy for _, policy in book.policies))
        looks_back = chronic.LOOKS_BACK + max(policy.chronic.window for policy in every)
        brake = await store.controls.brake()
        records = await store.history.remediations(RemediationFilter(open_only=True, limit=_ALL))
        ours = tuple(one for one in records if one.target.startswith(f"{roster.engine}:"))
        fewest = min(policy.chronic.restarts for policy in every)
        closed = await self._ended(ours, roster.engine, now=now)
        recoveries = {
            target: times
            for target, times in (await store.failures.recoveries(since=now - looks_back)).items()
            if len(times) >= fewest and target.startswith(f"{roster.engine}:")
        }
        failures = store.failures
        return NewsView(
            engine=roster.engine,
            remediations=ours,
            closed=closed,
            over_for=self._over_for,
            recoveries=recoveries,
            subjects=await self._subjects(roster, book, (*closed, *ours), recoveries),
            brake=brake,
            brake_rules=rules,
            failing=await failures.failing_targets(
                now=now, window=rules.window, after=brake.cleared_at
            ),
            failing_targets=await failures.failing_targets(now=now, window=rules.window),
            targets=len(roster.targets()),
            has_prometheus=self._has_prometheus,
            external_url=self._external_url,
            pause=await store.controls.pause(),
            left=left_clones(ours, (one.listed.id for one in roster.members)),
            prefix=self._prefix,
        )

    async def _ended(
        self, ours: Sequence[Remediation], engine: str, *, now: datetime
    ) -> tuple[Remediation, ...]:
        """
        Find the stories that ended a moment ago, however long they were.

        The store lists by beginnings: one that is older than the newest is asked for by its name,
        which is forgotten at a restart.
        """
        history = self._store.history
        newest = await history.remediations(RemediationFilter(limit=_NEWEST))
        found = {one.id: one for one in newest}
        still_open = {one.id for one in ours}
        for missing in sorted(self._watched - still_open - found.keys()):
            try:
                record = await history.remediation(missing)
            except Unreadable:
                continue  # the lists leave it out as well, and say so
            if record is not None:
                found[missing] = record
        ended = tuple(
            one
            for one in found.values()
            if one.closed_at is not None and now - one.closed_at < self._over_for
            if one.target.startswith(f"{engine}:")
        )
        self._watched = frozenset(still_open | {one.id for one in ended})
        return ended

    async def _subjects(
        self,
        roster: Roster,
        book: Rulebook,
        records: Sequence[Remediation],
        recoveries: Mapping[str, object],
    ) -> dict[str, Subject]:
        newest = {record.target: record for record in records}
        for target in recoveries:
            if target not in newest:
                which = RemediationFilter(target=target, limit=1)
                newest |= {one.target: one for one in await self._store.history.remediations(which)}
        subjects: dict[str, Subject] = {}
        for target in {*newest, *recoveries}:
            record, member = newest.get(target), _member(roster, target)
            if record is not None:
                policy = policy_named(book, record.policy)
                group = group_label_of(record) if member is None else _group(member)
                modes = (self._mode, policy.mode, *([member.mode] if member is not None else ()))
                subjects[target] = Subject(
                    container=record.container,
                    group=group,
                    policy=policy,
                    observed=most_careful(*modes) is Mode.OBSERVE,
                )
            elif member is not None:
                subjects[target] = Subject(
                    container=member.listed.name,
                    group=_group(member),
                    policy=policy_for(book, member.listed.labels, "", prefix=self._prefix),
                )
        return subjects


def _member(roster: Roster, target: str) -> Member | None:
    """Find who has a target's slot now, as far as that is clear."""
    return found[0] if len(found := roster.at(TargetId.parse(target))) == 1 else None


def _group(member: Member) -> str:
    return group_label(member.listed.name, member.listed.labels)
