"""One alert of a cycle: it fires until its container was restarted as often as its script says."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import httpx

from app.adapters.clock import LoopClock
from tests.chaos.house import House, Patient
from tests.chaos.pager import Alert
from tests.chaos.starts import Event

#: Between two looks at what Relevo says of its targets.
_POLL_S: Final = 1.0
#: Nobody has been told so for longer than any fault lasts: an alert that nobody ends.
_PATIENCE: Final = timedelta(seconds=240)


class Board:
    """What Relevo says of each of its targets, asked over and over."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._clock = LoopClock()
        self._states: dict[str, str] = {}
        #: When the newest answer was asked for.
        self.asked_at = self._clock.now()

    def state(self, patient: Patient) -> str | None:
        """Tell the state of its target; None: nobody has told yet."""
        return self._states.get(patient.name)

    async def watch(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_POLL_S)

    async def look(self) -> bool:
        """Ask whoever answers; False: nobody did."""
        for controller in self._house.controllers:
            now = self._clock.now()
            with suppress(httpx.HTTPError):
                answer = await self._house.http.get(f"{controller.url}/api/v1/targets", timeout=3)
                if answer.status_code == 200:
                    self._states = {
                        target["container"]: target["state"] for target in answer.json()["targets"]
                    }
                    self.asked_at = now
                    return True
        return False


@dataclass(eq=False, kw_only=True)
class Episode:
    """One alert, what it took to end it, and what came of it."""

    patient: Patient
    cycle: int
    #: Restarts that cure it; none: it ends by itself.
    needs: int
    alert: Alert
    began_at: datetime
    #: Starts of its container while it fired.
    seen: int = 0
    is_cured: asyncio.Event = field(default_factory=asyncio.Event)
    #: Relevo has told a person.
    escalated: bool = False
    #: Its alert is over, and Relevo's story of it, too.
    over_at: datetime | None = None
    #: Nothing came of it in time.
    stuck: str = ""

    def tell(self, event: Event) -> None:
        """Hear of an event of its container."""
        if event.what == "start":
            self.seen += 1
            if 0 < self.needs <= self.seen:
                self.is_cured.set()


async def live_through(
    house: House, board: Board, episode: Episode, *, ends_after: float | None
) -> None:
    """
    Let one alert fire until it is cured, then wait for the end of its story.

    What Relevo has given up is ended by a person, sooner or later: it was told.

    :param ends_after: it ends by itself this much later; None: it does not
    """
    clock = LoopClock()
    own_end = None if ends_after is None else episode.began_at + timedelta(seconds=ends_after)
    while not episode.is_cured.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(episode.is_cured.wait(), _POLL_S / 2)
        now = clock.now()
        if own_end is not None and now >= own_end:
            break
        if board.asked_at > episode.began_at and board.state(episode.patient) == "quarantined":
            episode.escalated = True
            break
        if now - episode.began_at > _PATIENCE:
            episode.stuck = f"fires for {_PATIENCE.total_seconds():g} s, {_state(board, episode)}"
            break
    house.pager.resolve(episode.alert)
    ended_at = clock.now()
    while not (board.asked_at > ended_at and board.state(episode.patient) in ("ok", "cooldown")):
        await asyncio.sleep(_POLL_S / 2)
        if clock.now() - ended_at > _PATIENCE and not episode.stuck:
            episode.stuck = f"its story does not end, {_state(board, episode)}"
            return
    episode.over_at = clock.now()


def _state(board: Board, episode: Episode) -> str:
    taken = "taken" if episode.alert.taken_at else "never taken"
    return f"alert {taken}, target {board.state(episode.patient) or 'unknown'}"
