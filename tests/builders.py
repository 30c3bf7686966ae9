"""Nouns with overrides: the values that tests are made of."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.alert import Alert, AlertStatus, KnownAlert, ListedAlert, ListedState
from app.domain.container import Container, EngineEvent, Listed, RunState
from app.domain.decision import Action, Reason
from app.domain.observation import EngineView, GroupView, Observation, Sickness, Symptom
from app.domain.remediation import Attempt, Remediation, State

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
ENGINE = "host1"
TARGET = f"{ENGINE}:web"


def at(seconds: float) -> datetime:
    """A moment so many seconds after `START`."""
    return START + timedelta(seconds=seconds)


def hex_id(number: int) -> str:
    """A container id such as the engine gives."""
    return f"{number:064x}"


def listed(name: str = "web", number: int = 1, **more: Any) -> Listed:
    """A line of the engine's listing, opted in."""
    values: dict[str, Any] = {
        "id": hex_id(number),
        "name": name,
        "image": "shop:1",
        "image_id": "sha256:" + "a" * 64,
        "labels": {"relevo.enable": "true"},
        "state": RunState.RUNNING,
    }
    return Listed(**(values | more))


def compose(project: str, service: str, number: int, **labels: str) -> Mapping[str, str]:
    """The labels of a compose container, opted in."""
    return {
        "relevo.enable": "true",
        "com.docker.compose.project": project,
        "com.docker.compose.service": service,
        "com.docker.compose.container-number": str(number),
        "com.docker.compose.oneoff": "False",
        **{name.replace("__", "."): value for name, value in labels.items()},
    }


def container(name: str = "web", number: int = 1, **more: Any) -> Container:
    """An inspected container that runs."""
    base = listed(name, number)
    values: dict[str, Any] = {
        "id": base.id,
        "name": base.name,
        "image": base.image,
        "image_id": base.image_id,
        "labels": base.labels,
        "state": base.state,
        "started_at": "2026-11-22T09:00:00.000000001Z",
    }
    return Container(**(values | more))


def alert(name: str = "ContainerHighCPU", **more: Any) -> Alert:
    """A firing alert of the shipped rules."""
    values: dict[str, Any] = {
        "fingerprint": "f1",
        "status": AlertStatus.FIRING,
        "labels": {"alertname": name, "engine": ENGINE, "name": "web", "severity": "critical"},
        "alert_annotations": {},
        "starts_at": START,
    }
    return Alert(**(values | more))


def known(**more: Any) -> KnownAlert:
    """An alert as it is kept; keywords of the alert itself go with ``alert=``."""
    values: dict[str, Any] = {"alert": alert(), "received_at": START, "notified_at": START}
    return KnownAlert(**(values | more))


def listed_alert(state: ListedState = ListedState.ACTIVE, **more: Any) -> ListedAlert:
    """The same alert as Alertmanager's API lists it."""
    base = alert()
    values: dict[str, Any] = {
        "fingerprint": base.fingerprint,
        "labels": base.labels,
        "alert_annotations": base.alert_annotations,
        "state": state,
        "starts_at": base.starts_at,
    }
    return ListedAlert(**(values | more))


def attempt(**more: Any) -> Attempt:
    """A restart that was carried out at `START`."""
    values: dict[str, Any] = {
        "id": "web-1.1",
        "action": Action.RESTART,
        "reason": Reason.FIRST_NEED,
        "container_id": hex_id(1),
        "started_before": "2026-11-22T08:00:00.000000001Z",
        "intent_at": at(-1),
        "acted_at": START,
        "started_after": container().started_at,
    }
    return Attempt(**(values | more))


def remediation(**more: Any) -> Remediation:
    """An open remediation, needed since `START`."""
    values: dict[str, Any] = {
        "id": "web-1",
        "target": TARGET,
        "group": TARGET,
        "container": "web",
        "incarnation": "sha256:1",
        "policy": "default",
        "state": State.WAITING,
        "reason": Reason.FIRST_NEED,
        "opened_at": START,
        "alerts": ("ContainerHighCPU",),
        "needed_since": START,
        "planned_started_at": container().started_at,
    }
    return Remediation(**(values | more))


def group(**more: Any) -> GroupView:
    """A group of one original."""
    values: dict[str, Any] = {
        "id": TARGET,
        "instances": 1,
        "clones": (),
        "originals": (TARGET,),
        "max_instances": 3,
    }
    return GroupView(**(values | more))


def seen(symptom: Symptom = Symptom.ACTIVE, **more: Any) -> Observation:
    """An observation of an ill target with an open remediation."""
    sick = Sickness(symptom=symptom, alerts=("ContainerHighCPU",), since=START, noticed=True)
    values: dict[str, Any] = {
        "target": TARGET,
        "view": EngineView.SEEN,
        "container": container(),
        "incarnation": "sha256:1",
        "sickness": more.pop("sickness", sick),
        "remediation": remediation(),
        "failures": 0,
        "group": group(),
        "opted_in": True,
    }
    return replace(Observation(**values), **more)


def event(
    action: str,
    number: int = 1,
    *,
    after: float = 0,
    labels: Mapping[str, str] | None = None,
    **attributes: str,
) -> EngineEvent:
    """One of Docker's events about a container, so many seconds after `START`."""
    return EngineEvent(
        at_ns=(at(after) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000,
        container_id=hex_id(number),
        name=attributes.pop("name", "web"),
        action=action,
        attributes={**(labels or {}), **attributes},
    )


def scaled_in(when: datetime = START, **more: Any) -> Activity:
    """A clone that has left at `when`, because it was not needed any more."""
    values: dict[str, Any] = {
        "id": "in1",
        "group": TARGET,
        "kind": ActivityKind.SCALE_IN,
        "cause": "no alert for 30m",
        "status": ActivityStatus.SUCCESSFUL,
        "container": "web_new",
        "started_at": when,
        "finished_at": when,
        "reason": Reason.QUIET,
    }
    return Activity(**(values | more))
