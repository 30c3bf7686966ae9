"""What was so before each action."""

from app.adapters.store.client import Line
from app.adapters.store.codec import CASEFILE, span_ms
from app.adapters.store.keys import KEEP
from app.domain.casefile import CaseFile


class RedisCaseFiles:
    """See `app.ports.CaseFiles`."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._keys = line.keys

    async def keep(self, attempt_id: str, file: CaseFile) -> None:
        """
        See `app.ports.CaseFiles`.

        :raises ValueError: it holds text that is no Unicode
        """
        raw = CASEFILE.dump(file)
        async with self._line.answering():
            await self._redis.set(self._keys.casefile(attempt_id), raw, px=span_ms(KEEP))

    async def of(self, attempt_id: str) -> CaseFile | None:
        """See `app.ports.CaseFiles`."""
        key = self._keys.casefile(attempt_id)
        async with self._line.answering():
            raw = await self._redis.get(key)
        return None if raw is None else CASEFILE.load(raw, key=key)
