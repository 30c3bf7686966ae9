"""How many instances a group has and is to have; which are clones, and why they are there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.activity import Activity, ActivityKind
from app.domain.reason import Reason
from app.domain.remediation import Action, Remediation, Trigger
from app.domain.target import GroupId
from app.policies.membership import Member
from app.policies.roster import Roster
from app.policies.scale_in import Stay
from app.ports import History


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneView:
    """One clone as people see it."""

    container: str
    #: Name of the container that it was made from.
    clone_of: str
    #: When it came up, as far as is known.
    since: datetime | None
    #: Why it was made; None where nobody remembers that.
    reason: Reason | None = None
    #: Of one that a person ordered: who, and why.
    ordered: str | None = None
    #: Id of the attempt that made it, by its label.
    attempt: str | None = None
    #: Id of the activity by which it is leaving; None: it is not.
    leaving: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Headcount:
    """The instances of one group, in AWS Auto Scaling's words; running or not."""

    #: Originals: it never has fewer by our hand.
    least: int
    #: As many as there will be once those that are being made are there, and those that are
    #: leaving gone.
    desired: int
    #: Originals and clones.
    instances: int
    #: The oldest first.
    clones: tuple[CloneView, ...]
    #: Why none of the clones leaves, at the last look; None: one does, or there is none.
    stays: Stay | None


class Counting:
    """
    Counts the instances of groups.

    :param stays: why nobody leaves, by group (``engine:group``)
    """

    def __init__(
        self, history: History, *, prefix: str, stays: Callable[[], Mapping[str, Stay]]
    ) -> None:
        self._history = history
        self._prefix = prefix
        self._stays = stays

    async def count(
        self,
        roster: Roster,
        group: GroupId,
        stories: Iterable[Remediation],
        under_way: Sequence[Activity],
    ) -> Headcount:
        """
        Count the instances of a group.

        :param stories: the open ones of the group
        :param under_way: scale-ins, of whichever group
        :raises StoreUnavailable:
        """
        members = roster.group(group)
        leaving = {one.container_id: one.id for one in under_way if one.group == str(group)}
        clones = [
            await self._clone(one, leaving.get(one.listed.id))
            for one in members
            if one.clone_of is not None
        ]
        coming = sum(self._is_coming(story, roster) for story in stories)
        going = sum(one.leaving is not None for one in clones)
        is_staying = bool(clones) and going == 0
        return Headcount(
            least=len(members) - len(clones),
            desired=len(members) + coming - going,
            instances=len(members),
            clones=tuple(sorted(clones, key=_age)),
            stays=self._stays().get(str(group)) if is_staying else None,
        )

    async def _clone(self, member: Member, leaving: str | None) -> CloneView:
        listed = member.listed
        attempt = listed.labels.get(f"{self._prefix}.attempt") or None
        made = await self._history.activity(attempt) if attempt is not None else None
        if made is not None and not _is_of(made, member):
            made = None  # the label is a copy: somebody made it from a clone of ours
        return CloneView(
            container=listed.name,
            clone_of=member.clone_of or "",
            since=listed.created_at if made is None else made.finished_at or made.started_at,
            reason=None if made is None else made.reason,
            ordered=None if made is None else made.ordered,
            attempt=attempt,
            leaving=leaving,
        )

    def _is_coming(self, story: Remediation, roster: Roster) -> bool:
        """Tell whether an instance is being made, and not there yet."""
        attempt = story.open_attempt
        if attempt is None or attempt.action is not Action.SCALE_OUT:
            return False
        if attempt.trigger is Trigger.REHEARSAL or attempt.acted_at is not None:
            return False
        return roster.made_by(attempt.id, self._prefix) is None


def _is_of(made: Activity, member: Member) -> bool:
    return made.kind is ActivityKind.SCALE_OUT and made.container_id in (None, member.listed.id)


def _age(clone: CloneView) -> tuple[bool, float, str]:
    at = 0.0 if clone.since is None else clone.since.timestamp()
    return clone.since is None, at, clone.container
