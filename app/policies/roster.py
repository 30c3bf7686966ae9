"""Who is on an engine: its listing, read as targets and groups."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.domain.container import Listed
from app.domain.decision import Reason
from app.domain.target import GroupId, TargetId
from app.policies.label_typos import label_typos
from app.policies.membership import COMPOSE, Member, OptIn, is_one_off, member_of
from app.policies.protect import Ourselves, protection
from app.policies.spec import Enable

#: Compose labels as they reach an alert: cAdvisor's spelling first, then the bare one.
_ALERT_PROJECT = ("container_label_com_docker_compose_project", "com_docker_compose_project")
_ALERT_SERVICE = ("container_label_com_docker_compose_service", "com_docker_compose_service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The container that an alert is about, and the target that its need belongs to."""

    member: Member
    #: The member itself, or for a clone the original that it relieves.
    root: Member

    @property
    def on_source(self) -> bool:
        """Whether the alert is about the target's own container, not about a clone of it."""
        return self.member is self.root


@dataclass(frozen=True, slots=True, kw_only=True)
class NotOurs:
    """Why an alert concerns no target of ours."""

    reason: Reason
    detail: str
    #: The clone that it is about, where what that was made from is gone.
    orphan: Member | None = None


class Roster:
    """All containers of one engine at one moment; exact matches only."""

    def __init__(
        self,
        engine: str,
        listing: Iterable[Listed],
        *,
        prefix: str,
        enable: tuple[Enable, ...] = (),
        protected: tuple[str, ...] = (),
        ourselves: Ourselves = Ourselves(),  # noqa: B008 - frozen
    ) -> None:
        self.engine = engine
        self._prefix = prefix
        listing = tuple(listing)
        own_project = _own_project(listing, ourselves)
        self.members = tuple(
            member_of(
                one,
                engine,
                prefix=prefix,
                enable=enable,
                protected=protection(
                    one, ourselves, own_project=own_project, patterns=protected, prefix=prefix
                ),
            )
            for one in listing
        )
        self._by_id = {member.listed.id: member for member in self.members}
        self._by_name = {name: m for m in self.members for name in m.listed.former}
        self._by_name |= {member.listed.name: member for member in self.members}
        self._by_slot: dict[str, list[Member]] = {}
        self._by_group: dict[GroupId, list[Member]] = {}
        self._by_project: dict[str, list[Listed]] = {}
        for member in self.members:
            self._by_slot.setdefault(member.target.slot, []).append(member)
            self._by_group.setdefault(member.group, []).append(member)
            project = member.listed.labels.get(f"{COMPOSE}project", "")
            self._by_project.setdefault(project, []).append(member.listed)
        # Asked with every step of every target.
        by_target = {
            m.target: m for m in self.members if m.clone_of is None and m.opt_in is not OptIn.NO
        }
        self._targets = tuple(by_target[target] for target in sorted(by_target))
        #: How many clones there are, of all groups.
        self.clones = sum(m.clone_of is not None for m in self.members)

    def targets(self) -> tuple[Member, ...]:
        """List the opted-in originals, by name; a slot that two of them claim appears once."""
        return self._targets

    def label_typos(self) -> tuple[str, ...]:
        """Say which labels do nothing, and what was probably meant."""
        return label_typos((member.listed for member in self.members), prefix=self._prefix)

    def neighbours(self, member: Member) -> tuple[Listed, ...]:
        """List the containers of a member's compose project, itself among them."""
        project = member.listed.labels.get(f"{COMPOSE}project")
        return tuple(self._by_project.get(project, ())) if project else ()

    def holding(self, container_id: str) -> Member | None:
        """Find a container by its full id."""
        return self._by_id.get(container_id)

    def at(self, target: TargetId) -> tuple[Member, ...]:
        """List who claims a slot: one, none, or (half-way through a deploy) several."""
        if target.engine != self.engine:
            return ()
        return tuple(self._by_slot.get(target.slot, ()))

    def group(self, group: GroupId) -> tuple[Member, ...]:
        """List the members of a group, originals and clones, running or not."""
        return tuple(self._by_group.get(group, ()))

    def made_by(self, attempt_id: str, prefix: str) -> Member | None:
        """Find the clone that an attempt made."""
        for member in self.members:
            if member.listed.labels.get(f"{prefix}.attempt") == attempt_id:
                return member
        return None

    def resolve(
        self, labels: Mapping[str, str], *, target_labels: tuple[str, ...]
    ) -> Found | NotOurs:
        """
        Tell which target an alert is about.

        The first of `target_labels` that the alert carries decides; the compose project and
        service only where it carries none. A label's value is compared, never used otherwise.
        """
        candidates = self._candidates(labels, target_labels)
        if isinstance(candidates, NotOurs):
            return candidates
        if len(candidates) > 1:
            names = ", ".join(sorted(m.listed.name for m in candidates)[:5])
            return NotOurs(
                reason=Reason.AMBIGUOUS_TARGET, detail=f"more than one container fits: {names}"
            )
        (member,) = candidates
        root = self._root(member)
        if root is None:
            return NotOurs(
                reason=Reason.NO_SUCH_TARGET,
                detail=f"{member.listed.name} is a clone whose source is gone",
                orphan=member,
            )
        if root.is_swarm_task:
            return NotOurs(
                reason=Reason.SWARM_TASK,
                detail=f"{member.listed.name} is a task of a Swarm service and not touched",
            )
        if root.opt_in is OptIn.NO:
            return NotOurs(
                reason=Reason.NOT_OPTED_IN, detail=f"{root.listed.name} has not opted in"
            )
        if root.protected is not None:
            return NotOurs(reason=Reason.PROTECTED, detail=f"{root.listed.name}: {root.protected}")
        if len(self.at(root.target)) > 1:
            return NotOurs(
                reason=Reason.AMBIGUOUS_TARGET,
                detail=f"more than one container claims the slot {root.target.slot}",
            )
        return Found(member=member, root=root)

    def _candidates(
        self, labels: Mapping[str, str], target_labels: tuple[str, ...]
    ) -> list[Member] | NotOurs:
        for label in target_labels:
            value = labels.get(label)
            if value:
                named = self._by_name.get(value)
                found = [named] if named is not None else self._by_slot.get(value, [])
                return found or NotOurs(
                    reason=Reason.NO_SUCH_TARGET,
                    detail=f"no container on this engine is called what label {label!r} says",
                )
        project, service = _first(labels, _ALERT_PROJECT), _first(labels, _ALERT_SERVICE)
        if project and service:
            return [
                member
                for member in self.members
                if member.clone_of is None
                and not is_one_off(member.listed)
                and member.listed.labels.get(f"{COMPOSE}project") == project
                and member.listed.labels.get(f"{COMPOSE}service") == service
            ] or NotOurs(
                reason=Reason.NO_SUCH_TARGET,
                detail="no container on this engine belongs to that compose project and service",
            )
        return NotOurs(
            reason=Reason.NO_SUCH_TARGET,
            detail=f"none of the labels {', '.join(target_labels)} names a container",
        )

    def _root(self, member: Member) -> Member | None:
        if member.clone_of is None:
            return member
        source = self._by_name.get(member.clone_of)
        if source is not None and source.clone_of is None:
            return source
        originals = [m for m in self.group(member.group) if m.clone_of is None]
        return originals[0] if originals else None


def whose(labels: Mapping[str, str], *, engine: str, instances: tuple[str, ...]) -> NotOurs | None:
    """
    Tell whether an alert is about our engine; None when it is.

    An alert without label ``engine`` is ours only if its ``instance`` is among `instances`
    (empty: any): one Alertmanager may serve many hosts that run the same project.
    """
    named = labels.get("engine", "")
    if named:
        if named == engine:
            return None
        return NotOurs(
            reason=Reason.OTHER_ENGINE, detail=f"it is about another engine than {engine}"
        )
    if not instances or labels.get("instance", "") in instances:
        return None
    return NotOurs(
        reason=Reason.AMBIGUOUS_ENGINE,
        detail="it has no label 'engine', and its 'instance' is not among the policy file's",
    )


def _first(labels: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((labels[name] for name in names if labels.get(name)), None)


def _own_project(listing: tuple[Listed, ...], ourselves: Ourselves) -> str | None:
    """Name the compose project of the container that Relevo runs in."""
    own = ourselves.container_id
    if own is None:
        return None
    return next((c.labels.get(f"{COMPOSE}project") for c in listing if c.id.startswith(own)), None)
