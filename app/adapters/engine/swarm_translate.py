"""Swarm's JSON as our words, and our marks in its specifications."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from app.adapters.engine.translate import Json, mapping, moment, text, whole
from app.adapters.engine.translate import labels as labels_of
from app.domain.service import (
    Service,
    ServiceMode,
    ServiceTask,
    ServiceUpdate,
    TaskState,
    UpdateState,
)

#: A specification, to be written back.
Spec = dict[str, Any]

_DEFAULT_STOP_GRACE: Final = timedelta(seconds=10)
_DEFAULT_MONITOR: Final = timedelta(seconds=5)
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

#: After the prefix. The attempt of ours that changed a service last …
ATTEMPT: Final = "attempt"
#: … how many replicas it was declared with, while it has more …
REPLICAS: Final = "replicas"
#: … and how many we gave it: with any other number somebody else has had a say since.
SCALED_TO: Final = "scaled-to"


def service(found: Json, tasks: Sequence[Json], *, prefix: str) -> Service:
    """Read ``GET /services/{id}`` and what ``GET /tasks`` lists of it."""
    spec: Json = found["Spec"]
    template: Json = spec.get("TaskTemplate") or {}
    container: Json = template.get("ContainerSpec") or {}
    rules: Json = spec.get("UpdateConfig") or {}
    labels = labels_of(spec.get("Labels"))
    mode, replicas = _mode(spec.get("Mode") or {})
    return Service(
        id=text(found["ID"]),
        name=text(spec["Name"]),
        version=whole(found["Version"]["Index"]),
        mode=mode,
        replicas=replicas,
        declared=_declared(replicas, labels, prefix),
        forced=_forced(template),
        template=_digest(template),
        is_remade=_is_remade(template, found.get("PreviousSpec") or {}),
        labels=labels,
        container_labels=labels_of(container.get("Labels")),
        stop_grace=_span(container.get("StopGracePeriod"), _DEFAULT_STOP_GRACE),
        update_parallelism=whole(rules.get("Parallelism", 1)) if rules else 1,
        update_monitor=_span(rules.get("Monitor") or None, _DEFAULT_MONITOR),
        update_delay=_span(rules.get("Delay"), timedelta(0)),
        attempt_id=labels.get(f"{prefix}.{ATTEMPT}"),
        update=_update(found.get("UpdateStatus") or {}),
        tasks=tuple(sorted((_task(one) for one in tasks), key=lambda one: one.created_at)),
    )


def remember(spec: Spec, *, prefix: str, declared: int, scaled_to: int) -> None:
    """Write into a specification how many replicas its owner wants, while it has more."""
    labels = _labels(spec)
    if scaled_to == declared:
        labels.pop(f"{prefix}.{REPLICAS}", None)
        labels.pop(f"{prefix}.{SCALED_TO}", None)
    else:
        labels[f"{prefix}.{REPLICAS}"] = str(declared)
        labels[f"{prefix}.{SCALED_TO}"] = str(scaled_to)


def sign(spec: Spec, *, prefix: str, attempt_id: str) -> None:
    """Write into a specification whose change it is."""
    _labels(spec)[f"{prefix}.{ATTEMPT}"] = attempt_id


def _labels(spec: Spec) -> dict[str, str]:
    labels: dict[str, str] = spec.get("Labels") or {}
    spec["Labels"] = labels
    return labels


def _mode(mode: Json) -> tuple[ServiceMode, int | None]:
    if "Replicated" in mode:
        # Swarm takes none for one.
        replicas = (mode["Replicated"] or {}).get("Replicas")
        return ServiceMode.REPLICATED, 1 if replicas is None else whole(replicas)
    if "Global" in mode:
        return ServiceMode.GLOBAL, None
    # ReplicatedJob, GlobalJob, and whatever will be invented: nothing that we restart.
    return ServiceMode.JOB, None


def _declared(replicas: int | None, labels: Json, prefix: str) -> int | None:
    declared = _number(labels.get(f"{prefix}.{REPLICAS}"))
    scaled_to = _number(labels.get(f"{prefix}.{SCALED_TO}"))
    if replicas is None or declared is None or scaled_to != replicas or declared > replicas:
        return replicas
    return declared


def _number(text: str | None) -> int | None:
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > 9:
        return None
    return int(text)


def _forced(template: Json) -> int:
    return whole(template.get("ForceUpdate"))


def _digest(template: Json) -> str:
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _is_remade(template: Json, previous: Json) -> bool:
    before: Json | None = previous.get("TaskTemplate")
    return before is not None and _content(mapping(before)) != _content(template)


def _content(template: Json) -> Json:
    return {key: value for key, value in template.items() if key != "ForceUpdate"}


def _span(nanoseconds: int | None, otherwise: timedelta) -> timedelta:
    return otherwise if nanoseconds is None else timedelta(microseconds=whole(nanoseconds) / 1000)


def _update(status: Json) -> ServiceUpdate | None:
    try:
        state = UpdateState(str(status.get("State")))
    except ValueError:
        return None
    return ServiceUpdate(
        state=state,
        message=text(status.get("Message")),
        started_at=moment(status.get("StartedAt")),
    )


def _task(found: Json) -> ServiceTask:
    spec: Json = found.get("Spec") or {}
    status: Json = found.get("Status") or {}
    container: Json = status.get("ContainerStatus") or {}
    created_at = moment(found.get("CreatedAt")) or _NEVER
    return ServiceTask(
        id=text(found["ID"]),
        # Go leaves the zero out: those of a global service have none.
        slot=whole(found.get("Slot")) or None,
        node=text(found.get("NodeID")) or None,
        state=_state(status.get("State")),
        desired=_state(found.get("DesiredState")),
        container_id=text(container.get("ContainerID")) or None,
        image=text((spec.get("ContainerSpec") or {}).get("Image")),
        forced=_forced(spec),
        created_at=created_at,
        since=moment(status.get("Timestamp")) or created_at,
        exit_code=None if (code := container.get("ExitCode")) is None else whole(code),
        error=text(status.get("Err")) or None,
    )


def _state(text: object) -> TaskState:
    try:
        return TaskState(str(text))
    except ValueError:
        # A word that we don't know must not hide the other tasks, nor pass for one that runs.
        return TaskState.NEW
