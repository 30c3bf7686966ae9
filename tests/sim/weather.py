"""What goes wrong between a controller and its store; the same for both backends."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from random import Random
from types import CoroutineType
from typing import Any, Final

from tests.sim.loop import VirtualLoop

#: As app/adapters/store/client.py bounds a whole call.
CALL_S: Final = 1.5
ERRORS: Final = ("OOM", "READONLY", "LOADING", "MISCONF")


@dataclass(frozen=True)
class Weather:
    """Chances from 0 to 1 for each request."""

    #: It never arrives.
    lost_request: float = 0.0
    #: It is applied, and its answer never arrives.
    lost_reply: float = 0.0
    #: It is applied twice: the client has sent it again after a lost answer.
    twice: float = 0.0
    #: It is applied seconds after its caller gave up.
    late: float = 0.0
    error: float = 0.0
    #: Nothing arrives.
    down: bool = False

    # Both are asked with every request, and worked out once.

    @cached_property
    def is_fair(self) -> bool:
        """Nothing can go wrong."""
        return not (self.down or self.worst)

    @cached_property
    def worst(self) -> float:
        """What is drawn from here on lets a request pass, a little more for rounding."""
        chances = (self.lost_request, self.lost_reply, self.twice, self.late, self.error)
        return sum(chances) + 1e-9 if any(chances) else 0.0


class Failed(Exception):
    """A request that has failed; `word` says how."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class Wire:
    """Carries requests through the weather."""

    def __init__(self, loop: VirtualLoop, random: Random) -> None:
        self._loop = loop
        self._random = random
        self.weather = Weather()
        self.counts: dict[str, int] = {}

    def _fate(self) -> str:
        weather = self.weather
        if weather.is_fair:
            return ""
        if weather.down:
            return "down"
        drawn = self._random.random()
        if drawn >= weather.worst:
            return ""
        for word, chance in (
            ("lost_request", weather.lost_request),
            ("lost_reply", weather.lost_reply),
            ("twice", weather.twice),
            ("late", weather.late),
            ("error", weather.error),
        ):
            if drawn < chance:
                self.counts[word] = self.counts.get(word, 0) + 1
                return word
            drawn -= chance
        return ""

    async def carry(self, apply: Callable[[], Any]) -> Any:
        """
        Have a request applied, or not; answer what it answers, which may be awaited.

        :raises Failed: the caller does not know whether it was applied
        """
        match self._fate():
            case "":
                answer = apply()
                # Asked first: whether just anything may be awaited is dear to ask.
                return await answer if type(answer) is CoroutineType else await _done(answer)
            case "down":
                # Refused at once, or silent until the caller gives up.
                if self._random.random() < 0.5:
                    await asyncio.sleep(CALL_S)
                raise Failed("down")
            case "lost_request":
                await asyncio.sleep(CALL_S)
                raise Failed("lost")
            case "lost_reply":
                await _done(apply())
                await asyncio.sleep(CALL_S)
                raise Failed("lost")
            case "twice":
                await _done(apply())
                return await _done(apply())
            case "late":
                seconds = self._random.uniform(0.1, 8.0)
                if seconds < CALL_S:
                    await asyncio.sleep(seconds)
                    return await _done(apply())
                self._loop.later(seconds, self._apply_late, apply)
                await asyncio.sleep(CALL_S)
                raise Failed("lost")
            case _:
                raise Failed(self._random.choice(ERRORS))

    def _apply_late(self, apply: Callable[[], Any]) -> None:
        async def run() -> None:
            try:
                await _done(apply())
            except Exception:  # noqa: BLE001 - whoever asked has left long ago
                return

        self._loop.create_task(run())


async def _done(answer: Any) -> Any:
    return await answer if isinstance(answer, Awaitable) else answer
