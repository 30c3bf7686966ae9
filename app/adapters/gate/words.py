"""The closed list of words on the gate's socket: what each takes, and what it answers."""

from functools import cached_property
from typing import Any, Final, cast

from pydantic import TypeAdapter

from app.adapters.engine.stats import Allowance, Usage
from app.adapters.gate import speech
from app.domain.casefile import CaseFile
from app.domain.container import Container, EngineEvent, EngineIdentity, Listed
from app.domain.service import Service
from app.domain.usage import Room, Used
from app.ports import CloneResult

Adapter = TypeAdapter[Any]


class _Later:
    """An adapter that is made when it is first used: of thirty, a process may need five."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    @cached_property
    def _made(self) -> Adapter:
        return TypeAdapter(self._kind)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)


def _adapter(kind: Any) -> Adapter:
    return cast(Adapter, _Later(kind))


NO_SUBJECT: Final = _adapter(speech.Nothing)
_ABOUT: Final = _adapter(speech.About)

#: What changes nothing: what it takes, and what it gives.
QUESTIONS: Final[dict[str, tuple[Adapter, Adapter]]] = {
    "identity": (NO_SUBJECT, _adapter(EngineIdentity)),
    "containers": (NO_SUBJECT, _adapter(tuple[Listed, ...])),
    "inspect": (_ABOUT, _adapter(Container)),
    "used": (_ABOUT, _adapter(Used | None)),
    "room": (_ABOUT, _adapter(Room)),
    "evidence": (_ABOUT, _adapter(CaseFile)),
    "running": (NO_SUBJECT, _adapter(tuple[Listed, ...])),
    "usage": (_ABOUT, _adapter(Usage | None)),
    "allowance": (_ABOUT, _adapter(Allowance)),
    "manages": (NO_SUBJECT, _adapter(bool)),
    "services": (NO_SUBJECT, _adapter(tuple[Service, ...])),
    "service": (_ABOUT, _adapter(Service)),
}
#: What changes something.
WISHES: Final[dict[str, tuple[Adapter, Adapter]]] = {
    "restart": (_adapter(speech.Restart), _adapter(None)),
    "start": (_adapter(speech.Start), _adapter(None)),
    "clone": (_adapter(speech.Clone), _adapter(CloneResult)),
    "remove_clone": (_adapter(speech.RemoveClone), _adapter(None)),
    "set_aside": (_adapter(speech.SetAside), _adapter(None)),
    "bring_back": (_adapter(speech.BringBack), _adapter(tuple[str, ...])),
    "force_update": (_adapter(speech.ForceUpdate), _adapter(Service)),
    "scale": (_adapter(speech.Scale), _adapter(Service)),
}
#: Beside these: the stream ``events``, and two words about an action that is under way.
EVENTS: Final = "events"
EXTEND: Final = "extend"
ABANDON: Final = "abandon"

SINCE: Final = _adapter(speech.Since)
EVENT: Final = _adapter(EngineEvent)
EXTENDED: Final = _adapter(speech.Extend)
ABANDONED: Final = _adapter(speech.Abandon)
NOTHING: Final = _adapter(None)
