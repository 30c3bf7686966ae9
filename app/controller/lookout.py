"""Looks at groups that have clones: who is in them, how they are, and what is kept of them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from app.controller import replaced
from app.controller.observe import Observer, Seen
from app.controller.picture import Census
from app.controller.rules import Rules
from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.container import Container, Listed, RunState
from app.domain.observation import Observation
from app.domain.remediation import Attempt, Remediation
from app.domain.target import GroupId
from app.errors import ContainerGone
from app.policies import replacing
from app.policies.clone_config import label_of_networks, label_of_source
from app.policies.match import policy_named
from app.policies.membership import Member, OptIn
from app.policies.orphans import Orphaned
from app.policies.roster import Roster
from app.policies.scale_in import GRACE, CloneSeen, Crowd
from app.policies.spec import Policy, Rulebook, SourceAfterwards
from app.ports import ContainerEngine, RemediationFilter, Store

#: Open stories looked through; a host has fewer containers.
_MOST: Final = 10_000
#: Activities of a group among which its last scale-in is looked for.
_LATELY: Final = 20
#: What we know since when is known of so many at most; what is forgotten is known less long.
_CAP: Final = 10_000
#: Whoever helps for longer than this hides something that a person should look at.
_OLD: Final = timedelta(hours=24)
#: Where no original tells its own.
_STOP_GRACE: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One group, and what belongs to it but decides nothing."""

    crowd: Crowd
    policy: Policy
    #: The rulebook that the policy is from.
    book: Rulebook
    #: Time between SIGTERM and SIGKILL of its containers.
    stop_grace: timedelta


class Lookout:
    """See the module. Remembers since when clones are ill, or found; begins anew with us."""

    def __init__(
        self,
        engine: ContainerEngine,
        observer: Observer,
        census: Census,
        store: Store,
        *,
        rules: Rules,
        prefix: str,
    ) -> None:
        self._engine = engine
        self._observer = observer
        self._census = census
        self._store = store
        self._rules = rules
        self._prefix = prefix
        self._ill: dict[str, datetime] = {}
        #: Those that are not remembered.
        self._found: dict[str, datetime] = {}
        #: Groups without an original.
        self._orphaned: dict[str, datetime] = {}
        #: What was told to happen later than now, by a clock that was wrong.
        self._ahead: dict[str, datetime] = {}

    async def roster(self) -> Roster:
        """List the engine's containers. :raises EngineUnavailable:"""
        return await self._census.roster()

    async def look(self, group: GroupId, *, now: datetime) -> Sight:
        """
        Look at one group.

        :raises EngineUnavailable:
        :raises StoreUnavailable:
        """
        # Not older than the last removal of ours: whoever has left counts no more.
        members = (await self._census.roster(fresh=True)).group(group)
        targets = sorted({str(one.target) for one in members if one.clone_of is None})
        seen = [await self._observer.observe(target, now=now) for target in targets]
        stories = await self._stories(group)
        originals = tuple(one.observation for one in seen)
        orphaned = None
        if targets:
            self._orphaned.pop(str(group), None)
        elif members:
            seen = [await self._orphan(one, now=now) for one in members]
            since = self._since(self._orphaned, str(group), now)
            orphaned = Orphaned(since=since, seen=tuple(one.observation for one in seen))
        clones = []
        for member in members:
            if member.clone_of is not None:
                one = await self._clone(member, originals, stories, now=now)
                clones += [] if one is None else [one]
        lately = await self._store.history.activities(group=str(group), limit=_LATELY)
        last = _last(lately, ActivityKind.SCALE_IN, now=now)
        records = await self._store.scaling.replaced()
        back = _last(lately, ActivityKind.BRING_BACK, now=now)
        is_back = back is not None and back.status is ActivityStatus.SUCCESSFUL
        crowd = Crowd(
            id=str(group),
            originals=originals,
            clones=tuple(clones),
            is_service=any(one.is_swarm_task for one in members),
            is_open=bool(stories) or any(one.remediation is not None for one in originals),
            closed_at=max(
                (at for one in originals if (at := self._closed_at(one, now)) is not None),
                default=None,
            ),
            orphaned=orphaned,
            left_at=last.finished_at if last is not None else None,
            has_failed=last is not None and last.status is ActivityStatus.FAILED,
            replaced=replaced.of_group(originals, clones, records, now=now),
            returned_at=back.finished_at if back is not None and is_back else None,
            stuck_at=back.finished_at if back is not None and not is_back else None,
        )
        book = self._rules.book
        containers = [one.observation.container for one in seen]
        graces = [one.stop_grace for one in containers if one is not None]
        return Sight(
            crowd=crowd,
            policy=_policy(seen, book),
            book=book,
            stop_grace=max(graces, default=_STOP_GRACE),
        )

    async def _orphan(self, member: Member, *, now: datetime) -> Seen:
        """Look at a clone in its own name: nobody is left who speaks for it."""
        seen = await self._observer.observe(str(member.target), now=now)
        is_ours_to_act_on = member.opt_in is not OptIn.NO
        return replace(seen, observation=replace(seen.observation, opted_in=is_ours_to_act_on))

    async def _stories(self, group: GroupId) -> list[Remediation]:
        found = await self._store.history.remediations(
            RemediationFilter(open_only=True, limit=_MOST)
        )
        return [one for one in found if one.group == str(group)]

    async def _clone(
        self,
        member: Member,
        originals: tuple[Observation, ...],
        stories: list[Remediation],
        *,
        now: datetime,
    ) -> CloneSeen | None:
        listed = member.listed
        try:
            inspected = await self._engine.inspect(listed.id)
        except ContainerGone:
            return None
        attempt_id = listed.labels.get(f"{self._prefix}.attempt", "")
        record = await self._store.history.activity(attempt_id) if attempt_id else None
        recorded: bool | None = record is not None
        if record is not None and record.container_id not in (None, listed.id):
            recorded = None  # the label is a copy: somebody made it from a clone of ours
        elif record is None and not await self._may_be_forgotten(listed):
            recorded = None  # nor is it ours where the store would remember it
        if recorded is not False:
            self._found.pop(listed.id, None)  # who is forgotten later is found later
        known_since = now if recorded is not False else self._since(self._found, listed.id, now)
        wish = _wish(listed.labels.get(label_of_source(self._prefix)))
        is_well = listed.is_serving or listed.state is RunState.PAUSED
        if is_well:
            self._ill.pop(listed.id, None)
        return CloneSeen(
            listed=listed,
            made_at=self._not_ahead(listed.id, _made_at(listed, record) or known_since, now),
            recorded=recorded,
            known_since=known_since,
            made_by=attempt_id,
            made_for=record.reason if record is not None else None,
            clone_of=member.clone_of or "",
            ill_since=None if is_well else self._since(self._ill, listed.id, now),
            is_on_trial=any(_tries(story, attempt_id) for story in stories),
            is_cut_off=_is_cut_off(inspected, originals),
            protected=member.protected,
            source=wish,
            networks=listed.labels.get(label_of_networks(self._prefix), ""),
            attempt=None if wish is None else _attempt(originals, attempt_id),
            had_its_turn=wish is not None
            and await self._store.history.activity(replacing.of_clone(attempt_id)) is not None,
        )

    async def _may_be_forgotten(self, listed: Listed) -> bool:
        """Tell whether the store may have lost its memory since a container was created."""
        begun_at = (await self._store.leadership.look()).begun_at
        if begun_at is None or listed.created_at is None:
            return True
        # One that was being made just then is written down by nobody.
        return listed.created_at <= begun_at + GRACE

    def _closed_at(self, seen: Observation, now: datetime) -> datetime | None:
        story = seen.previous
        if story is None or story.closed_at is None:
            return None
        return self._not_ahead(story.id, story.closed_at, now)

    def _not_ahead(self, what: str, at: datetime, now: datetime) -> datetime:
        """Tell when something was: what is said to be yet to come was when we heard of it."""
        if at <= now:
            self._ahead.pop(what, None)
            return at
        return self._since(self._ahead, what, now)

    def _since(self, kept: dict[str, datetime], key: str, now: datetime) -> datetime:
        if len(kept) >= _CAP:
            kept.clear()
        # Kept anew where our clock was set back: as old as it is then, it would stay for hours.
        kept[key] = since = min(now, kept.get(key, now))
        return since


def old_clones(roster: Roster, *, now: datetime) -> tuple[Listed, ...]:
    """List clones that have been helping for so long that a person should know."""
    return tuple(
        one.listed
        for one in roster.members
        if one.clone_of is not None
        and one.listed.created_at is not None
        and now - one.listed.created_at > _OLD
    )


def _last(lately: Iterable[Activity], kind: ActivityKind, *, now: datetime) -> Activity | None:
    over = [
        one
        for one in lately
        if one.kind is kind
        and one.status in (ActivityStatus.SUCCESSFUL, ActivityStatus.FAILED)
        # By a clock that was wrong it has not ended yet: it would count for as long.
        and (one.finished_at or one.started_at) <= now
    ]
    return max(over, key=lambda one: one.finished_at or one.started_at, default=None)


def _attempt(originals: Iterable[Observation], attempt_id: str) -> Attempt | None:
    """Find the attempt that made a clone, in the stories at hand."""
    for seen in originals:
        for story in (seen.remediation, seen.previous):
            for one in story.attempts if story is not None else ():
                if one.id == attempt_id:
                    return one
    return None


def _wish(label: str | None) -> SourceAfterwards | None:
    """Read what a clone's label says of its source; a label may hold anything."""
    try:
        return SourceAfterwards(label) if label else None
    except ValueError:
        return None


def _policy(seen: list[Seen], book: Rulebook) -> Policy:
    """Find the policy of the group's last story, which knows the alert; else what covers it."""
    for one in seen:
        story = one.observation.remediation or one.observation.previous
        if story is not None:
            return policy_named(book, story.policy)
    return seen[0].policy if seen else book.defaults


def _made_at(listed: Listed, record: Activity | None) -> datetime | None:
    if record is not None:
        return record.finished_at or record.started_at
    return listed.created_at


def _tries(story: Remediation, attempt_id: str) -> bool:
    attempt = story.open_attempt
    return attempt is not None and attempt.id == attempt_id


def _is_cut_off(clone: Container, originals: tuple[Observation, ...]) -> bool:
    """Tell whether a clone is off its networks although its source has some."""
    sources = [one.container for one in originals if one.container is not None]
    has_some = any(one.networks for one in sources) or bool(clone.is_cut_off)
    return clone.is_running and has_some and not clone.networks
