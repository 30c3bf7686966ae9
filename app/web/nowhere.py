"""A name that leads to no container of ours: what it is instead, and what a person can do."""

from dataclasses import dataclass
from typing import Final

from app.controller.overview import StatusView
from app.domain.decision import Reason
from app.policies.plain_words import fix
from app.policies.roster import NotOurs

#: There is such a container, and Relevo keeps away from it.
_THERE: Final = (
    Reason.NOT_OPTED_IN,
    Reason.PROTECTED,
    Reason.SWARM_TASK,
    Reason.AMBIGUOUS_TARGET,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nowhere:
    """What a page says in place of a container."""

    title: str
    said: str
    #: What a person can do; empty: nothing.
    do: str


def not_looked_after(
    name: str, found: NotOurs | None, status: StatusView, *, prefix: str
) -> Nowhere:
    """
    Say what a name is instead.

    :param name: ``engine:name``
    :param found: what the engine's listing says of it
    """
    if found is not None and found.reason in _THERE:
        called = name.partition(":")[2]
        typos = [one.removeprefix(f"{called}: ") for one in typos_of(called, status)]
        return Nowhere(
            title="Relevo does not look after this container",
            said=": ".join([f"It is there, but {found.detail}", *typos]),
            do="" if typos else fix(found.reason, prefix=prefix),
        )
    if found is not None and found.reason is Reason.OTHER_ENGINE:
        return Nowhere(title="Not on this engine", said=found.detail, do="")
    return Nowhere(
        title="Not Found",
        said="No container of that name is there, and there is no story of one",
        do="",
    )


def gone(found: NotOurs | None, status: StatusView) -> str:
    """Say why only the past of a target is shown."""
    if status.engine_trouble:
        return "Whether it is still there is not known"
    if found is not None and found.reason in _THERE:
        return f"It is not looked after: {found.detail}"
    return "There is no such container now"


def typos_of(container: str, status: StatusView) -> tuple[str, ...]:
    """Find what is said of one container's labels."""
    return tuple(one for one in status.label_typos if one.startswith(f"{container}: "))
