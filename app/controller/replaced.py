"""Which originals are off duty, since a clone serves in their place."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from app.domain.activity import Activity, ActivityKind
from app.domain.container import Container, Listed, RunState
from app.domain.observation import Observation
from app.policies import replacing
from app.policies.aftermath import died_by_itself
from app.policies.clone_config import label_of_source
from app.policies.crowd import CloneSeen, ReplacedSeen
from app.policies.membership import Member
from app.policies.spec import SourceAfterwards
from app.ports import Scaling

#: In which one that we have stopped is found.
_STOPPED = (RunState.EXITED, RunState.CREATED, RunState.DEAD)


async def is_replaced(
    scaling: Scaling, container: Container, members: Iterable[Member], *, prefix: str
) -> bool:
    """
    Tell whether we have isolated or stopped a container.

    One that serves costs nothing; nor does one that is off its networks beside a clone that says
    so. Of one that is stopped only our own record tells that it was us.

    :param members: of its group
    :raises StoreUnavailable:
    """
    if container.is_running and not container.is_cut_off:
        return False
    label = label_of_source(prefix)
    if container.is_cut_off and any(
        one.clone_of == container.name
        and one.listed.labels.get(label) == SourceAfterwards.ISOLATE.value
        for one in members
    ):
        return True
    return any(
        one.container_id == container.id and _is_that_life(one, container)
        for one in await scaling.replaced()
    )


def in_its_place(container: Container, members: Iterable[Member]) -> Listed:
    """Find the clone that serves in the place of a container; itself where none does."""
    serving = (m.listed for m in members if m.clone_of is not None and m.listed.is_serving)
    return next(serving, container)


def of_group(
    originals: Iterable[Observation],
    clones: Iterable[CloneSeen],
    records: Sequence[Activity],
    *,
    now: datetime,
) -> tuple[ReplacedSeen, ...]:
    """
    Gather the originals of a group that are off duty.

    After a total loss of the store the clone tells: its label says what was to become of its
    source, and the engine whether it has.

    :param records: `Scaling.replaced`
    """
    found = []
    by_id = {one.container_id: one for one in records}
    clones = tuple(clones)
    for seen in originals:
        container = seen.container
        if container is None:
            continue
        record = by_id.get(container.id)
        if record is not None and record.replacement is not None:
            found.append(
                ReplacedSeen(
                    container=container,
                    target=seen.target,
                    kind=record.kind,
                    since=record.finished_at or record.started_at,
                    clone_id=record.replacement.clone_id,
                    networks=record.replacement.networks,
                    started_at=record.replacement.started_at,
                    known_since=record.started_at,
                    human=seen.guards.human,
                )
            )
            continue
        told = next((one for one in clones if _tells(one, container)), None)
        if told is not None:
            found.append(
                ReplacedSeen(
                    container=container,
                    target=seen.target,
                    kind=_kind(told),
                    since=min(told.made_at, now),
                    clone_id=told.listed.id,
                    networks=told.networks,
                    started_at=None,
                    known_since=told.known_since,
                    human=seen.guards.human,
                )
            )
    return tuple(found)


def _tells(clone: CloneSeen, container: Container) -> bool:
    """Tell whether a clone that nobody remembers says that its source is off duty."""
    if clone.recorded is not False or clone.clone_of != container.name or clone.source is None:
        return False
    if clone.source is SourceAfterwards.ISOLATE:
        return replacing.is_off(clone.networks, container)
    return container.state in _STOPPED and not died_by_itself(container)


def _kind(clone: CloneSeen) -> ActivityKind:
    is_isolated = clone.source is SourceAfterwards.ISOLATE
    return ActivityKind.ISOLATE if is_isolated else ActivityKind.STOP


def _is_that_life(one: Activity, container: Container) -> bool:
    """Tell one that we have stopped from one that was started, and stopped by somebody, since."""
    if one.kind is not ActivityKind.STOP or one.replacement is None:
        return True
    return one.replacement.started_at == container.started_at
