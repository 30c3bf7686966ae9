"""
A Swarm service as containers: each of its places is one, whatever task fills it at the moment.

A place keeps its id while tasks come and go. A new task in it is a start of the same container, a
force update a restart, a task that failed a restart by the engine itself; replicas that we added
are clones. So everything that is decided about containers holds for services as well.
"""

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from app.domain.container import Container, Health, Listed, RunState
from app.domain.fidelity import Fate, FidelityItem, FidelityReport, RefusalReason
from app.domain.service import OVER, Service, ServiceMode, ServiceTask, TaskState, UpdateState
from app.policies.spec import SourceAfterwards

SERVICE_ID: Final = "com.docker.swarm.service.id"
SERVICE_NAME: Final = "com.docker.swarm.service.name"
TASK_ID: Final = "com.docker.swarm.task.id"
TASK_NAME: Final = "com.docker.swarm.task.name"
NODE_ID: Final = "com.docker.swarm.node.id"

#: Our notes on a service, after the prefix: nothing that its owner said of its containers.
_OURS: Final = ("attempt", "replicas", "scaled-to")
#: It ended by itself.
_ENDED: Final = (TaskState.FAILED, TaskState.REJECTED, TaskState.COMPLETE)
_NOT_THROUGH: Final = (
    UpdateState.UPDATING,
    UpdateState.PAUSED,
    UpdateState.ROLLBACK_STARTED,
    UpdateState.ROLLBACK_PAUSED,
)
_FAILED_UPDATE: Final = (
    UpdateState.PAUSED,
    UpdateState.ROLLBACK_STARTED,
    UpdateState.ROLLBACK_PAUSED,
    UpdateState.ROLLBACK_COMPLETED,
)


def place_id(service: Service, place: str) -> str:
    """Return what a place has for a container's id: 64 hexadecimal digits, always the same."""
    return hashlib.sha256(f"{service.id}.{place}".encode()).hexdigest()


def with_services(
    listing: Iterable[Listed], services: Iterable[Service], *, prefix: str
) -> tuple[Listed, ...]:
    """
    Put the places of services, on whichever node, where the containers of their tasks are.

    Those of jobs stay what they are, tasks: to update a job is to run it again.
    """
    services = tuple(one for one in services if one.mode is not ServiceMode.JOB)
    driven = {one.id for one in services}
    others = [one for one in listing if one.labels.get(SERVICE_ID) not in driven]
    places = [one for service in services for one in containers_of(service, prefix=prefix)]
    return (*others, *places)


def containers_of(service: Service, *, prefix: str) -> tuple[Container, ...]:
    """Describe the places of a service in which Swarm wants a task, those added last at the end."""
    all_of_them = places(service)
    # While one is missing nobody can tell which: none too many is taken for ours.
    added = all_of_them[service.declared :] if service.declared is not None else []
    return tuple(
        _container(
            service, place, prefix, is_added=place in added, is_last=place == all_of_them[-1]
        )
        for place in all_of_them
    )


def places(service: Service) -> list[str]:
    """
    List the places in which Swarm wants a task, those added last at the end.

    By their first task: later ones are made anew in places that there were before.
    """
    wanted = {one.place for one in service.tasks if one.is_wanted}
    first = {
        place: min(_age(one) for one in service.tasks if one.place == place) for place in wanted
    }
    return sorted(wanted, key=lambda place: (first[place], place))


def task_in(service: Service, place: str) -> ServiceTask | None:
    """Find the task that holds a place: the newest that Swarm wants there; None while none is."""
    wanted = [one for one in service.tasks if one.place == place and one.is_wanted]
    return max(wanted, key=_age, default=None)


def newest_place(service: Service) -> str | None:
    """Tell which place was added last; None where no task is wanted."""
    return next(reversed(places(service)), None)


def failed_update(service: Service) -> str | None:
    """Say how Swarm gave the last update up; None where it did not."""
    update = service.update
    if update is None or update.state not in _FAILED_UPDATE:
        return None
    return f"the update is {update.state}: {update.message or 'Swarm does not say why'}"


def failure_in(service: Service, place: str) -> str | None:
    """Say why the present generation of tasks does not stay, or come, up in a place."""
    for one in _generation(service, place):
        if one.state in _ENDED:
            return f"its task is {one.state}: {one.error or f'exit code {one.exit_code}'}"
    waiting = task_in(service, place)
    if waiting is not None and waiting.state is not TaskState.RUNNING and waiting.error:
        return f"its task is {waiting.state}: {waiting.error}"
    return None


def trouble_of_the_newest(service: Service) -> str | None:
    """Say why the task that was made last does not come up; None where it may."""
    newest = max(service.tasks, key=_age, default=None)
    return None if newest is None else failure_in(service, newest.place)


def is_being_replaced(service: Service) -> bool:
    """Tell that Swarm is replacing tasks just now, by whomever: hands off."""
    update = service.update
    if update is None or _waits_for_the_lost(service):
        return False
    return update.state in (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED)


def _waits_for_the_lost(service: Service) -> bool:
    """
    Tell that a forced update has done all that it can, and waits for a task on a lost node.

    Swarm waits for each task that it has made, also for one that it has given up itself since,
    with its node (measured with engine 20.10: for 100 s and more, until the node was back).
    """
    if service.is_remade or service.update is None:
        return False
    newest = [one for one in service.tasks if one.forced == service.forced]
    running = [one for one in newest if one.is_running]
    is_complete = len(running) == sum(one.is_wanted for one in service.tasks)
    return (
        service.update.state is UpdateState.UPDATING
        and is_complete
        and len(running) >= (service.replicas or 1)
        and any(
            one.desired in OVER and one.state not in (TaskState.RUNNING, *OVER) for one in newest
        )
    )


def is_half_deployed(service: Service) -> bool:
    """
    Tell that a deploy, or the way back from one, is under way or has stopped half-way.

    Swarm takes whatever is written to a service, a number of replicas too, for the word to go on
    with it, and remembers one specification only for a rollback: the one before that write. An
    update that was paused because its tasks fail would take the healthy rest along, and the way
    back with it (measured with engine 20.10).
    """
    update = service.update
    return service.is_remade and update is not None and update.state in _NOT_THROUGH


def has_arrived(service: Service, place: str) -> bool:
    """Tell whether a task of the present generation runs in a place."""
    return any(one.is_running for one in _generation(service, place))


def fidelity(service: Service, source: SourceAfterwards = SourceAfterwards.KEEP) -> FidelityReport:
    """
    Tell what another replica would be: as all others, where a service can have more.

    :param source: what the policy wishes for whoever is relieved: here it does not apply
    """
    field = "Spec.Mode"
    match service.mode:
        case ServiceMode.REPLICATED:
            number = service.replicas or 0
            said = f"{number} replicas become {number + 1}; Swarm makes it as all others"
            item = FidelityItem(field=field, fate=Fate.CHANGED, detail=said)
        case ServiceMode.GLOBAL:
            item = _refused(field, f"{service.name} has a task on every node already: add a node")
        case ServiceMode.JOB:
            item = _refused(field, f"{service.name} is a job")
    items = [item]
    if source is not SourceAfterwards.KEEP:
        said = f"{source} does not apply to a service: Swarm would fill the place at once"
        items.append(FidelityItem(field="scale_out.source", fate=Fate.DROPPED, detail=said))
    # The service's own name and address lead to all of its tasks.
    return FidelityReport(items=tuple(items), traffic="alias")


def _refused(field: str, detail: str) -> FidelityItem:
    word = RefusalReason.SWARM_TASK
    return FidelityItem(field=field, fate=Fate.REFUSED, detail=detail, reason=word)


def _container(
    service: Service, place: str, prefix: str, *, is_added: bool, is_last: bool
) -> Container:
    task = task_in(service, place)
    assert task is not None
    state, health = _state(service, task)
    name = _name(service, task)
    labels = {
        **_said_of(service, prefix),
        **service.container_labels,
        SERVICE_ID: service.id,
        SERVICE_NAME: service.name,
        TASK_ID: task.id,
        TASK_NAME: name,
        NODE_ID: task.node or "",
    }
    if is_added:
        # No container's name: which of the declared ones it relieves, nobody can tell.
        labels[f"{prefix}.clone-of"] = service.name
        if is_last and service.attempt_id is not None:
            labels[f"{prefix}.attempt"] = service.attempt_id
    past = [one for one in service.tasks if one.place == place and one.id != task.id]
    return Container(
        id=place_id(service, place),
        name=name,
        image=task.image,
        image_id=task.image,
        labels=labels,
        state=state,
        health=health,
        created_at=min(one.created_at for one in (task, *past)),
        service=service.id,
        is_replacing=is_being_replaced(service) or is_half_deployed(service),
        former=tuple(_name(service, one) for one in past),
        started_at=task.created_at.isoformat(),
        restart_count=sum(one.state in _ENDED for one in _generation(service, place)),
        exit_code=next((one.exit_code for one in reversed(past) if one.exit_code), 0) or 0,
        stop_grace=_takes(service),
        # Those of its tasks are Swarm's business; none at all would look cut off.
        networks=(service.name,),
    )


def _state(service: Service, task: ServiceTask) -> tuple[RunState, Health]:
    if task.is_running:
        return RunState.RUNNING, Health.NONE
    if failure_in(service, task.place) is not None:
        return RunState.RESTARTING, Health.NONE
    # On its way, in the place of one that Swarm has taken away: by its own wish, not in need.
    return RunState.RUNNING, Health.STARTING


def _takes(service: Service) -> timedelta:
    """Tell how long Swarm may take until it has come round to all tasks and watched them."""
    tasks = len(places(service))
    at_once = service.update_parallelism or max(tasks, 1)
    steps = max(1, -(-tasks // at_once))
    one_step = service.stop_grace + service.update_monitor
    return steps * one_step + (steps - 1) * service.update_delay


def _generation(service: Service, place: str) -> list[ServiceTask]:
    return [one for one in service.tasks if one.place == place and one.forced == service.forced]


def _age(task: ServiceTask) -> tuple[float, str]:
    return task.created_at.timestamp(), task.id


def _name(service: Service, task: ServiceTask) -> str:
    return f"{service.name}.{task.place}.{task.id}"


def _said_of(service: Service, prefix: str) -> dict[str, str]:
    ours = {f"{prefix}.{name}" for name in _OURS}
    return {
        name: value
        for name, value in service.labels.items()
        if name.startswith(f"{prefix}.") and name not in ours
    }
