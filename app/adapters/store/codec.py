"""
Our values as Redis keeps them: JSON for what people read, milliseconds for what scripts read.

What is read back is validated again: a dump may be old, and others can write to a Redis.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, SchemaValidator

from app.domain.activity import Activity
from app.domain.alert import Alert, AlertStatus, KnownAlert
from app.domain.audit import AuditEntry
from app.domain.casefile import CaseFile
from app.domain.control import Brake, Halt, Order
from app.domain.message import Message
from app.domain.remediation import Remediation
from app.errors import Unreadable
from app.ports import Aside, Reply

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)

#: Redis' widest number.
_WIDEST: Final = 1 << 63

T = TypeVar("T")


def to_ms(at: datetime) -> int:
    """Milliseconds since the epoch, the begun one not counted: for what has happened."""
    return (at - _EPOCH) // _MS


def to_ms_up(at: datetime) -> int:
    """Milliseconds since the epoch, rounded up: for what shall not happen earlier."""
    return -((_EPOCH - at) // _MS)


def from_ms(ms: int) -> datetime:
    """Moment of a number of milliseconds since the epoch."""
    return _EPOCH + ms * _MS


def moment(ms: object, *, key: str) -> datetime:
    """
    Read a moment that stands outside of a record, in ms.

    :raises Unreadable: it is none
    """
    try:
        return from_ms(whole(ms, key=key))
    except OverflowError as exc:
        raise unreadable(key, exc) from exc


def whole(number: object, *, key: str) -> int:
    """
    Read a whole number that stands outside of a record.

    :raises Unreadable: it is none
    """
    try:
        found = int(number)  # type: ignore[call-overload]
        if abs(found) > _WIDEST:
            raise ValueError("a number that is too large")
    except (ValueError, TypeError, OverflowError) as exc:
        raise unreadable(key, exc) from exc
    return int(found)


def span_ms(span: timedelta) -> int:
    """Whole milliseconds of a span."""
    return span // _MS


def unreadable(key: str, exc: Exception) -> Unreadable:
    """Say which key holds what we cannot read, and what a person can do about it."""
    what = str(exc)
    if isinstance(exc, ValidationError):
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"]
    return Unreadable(
        f"what Redis keeps under {key!r} cannot be read ({what}); "
        "delete the key to have it forgotten"
    )


class Codec(Generic[T]):
    """
    One kind of record, to JSON and back.

    :param sparse: leave out what is None: there are very many of them
    """

    def __init__(self, kind: type[T], *, sparse: bool = False) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)
        self._validator = SchemaValidator(_bounded(self._adapter.core_schema))
        self._sparse = sparse

    def dump(self, value: T) -> bytes:
        """
        Write a record.

        :raises ValueError: it holds text that is no Unicode (half of a surrogate pair)
        """
        try:
            return self._adapter.dump_json(value, exclude_none=self._sparse)
        except PydanticSerializationError as exc:
            raise ValueError(f"cannot be kept: {exc}") from exc

    def load(self, raw: bytes | str, *, key: str) -> T:
        """
        Read a record.

        :param key: where it was found, for the error
        :raises Unreadable: it is not such a record
        """
        try:
            found: T = self._validator.validate_json(raw)
            return found
        except ValidationError as exc:
            raise unreadable(key, exc) from exc


def _bounded(schema: Any) -> Any:
    """
    Bound the numbers of a schema: what is too large for Redis, or for a float, is none of ours.

    Types of the core have no bounds of their own, and nothing is checked twice this way.
    """
    if isinstance(schema, list | tuple):
        return type(schema)(map(_bounded, schema))
    if not isinstance(schema, dict):
        return schema
    match schema.get("type"):
        case "int":
            return {**schema, "ge": -_WIDEST, "le": _WIDEST}
        case "float":
            return {**schema, "allow_inf_nan": False}
    return {name: _bounded(part) for name, part in schema.items()}


ALERT: Final = Codec(Alert)
REMEDIATION: Final = Codec(Remediation)
ACTIVITY: Final = Codec(Activity)
ASIDE: Final = Codec(Aside)
HALT: Final = Codec(Halt)
BRAKE: Final = Codec(Brake)
ORDER: Final = Codec(Order)
REPLY: Final = Codec(Reply)
CASEFILE: Final = Codec(CaseFile)
MESSAGE: Final = Codec(Message)
AUDIT_ENTRY: Final = Codec(AuditEntry, sparse=True)


def dump_aside(aside: Aside) -> bytes:
    """Write an aside, whatever its excerpt holds: it may be here because it is no Unicode."""

    def tame(text: str) -> str:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

    return ASIDE.dump(
        Aside(
            at=aside.at,
            reason=tame(aside.reason),
            detail=tame(aside.detail),
            excerpt=tame(aside.excerpt),
        )
    )


def alert_mark(known: KnownAlert) -> str:
    """
    What changes with every newer notice of an alert: ``status|starts|received|notified|``.

    It is the beginning of the stored alert, see ``lua/accept.lua``; times in ms.
    """
    return (
        f"{known.alert.status}|{to_ms(known.alert.starts_at)}"
        f"|{to_ms(known.received_at)}|{to_ms(known.notified_at)}|"
    )


def load_known(raw: bytes, *, key: str) -> KnownAlert:
    """Read a stored alert: ``status|starts|received|notified|listed|json``, times in ms."""
    try:
        status, _starts, received, notified, listed, json = raw.split(b"|", 5)
        alert = ALERT.load(json, key=key)
        if alert.status is not AlertStatus(status.decode()):
            raise ValueError("status and alert differ")
        return KnownAlert(
            alert=alert,
            received_at=from_ms(int(received)),
            notified_at=from_ms(int(notified)),
            listed=listed == b"1",
        )
    except (ValueError, OverflowError) as exc:
        raise unreadable(key, exc) from exc


def load_after_mark(codec: Codec[T], raw: bytes, *, key: str) -> T:
    """Read ``mark|json``: what scripts compare stands before the JSON."""
    return codec.load(raw.partition(b"|")[2], key=key)


def text(raw: bytes | str, *, key: str) -> str:
    """
    Read a name or a value.

    :raises Unreadable: it is no UTF-8
    """
    try:
        return raw if isinstance(raw, str) else raw.decode()
    except UnicodeDecodeError as exc:
        raise unreadable(key, exc) from exc
