"""
What goes over the gate's socket: intentions as JSON, and answers or errors in our words.

There is no field for a path, a method, a body or a header of the engine's: what is not in these
classes cannot be asked for.
"""

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from app.domain.fidelity import FidelityReport
from app.domain.gate import Fence
from app.errors import (
    CloneRefused,
    ContainerGone,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    GateRefused,
    LeaseLost,
    ServiceChanged,
    ServiceGone,
    StartedMeanwhile,
    TooLate,
)
from app.policies.spec import ScaleOutRules

#: Where an intention is sent: ``POST /intentions/restart``. Nothing of the engine's begins so.
PATH: Final = "/intentions/"
#: An attempt's name holds its target's: two names of containers, and some numbers.
_LONGEST_NAME: Final = 600
#: The name of a store's history, and how many tenures it may have had.
_LONGEST_EPOCH: Final = 64
_MOST_TENURES: Final = 1 << 53

_NO_TIME: Final = "a time is a finite number"

_STRICT = ConfigDict(extra="forbid", defer_build=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """A question without a subject."""

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A question about one container, or one service."""

    __pydantic_config__ = _STRICT
    id: str
    #: For the answer: when it was asked.
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """A question for what happens from some moment on."""

    __pydantic_config__ = _STRICT
    #: Nanoseconds since the epoch, by the engine's clock; 0: now.
    since_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend:
    """Who asked for an action is still there, and may act until then."""

    __pydantic_config__ = _STRICT
    ticket: str
    #: By the host's monotonic clock, in seconds; None: no end.
    not_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandon:
    """Who asked for an action wants it no more."""

    __pydantic_config__ = _STRICT
    ticket: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What every action is asked for with."""

    __pydantic_config__ = _STRICT
    id: str
    attempt_id: str
    fence: Fence = field(default_factory=Fence)
    sent_at: float
    #: None: no end.
    not_after: float | None
    #: Names this action for `Extend` and `Abandon`.
    ticket: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart(Act):
    """See `ContainerEngine.restart`."""

    expected_started_at: str
    stop_grace: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Act):
    """See `ContainerEngine.start`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clone(Act):
    """See `ContainerEngine.clone`; the rules must be those of a policy."""

    rules: ScaleOutRules
    dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveClone(Act):
    """See `ContainerEngine.remove_clone`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside(Act):
    """See `ContainerEngine.set_aside`; the networks must be those of a clone's label."""

    networks: str | None
    expected_started_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BringBack(Act):
    """See `ContainerEngine.bring_back`; the networks as of `SetAside`, or as they were then."""

    networks: str
    ends: str | None
    starts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ForceUpdate(Act):
    """See `Services.force_update`."""

    expected_template: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale(Act):
    """See `Services.scale`; by one."""

    expected_replicas: int
    to: int


#: Errors that have a name on the socket. Whatever else goes wrong in the gate is none of these.
_KINDS: Final[dict[str, type[Exception]]] = {
    one.__name__: one
    for one in (
        EngineUnavailable,
        EngineSilent,
        ContainerGone,
        EngineRefused,
        GateRefused,
        StartedMeanwhile,
        ServiceGone,
        ServiceChanged,
        CloneRefused,
        LeaseLost,
        TooLate,
        ValueError,
    )
}
_REPORT: Final[TypeAdapter[FidelityReport]] = TypeAdapter(FidelityReport)


def heard(raw: bytes, adapter: TypeAdapter[Any]) -> Any:
    """
    Read what somebody asks for.

    :raises ValueError: nothing of the kind; the message holds none of what was sent
    """
    try:
        asked = adapter.validate_json(raw)
    except (ValidationError, RecursionError) as exc:
        raise ValueError("not an intention of this kind") from exc
    if isinstance(asked, Act | Extend) and not math.isfinite(asked.not_after or 0.0):
        raise ValueError(_NO_TIME)
    if isinstance(asked, Act):
        if not math.isfinite(asked.sent_at):
            raise ValueError(_NO_TIME)
        name, fence = asked.attempt_id, asked.fence
        if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
            raise ValueError("an attempt's name is printable text")
        # The journal keeps it.
        if len(fence.epoch) > _LONGEST_EPOCH or not 0 <= fence.number <= _MOST_TENURES:
            raise ValueError("no fence of a store of ours")
    return asked


def told(value: object, adapter: TypeAdapter[Any]) -> bytes:
    """Write an answer. What an engine says may hold half of a surrogate pair: it is left out."""
    try:
        return b'{"value":' + adapter.dump_json(value) + b"}"
    except PydanticSerializationError:
        plain = _plain(adapter.dump_python(value, mode="python"))
        return b'{"value":' + adapter.dump_json(adapter.validate_python(plain)) + b"}"


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def refused(exc: Exception) -> bytes:
    """Write an error. :raises KeyError: it has no name on the socket"""
    # (One of a kind that only the adapter knows goes by the name of what it is derived from.)
    names = [one.__name__ for one in type(exc).__mro__ if one.__name__ in _KINDS]
    if not names:
        raise KeyError(type(exc).__name__)
    kind = names[0]
    said: dict[str, Any] = {"kind": kind, "message": _plain(str(exc))}
    if isinstance(exc, EngineRefused):
        said["status"] = exc.status
    if isinstance(exc, GateRefused):
        said["reason"] = exc.reason
    if isinstance(exc, CloneRefused) and exc.report is not None:
        said["report"] = _REPORT.dump_python(exc.report, mode="json")
    return to_json({"error": said})


def answer(raw: bytes, adapter: TypeAdapter[Any]) -> Any:
    """
    Read an answer: return it, or raise what the gate has raised.

    :raises EngineUnavailable: it is no answer of a gate (that speaks as we do)
    """
    try:
        found = from_json(raw)
        if "value" in found:
            return adapter.validate_python(found["value"])
        error = _error(found["error"])
    except (ValueError, TypeError, KeyError) as exc:
        raise EngineUnavailable(f"the gate does not speak as we do: {exc}") from exc
    raise error


def _error(told: dict[str, Any]) -> Exception:
    kind, message = _KINDS[told["kind"]], str(told["message"])
    if kind is GateRefused:
        return GateRefused(str(told["reason"]), message)
    if kind is EngineRefused:
        return EngineRefused(int(told["status"]), message)
    if kind is CloneRefused:
        report = told.get("report")
        return CloneRefused(message, None if report is None else _REPORT.validate_python(report))
    return kind(message)
