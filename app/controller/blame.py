"""A 5xx of the engine: is the container ill, or the engine itself?"""

from datetime import datetime, timedelta
from typing import Final

from app.errors import ContainerGone, EngineRefused, EngineUnavailable
from app.ports import ContainerEngine

#: HTTP's first status for "the server failed".
_SERVER_ERROR: Final = 500
#: Two containers in a row that the engine fails for are one illness within this time.
_SAME_ILLNESS: Final = timedelta(minutes=5)


class Blame:
    """Remembers whom the engine failed last."""

    def __init__(self, engine: ContainerEngine) -> None:
        self._engine = engine
        #: The last container whose action ended in a 5xx, and when; None after a success.
        self._failed: tuple[str, datetime] | None = None

    def carried_out(self) -> None:
        """Hear that the engine did what it was told."""
        self._failed = None

    async def is_the_engines(self, container_id: str, exc: EngineRefused, *, now: datetime) -> bool:
        """
        Tell an ill engine from an ill container.

        It is the engine where it cannot list or inspect either, or where the last thing that it
        was told about another container, a short while ago, ended the same way.
        """
        if exc.status < _SERVER_ERROR:
            return False
        before, self._failed = self._failed, (container_id, now)
        if before is not None and before[0] != container_id and now - before[1] <= _SAME_ILLNESS:
            return True
        try:
            others = [c for c in await self._engine.containers() if c.id != container_id]
            if others:
                await self._engine.inspect(others[0].id)
        except EngineUnavailable:
            return True
        except EngineRefused as other:
            return other.status >= _SERVER_ERROR
        except ContainerGone:
            pass
        return False
