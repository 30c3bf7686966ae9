"""A container in its roles: which slot it fills, what it scales with, who has opted it in."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from app.domain.container import Listed
from app.domain.target import GroupId, TargetId, is_safe_name
from app.policies.spec import Enable, Mode

COMPOSE = "com.docker.compose."
_SWARM_SERVICE = "com.docker.swarm.service.name"
_SWARM_TASK = "com.docker.swarm.task.name"


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
    #: Why it is never acted on; None: it may be.
    protected: str | None = None

    @property
    def mode(self) -> Mode:
        """The mode that its label asks for."""
        return Mode.OBSERVE if self.opt_in is OptIn.OBSERVE else Mode.ENFORCE


def member_of(
    listed: Listed, engine: str, *, prefix: str, enable: tuple[Enable, ...], protected: str | None
) -> Member:
    """Read a line of the engine's listing."""
    labels = listed.labels
    clone_of = labels.get(f"{prefix}.clone-of") or None
    slot = _slot(listed)
    return Member(
        listed=listed,
        target=TargetId(engine, slot),
        group=GroupId(engine, _group(listed, prefix, clone_of or slot)),
        opt_in=_opt_in(listed, prefix, enable, clone_of or listed.name),
        clone_of=clone_of,
        # One whose service is driven in its place is a container like any other.
        is_swarm_task=_SWARM_SERVICE in labels and listed.service is None,
        protected=protected,
    )


def _slot(listed: Listed) -> str:
    labels = listed.labels
    slot = listed.name
    if _SWARM_TASK in labels:
        # "service.slot.taskid" (or the node's id in place of the slot): the task's id changes.
        slot = labels[_SWARM_TASK].rpartition(".")[0]
    elif not is_one_off(listed):
        parts = [labels.get(COMPOSE + key) for key in ("project", "service", "container-number")]
        if all(parts):
            slot = "-".join(part for part in parts if part)
    # Docker bounds no name's length: one that is too long for ours (anybody's container, opted in
    # or not) must not cost us the whole listing. Its id is always short and safe.
    return next((name for name in (slot, listed.name) if is_safe_name(name)), listed.id[:12])


def is_one_off(listed: Listed) -> bool:
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
    if project and service and not is_one_off(listed):
        # A container's name cannot hold a slash, so this never collides with one.
        return f"{project}/{service}"
    return otherwise


def _opt_in(listed: Listed, prefix: str, enable: tuple[Enable, ...], name: str) -> OptIn:
    """:param name: that the policy file may call it by; a clone goes by its source's"""
    word = listed.labels.get(f"{prefix}.enable", "").strip().lower()
    if word == OptIn.ENFORCE:
        return OptIn.ENFORCE
    if word == OptIn.OBSERVE:
        return OptIn.OBSERVE
    if word:  # "false", or something nobody can act on: the owner's own word beats the file's
        return OptIn.NO
    return OptIn.ENFORCE if any(_names(entry, listed, name) for entry in enable) else OptIn.NO


def is_looked_after(
    listed: Listed, *, prefix: str, enable: tuple[Enable, ...] | None
) -> bool | None:
    """
    Tell, by what an engine lists and nothing else, whether Relevo may come to act on a container.

    None: that cannot be told. A no has to be sure: who hears it expects no word of Relevo's about
    how the container's alerts end.

    :param enable: of the policy file; None: nobody knows it
    """
    labels = listed.labels
    if labels.get(f"{prefix}.clone-of"):
        return True
    if _opt_in(listed, prefix, enable or (), listed.name) is not OptIn.NO:
        return True
    if _SWARM_SERVICE in labels:
        return None  # the labels of its service count as well, and no container shows them
    is_said = bool(labels.get(f"{prefix}.enable", "").strip())
    return False if is_said or enable is not None else None


def _names(entry: Enable, listed: Listed, name: str) -> bool:
    wishes = (
        (entry.name, name),
        (entry.project, listed.labels.get(f"{COMPOSE}project", "")),
        (entry.service, listed.labels.get(f"{COMPOSE}service", "")),
    )
    asked = [(pattern, value) for pattern, value in wishes if pattern is not None]
    return bool(asked) and all(value and fnmatchcase(value, pattern) for pattern, value in asked)
