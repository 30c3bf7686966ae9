"""A 5xx of the engine: is the container ill, or the engine itself?"""

from typing import Final

from app.errors import ContainerGone, EngineRefused, EngineUnavailable
from app.ports import ContainerEngine

#: HTTP's first status for "the server failed".
_SERVER_ERROR: Final = 500


class Blame:
    """Asks the engine about others when it failed for one."""

    def __init__(self, engine: ContainerEngine) -> None:
        self._engine = engine

    async def is_the_engines(self, container_id: str, exc: EngineRefused) -> bool:
        """
        Tell an ill engine from an ill container.

        It is the engine where it left the container as it was, and cannot list, or look at others,
        either. What it has stopped and cannot start is down by our hand, whosever fault that is.
        """
        if exc.status < _SERVER_ERROR:
            return False
        try:
            everybody = await self._engine.containers()
            if any(one.id == container_id and not one.is_running for one in everybody):
                return False
            others = [one for one in everybody if one.id != container_id]
            if others:
                await self._engine.inspect(others[0].id)
        except EngineUnavailable:
            return True
        except EngineRefused as other:
            return other.status >= _SERVER_ERROR
        except ContainerGone:
            pass
        return False
