"""Who is on an engine: its listing, read as targets and groups."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from app.domain.container import Listed
from app.domain.decision import Reason
from app.domain.target import GroupId, TargetId, is_safe_name
from app.policies.spec import Enable, Mode

COMPOSE = "com.docker.compose."
_SWARM_SERVICE = "com.docker.swarm.service.name"
_SWARM_TASK = "com.docker.swarm.task.name"
#: Compose labels as they reach an alert: cAdvisor's spelling first, then the bare one.
_ALERT_PROJECT = ("container_label_com_docker_compose_project", "com_docker_compose_project")
_ALERT_SERVICE = ("container_label_com_docker_compose_service", "com_docker_compose_service")


class OptIn(StrEnum):
    """How far a container's owner lets us go."""

    ENFORCE = "true"
    OBSERVE = "observe"
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One container in its roles."""

    listed: Listed
    target: TargetId
    group: GroupId
    opt_in: OptIn
    #: Name of the container that this clone was made from; None for an original.
    clone_of: str | None
    is_swarm_task: bool

    @property
    def mode(self) -> Mode:
        """The mode that its label asks for."""
        return Mode.OBSERVE if self.opt_in is OptIn.OBSERVE else Mode.ENFORCE


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


class Roster:
    """All containers of one engine at one moment; exact matches only."""

    def __init__(
        self,
        engine: str,
        listing: Iterable[Listed],
        *,
        prefix: str,
        enable: tuple[Enable, ...] = (),
    ) -> None:
        self.engine = engine
        self.members = tuple(_member(one, engine, prefix, enable) for one in listing)
        self._by_name = {member.listed.name: member for member in self.members}
        self._by_slot: dict[str, list[Member]] = {}
        self._by_group: dict[GroupId, list[Member]] = {}
        for member in self.members:
            self._by_slot.setdefault(member.target.slot, []).append(member)
            self._by_group.setdefault(member.group, []).append(member)

    def targets(self) -> tuple[Member, ...]:
        """List the opted-in originals, by name."""
        return tuple(
            sorted(
                (m for m in self.members if m.clone_of is None and m.opt_in is not OptIn.NO),
                key=lambda m: m.target,
            )
        )

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
                and not _is_one_off(member.listed)
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


def _member(listed: Listed, engine: str, prefix: str, enable: tuple[Enable, ...]) -> Member:
    labels = listed.labels
    clone_of = labels.get(f"{prefix}.clone-of") or None
    slot = _slot(listed)
    return Member(
        listed=listed,
        target=TargetId(engine, slot),
        group=GroupId(engine, _group(listed, prefix, clone_of or slot)),
        opt_in=_opt_in(listed, prefix, enable),
        clone_of=clone_of,
        is_swarm_task=_SWARM_SERVICE in labels,
    )


def _slot(listed: Listed) -> str:
    labels = listed.labels
    slot = listed.name
    if _SWARM_TASK in labels:
        # "service.slot.taskid" (or the node's id in place of the slot): the task's id changes.
        slot = labels[_SWARM_TASK].rpartition(".")[0]
    elif not _is_one_off(listed):
        parts = [labels.get(COMPOSE + key) for key in ("project", "service", "container-number")]
        if all(parts):
            slot = "-".join(part for part in parts if part)
    # Docker bounds no name's length: one that is too long for ours (anybody's container, opted in
    # or not) must not cost us the whole listing. Its id is always short and safe.
    return next((name for name in (slot, listed.name) if is_safe_name(name)), listed.id[:12])


def _is_one_off(listed: Listed) -> bool:
    """Tell a container of ``docker compose run``: it carries its service's labels, no more."""
    return listed.labels.get(f"{COMPOSE}oneoff") == "True"


def _group(listed: Listed, prefix: str, otherwise: str) -> str:
    labels = listed.labels
    workload = labels.get(f"{prefix}.workload")
    if workload:
        return workload
    if labels.get(_SWARM_SERVICE):
        return labels[_SWARM_SERVICE]
    project, service = labels.get(f"{COMPOSE}project"), labels.get(f"{COMPOSE}service")
    if project and service and not _is_one_off(listed):
        # A container's name cannot hold a slash, so this never collides with one.
        return f"{project}/{service}"
    return otherwise


def _opt_in(listed: Listed, prefix: str, enable: tuple[Enable, ...]) -> OptIn:
    word = listed.labels.get(f"{prefix}.enable", "").strip().lower()
    if word == OptIn.ENFORCE:
        return OptIn.ENFORCE
    if word == OptIn.OBSERVE:
        return OptIn.OBSERVE
    if word:  # "false", or something nobody can act on: the owner's own word beats the file's
        return OptIn.NO
    return OptIn.ENFORCE if any(_names(entry, listed) for entry in enable) else OptIn.NO


def _names(entry: Enable, listed: Listed) -> bool:
    wishes = (
        (entry.name, listed.name),
        (entry.project, listed.labels.get(f"{COMPOSE}project", "")),
        (entry.service, listed.labels.get(f"{COMPOSE}service", "")),
    )
    asked = [(pattern, value) for pattern, value in wishes if pattern is not None]
    return bool(asked) and all(value and fnmatchcase(value, pattern) for pattern, value in asked)
