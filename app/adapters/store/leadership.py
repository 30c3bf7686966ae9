"""The seat of the leader, and the store's history."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

from app.adapters.store.arguments import Piece
from app.adapters.store.client import Line
from app.adapters.store.codec import HALT, moment, span_ms, text, to_ms, whole
from app.adapters.store.control import hold_field, hold_value
from app.adapters.store.keys import SCHEMA
from app.adapters.store.scripts import included
from app.ports.leadership import Candidate, Restored, Standing

#: Charges that a store is told again are dropped by it when they no longer count.
_KEEP_CHARGES: Final = timedelta(days=1)


class RedisLeadership:
    """See `app.ports.Leadership`."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis
        self._keys = line.keys
        self._lead = _plain(line, "lead")
        self._found = _plain(line, "found")
        self._resign = _plain(line, "resign")
        #: The last answer, and how it was read.
        self._seen: tuple[list[bytes], Standing] | None = None

    async def look(self) -> Standing:
        """See `app.ports.Leadership`."""
        return await self._standing("", "", "", "", "", "")

    async def lead(
        self, me: Candidate, *, now: datetime, engine: str, deserted: Standing | None = None
    ) -> Standing:
        """See `app.ports.Leadership`."""
        as_found: tuple[Piece, Piece] = ("", "")
        if deserted is not None:
            as_found = (deserted.term, deserted.beat)
        return await self._standing(me.instance, me.life, to_ms(now), engine, *as_found)

    async def found(
        self,
        epoch: str,
        *,
        now: datetime,
        instead_of: str,
        is_lost: bool = True,
        restored: Restored | None = None,
    ) -> Standing:
        """See `app.ports.Leadership`."""
        keys = self._keys
        charges: list[Piece] = []
        controls: list[Piece] = []
        if restored is not None:
            for attempt, at in restored.charges.items():
                charges += attempt, to_ms(at)
            if restored.pause is not None:
                controls += "pause", HALT.dump(restored.pause)
            for target, halt in restored.holds.items():
                controls += hold_field(target), hold_value(halt)
        least = 0 if restored is None else restored.fence
        async with self._line.answering():
            await self._found(
                keys=[
                    keys.meta,
                    keys.fence,
                    keys.charges,
                    keys.control,
                    keys.due,
                    keys.running,
                    keys.slots,
                    keys.asked,
                ],
                args=[
                    epoch,
                    instead_of,
                    to_ms(now),
                    least,
                    span_ms(_KEEP_CHARGES),
                    SCHEMA,
                    int(is_lost),
                    len(charges) // 2,
                    *charges,
                    *controls,
                ],
            )
        return await self.look()

    async def resign(self, me: Candidate) -> None:
        """See `app.ports.Leadership`."""
        async with self._line.answering():
            await self._resign(keys=[self._keys.leader], args=[me.life])

    def trust(self, epoch: str, fence: int) -> None:
        """See `app.ports.Leadership`."""
        self._line.trust(epoch, fence)

    def act_as(self, me: Candidate | None) -> None:
        """See `app.ports.Leadership`."""
        self._line.life = "" if me is None else me.life

    def hear(self, fence: int) -> None:
        """See `app.ports.Leadership`."""
        self._line.hear(fence)

    def on_doubt(self, call: Callable[[], None]) -> None:
        """See `app.ports.Leadership`."""
        self._line.doubt = call

    @property
    def heard(self) -> int:
        """See `app.ports.Leadership`."""
        return self._line.heard

    async def charges(self, *, since: datetime) -> Sequence[tuple[str, datetime]]:
        """See `app.ports.Leadership`."""
        key = self._keys.charges
        async with self._line.answering():
            found = cast(
                "list[tuple[bytes, float]]",
                await self._redis.zrangebyscore(key, f"({to_ms(since)}", "+inf", withscores=True),
            )
        return [(text(attempt, key=key), moment(at_ms, key=key)) for attempt, at_ms in found]

    async def _standing(self, *args: Piece) -> Standing:
        keys = self._keys
        async with self._line.answering():
            # Together: a server that has another run_id by then has lost its connections too.
            info: dict[str, Any] = await self._redis.info("server")
            found: list[bytes] = await self._lead(
                keys=[keys.meta, keys.fence, keys.leader, keys.running], args=args
            )
            run_id = str(info.get("run_id", ""))
            await self._line.meet(run_id)
        # Whoever follows looks every second, and what he sees changes far more seldom.
        seen = self._seen
        if seen is None or seen[0] != found or seen[1].run_id != run_id:
            seen = self._seen = found, self._read(found, run_id)
        return seen[1]

    def _read(self, found: list[bytes], run_id: str) -> Standing:
        key = self._keys.meta
        epoch, fence, instance, life, term, beat, told_at, engine, begun_at = (
            text(part, key=key) for part in found
        )
        return Standing(
            epoch=epoch,
            fence=whole(fence, key=self._keys.fence),
            instance=instance,
            life=life,
            term=whole(term, key=key),
            beat=whole(beat, key=key),
            told_at=moment(told_at, key=key) if told_at else None,
            engine=engine,
            run_id=run_id,
            begun_at=moment(begun_at, key=key) if begun_at else None,
        )


def _plain(line: Line, name: str) -> Callable[..., Any]:
    """Return a script that runs without a frame."""
    script: Callable[..., Any] = line.redis.register_script(included(name))
    return script
