"""From the engine's JSON to our words. Pure; tolerant of fields that newer engines add or omit."""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from app.domain.container import (
    Container,
    EngineEvent,
    EngineIdentity,
    Health,
    HealthCheck,
    Listed,
    RunState,
)
from app.domain.target import is_safe_name
from app.errors import EngineUnavailable

#: What the engine answers: JSON, whose shape only its documentation promises.
Json = Mapping[str, Any]
#: What it ends in to read an answer of another shape.
UNREADABLE: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
# Go's widest number.
_WIDEST: Final = 1 << 64

# Docker's own defaults for a health check that leaves them out (written as 0).
_DEFAULT_INTERVAL = timedelta(seconds=30)
_DEFAULT_TIMEOUT = timedelta(seconds=30)
_DEFAULT_RETRIES = 3
# Docker's default for StopTimeout, when neither image nor container sets one.
_DEFAULT_STOP_GRACE = timedelta(seconds=10)
# StopTimeout -1 means "never kill". Everything here is bounded, so: an hour.
_ENDLESS_STOP_GRACE = timedelta(hours=1)
# Go's zero time: it has not happened.
_NEVER = "0001-01-01"
# How a listing's `Status` ends: "Up 5 minutes (healthy)". Docker says "(health: starting)",
# Podman "(starting)".
_HEALTH_IN_STATUS = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)$")
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
# RFC 3339 as Go writes it: as many digits of the fraction as are needed, up to nine.
_MOMENT = re.compile(r"([^.]+?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


@contextmanager
def readable() -> Iterator[None]:
    """
    Read an answer within the block, after the connection has handed it out.

    :raises EngineUnavailable: it has another shape
    """
    try:
        yield
    except UNREADABLE as exc:
        raise EngineUnavailable(f"no answer that can be read: {type(exc).__name__}: {exc}") from exc


def mapping(told: object) -> Json:
    """Take an object of JSON. :raises TypeError: it is something else"""
    if not isinstance(told, Mapping):
        raise TypeError("no object")
    return told


def text(told: object) -> str:
    """Take text, none being empty; halves of surrogates, which nobody can write, become ``?``."""
    if told is None:
        return ""
    if not isinstance(told, str):
        raise TypeError("no text")
    return told if told.isascii() else told.encode("utf-8", "replace").decode()


def whole(told: object) -> int:
    """Take a whole number as Go has them, none being 0. :raises TypeError: ValueError:"""
    if told is None:
        return 0
    if not isinstance(told, int) or isinstance(told, bool):
        raise TypeError("no whole number")
    if abs(told) > _WIDEST:
        raise ValueError("a number that is too large")
    return told


def labels(told: object) -> dict[str, str]:
    """Take labels, none being empty. :raises TypeError:"""
    return {text(name): text(value) for name, value in mapping(told or {}).items()}


def listed(line: Json) -> Listed:
    """Read one line of ``GET /containers/json``. :raises UNREADABLE:"""
    return Listed(
        id=_container_id(line["Id"]),
        name=_own_name(line.get("Names"), fallback=line["Id"]),
        image=text(line.get("Image")),
        image_id=text(line.get("ImageID")),
        labels=labels(line.get("Labels")),
        state=_run_state(line.get("State")),
        health=_listed_health(line),
        created_at=_unix_moment(line.get("Created")),
        is_cut_off=_is_cut_off(_run_state(line.get("State")), line),
    )


def container(inspected: Json) -> Container:
    """Read ``GET /containers/{id}/json``. :raises UNREADABLE:"""
    state: Json = inspected["State"]
    config: Json = inspected["Config"]
    networks: Json = mapping((inspected.get("NetworkSettings") or {}).get("Networks") or {})
    return Container(
        id=_container_id(inspected["Id"]),
        name=text(inspected["Name"]).removeprefix("/"),
        image=text(config.get("Image")),
        image_id=text(inspected.get("Image")),
        labels=labels(config.get("Labels")),
        state=_run_state(state.get("Status")),
        started_at=text(state["StartedAt"]),
        restart_count=whole(inspected.get("RestartCount")),
        exit_code=whole(state.get("ExitCode")),
        oom_killed=bool(state.get("OOMKilled")),
        health=_health(state),
        created_at=moment(inspected.get("Created")),
        health_check=_health_check(config.get("Healthcheck")),
        stop_grace=_stop_grace(config.get("StopTimeout")),
        networks=tuple(map(text, networks)),
        is_cut_off=_is_cut_off(_run_state(state.get("Status")), inspected),
    )


def identity(info: Json, *, api_version: tuple[int, int]) -> EngineIdentity:
    """Read ``GET /info``. :raises UNREADABLE:"""
    return EngineIdentity(
        name=safe_engine_name(text(info.get("Name"))),
        api_version=api_version,
        version=text(info.get("ServerVersion")),
        cpus=whole(info.get("NCPU")),
        memory_bytes=whole(info.get("MemTotal")),
    )


def event(told: Json) -> EngineEvent:
    """
    Read one line of ``GET /events``.

    :raises UNREADABLE: it is no event of a container
    """
    # Not `status`, `id` and `from`: the same once more, and gone from API 1.52 on.
    actor: Json = told["Actor"]
    container_id, at_ns = _container_id(actor["ID"]), whole(told["timeNano"])
    if told["Type"] != "container":
        raise ValueError("not of a container")
    if at_ns <= 0:
        raise ValueError("no time")
    attributes = labels(actor.get("Attributes"))
    # "health_status: unhealthy", and "exec_create: sh -c …", which may hold secrets.
    action, _, detail = text(told["Action"]).partition(":")
    if action == "health_status":
        attributes[action] = detail.strip()
    return EngineEvent(
        at_ns=at_ns,
        container_id=container_id,
        name=attributes.get("name") or container_id[:12],
        action=action,
        attributes=attributes,
    )


def moment(written: object) -> datetime | None:
    """Read a moment as the engine writes it, to the microsecond; None where it tells none."""
    if not isinstance(written, str) or written.startswith(_NEVER):
        return None
    try:
        found = datetime.fromisoformat(written)
        return None if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):  # (at the ends of the calendar, in another zone)
        return None


def unix_nanoseconds(written: str) -> int:
    """Read a moment as the engine writes it, ``2026-11-22T03:00:00.123456789Z``, exactly."""
    found = _MOMENT.fullmatch(written)
    if found is None:
        raise ValueError(f"not a moment: {written[:40]!r}")
    whole, fraction, zone = found.groups()
    seconds = datetime.fromisoformat(whole + zone).timestamp()
    return int(seconds) * 10**9 + int((fraction or "").ljust(9, "0"))


def whole_seconds(grace: timedelta) -> int:
    """
    Say a stop grace in the engine's unit.

    Rounded up: 0 means "kill at once", and half a second must not become that.
    """
    return math.ceil(max(grace, timedelta(0)).total_seconds())


def safe_engine_name(host_name: str) -> str:
    """
    Make a daemon's host name fit for URL paths, keys and label values.

    Foreign characters become ``-``, as in ``my host`` -> ``my-host``; ``engine`` where nothing
    is left. Whatever names the engine (controller and collector) must use this one function.
    """
    if is_safe_name(host_name):
        return host_name
    cleaned = re.sub(r"[^A-Za-z0-9_.-]+", "-", host_name).strip("-._")[:63]
    return cleaned or "engine"


def _container_id(told: object) -> str:
    """Take an id: the only form that ever acts. :raises ValueError:"""
    if not isinstance(told, str) or _CONTAINER_ID.fullmatch(told) is None:
        raise ValueError("no id of a container")
    return told


def _own_name(names: list[object] | None, *, fallback: str) -> str:
    # Besides its own, a listing holds a name for each legacy link to the container:
    # "/web", but also "/proxy/backend".
    for name in names or ():
        plain = text(name).removeprefix("/")
        if plain and "/" not in plain:
            return plain
    # A container in the middle of its removal has none.
    return fallback[:12]


def _run_state(status: object) -> RunState:
    try:
        return RunState(str(status))
    except ValueError:
        # One container in a state that we don't know must not hide all others, and must
        # not be acted on: "dead" is the state from which nothing is done.
        return RunState.DEAD


def _is_cut_off(state: RunState, told: Json) -> bool:
    # "none" and "host" are networks to the engine; in another container's it has none at all.
    settings: Json | None = told.get("NetworkSettings")
    if state is not RunState.RUNNING or settings is None or "Networks" not in settings:
        return False
    mode = str((told.get("HostConfig") or {}).get("NetworkMode") or "")
    return not settings["Networks"] and not mode.startswith("container:")


def _listed_health(line: Json) -> Health:
    found = _HEALTH_IN_STATUS.search(str(line.get("Status") or ""))
    return Health(found[1]) if found else Health.NONE


def _unix_moment(seconds: object) -> datetime | None:
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _health(state: Json) -> Health:
    try:
        return Health((state.get("Health") or {}).get("Status") or Health.NONE)
    except ValueError:
        return Health.NONE


def _health_check(check: Json | None) -> HealthCheck | None:
    test = (check or {}).get("Test") or ["NONE"]
    if check is None or test[0] == "NONE":
        return None
    return HealthCheck(
        interval=_nanoseconds(check.get("Interval")) or _DEFAULT_INTERVAL,
        timeout=_nanoseconds(check.get("Timeout")) or _DEFAULT_TIMEOUT,
        retries=whole(check.get("Retries")) or _DEFAULT_RETRIES,
        start_period=_nanoseconds(check.get("StartPeriod")),
    )


def _nanoseconds(number: int | None) -> timedelta:
    return timedelta(microseconds=whole(number) / 1000)


def _stop_grace(seconds: int | None) -> timedelta:
    if seconds is None:
        return _DEFAULT_STOP_GRACE
    if seconds < 0:
        return _ENDLESS_STOP_GRACE
    # Docker takes any number; nobody waits for longer than for one that is never killed.
    return timedelta(seconds=min(whole(seconds), _ENDLESS_STOP_GRACE.total_seconds()))
