"""Cycle after cycle in one house: alerts in flight, and one fault at a random moment."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from app.adapters.clock import LoopClock
from tests.chaos import faults
from tests.chaos.episodes import Board, Episode, live_through
from tests.chaos.faults import Scene
from tests.chaos.house import House, Patient
from tests.chaos.judge import Fault, judge
from tests.chaos.starts import Event, Starts
from tests.stack.wait import eventually

#: An alert's restart is due four seconds after it: before, at, and after that.
_FAULT_WITHIN_S: Final = 8.0
#: How long a cycle waits for a container to be well again.
_FREE_WITHIN_S: Final = 300.0
#: How long everything may take to settle once nothing goes wrong any more.
SETTLES_WITHIN_S: Final = 260.0
_KEPT_COPIES: Final = 6


@dataclass(kw_only=True)
class Report:
    """What came of a house."""

    seed: str
    cycles: int = 0
    #: Fault -> how often.
    faults: Counter[str] = field(default_factory=Counter)
    #: Cycle -> what was done in it.
    said: dict[int, str] = field(default_factory=dict)
    alerts: int = 0
    starts: int = 0
    escalated: int = 0
    broken: list[Fault] = field(default_factory=list)
    #: Alert -> treated, seconds.
    treated_s: list[float] = field(default_factory=list)
    home: str = ""


class Cycles:
    """Runs the cycles of one house."""

    def __init__(
        self, house: House, starts: Starts, *, seed: str, kinds: Sequence[str] | None = None
    ) -> None:
        """
        Prepare.

        :param kinds: names of faults to draw from; all plain ones if left out
        """
        self._house = house
        self._starts = starts
        self._random = Random(seed)
        self._scene = Scene(house=house, random=Random(f"{seed}/faults"))
        self._kinds = list(kinds or faults.PLAIN)
        self._board = Board(house)
        self._episodes: list[Episode] = []
        self._open: dict[str, Episode] = {}
        self._living: set[asyncio.Task[None]] = set()
        self._clock = LoopClock()
        self.report = Report(seed=seed, home=str(house.home))

    async def run(self, cycles: int) -> Report:
        """Run so many cycles, let everything settle, and judge."""
        self._starts.listen(self._hear)
        watching = asyncio.create_task(self._board.watch())
        try:
            for number in range(cycles):
                await self._cycle(number)
            if self._living:
                await asyncio.wait(self._living)
            stories = await self._settled()
        finally:
            watching.cancel()
            for task in self._living:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        self._sum_up(stories)
        return self.report

    def _hear(self, event: Event) -> None:
        episode = self._open.get(event.container_id)
        if episode is not None:
            episode.tell(event)

    async def _cycle(self, number: int) -> None:
        name = self._drawn()
        fault, _ = faults.ALL[name]
        moment = self._random.uniform(0, _FAULT_WITHIN_S)
        alerts = self._random.choices([1, 2, 3], [5, 3, 2])[0]
        pauses = [self._random.uniform(0, 2) for _ in range(alerts)]
        needs = self._random.choices([0, 1, 2], [1, 7, 2], k=alerts)
        ends = [self._random.uniform(0, 3) for _ in range(alerts)]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hit(number, name, fault, moment))
            for pause, need, end in zip(pauses, needs, ends, strict=True):
                await asyncio.sleep(pause)
                await self._fire(number, need, end if need == 0 else None)
        self.report.cycles += 1
        self.report.faults[name] += 1

    async def _hit(self, number: int, name: str, fault: faults.Fault, moment: float) -> None:
        if "redis-rolled-back" in self._kinds and self._random.random() < 0.3:
            self._scene.copies[:] = self._scene.copies[-_KEPT_COPIES:]
            self._scene.copies.append(self._house.redis.copy())
        await asyncio.sleep(moment)
        began = self._clock.now()
        said = await fault(self._scene)
        self.report.said[number] = f"{name} at {began:%H:%M:%S.%f}: {said}"

    def _drawn(self) -> str:
        weights = [faults.ALL[kind][1] for kind in self._kinds]
        return self._random.choices(self._kinds, weights)[0]

    async def _fire(self, number: int, needs: int, ends_after: float | None) -> None:
        patient = await self._free()
        if patient is None:
            return  # all are stuck, which is told of each
        episode = Episode(
            patient=patient,
            cycle=number,
            needs=needs,
            began_at=self._clock.now(),
            alert=self._house.pager.fire(self._house.labels(patient)),
        )
        self._episodes.append(episode)
        self._open[patient.id] = episode
        living = asyncio.create_task(self._live(episode, ends_after))
        self._living.add(living)
        living.add_done_callback(self._living.discard)

    async def _live(self, episode: Episode, ends_after: float | None) -> None:
        await live_through(self._house, self._board, episode, ends_after=ends_after)
        if not episode.stuck:
            del self._open[episode.patient.id]

    async def _free(self) -> Patient | None:
        """Wait for a container without an alert."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _FREE_WITHIN_S
        while loop.time() < deadline:
            free = [one for one in self._house.patients if one.id not in self._open]
            if free:
                return self._random.choice(free)
            if all(one.stuck for one in self._open.values()):
                return None
            await asyncio.sleep(0.2)
        return None

    async def _settled(self) -> list[dict[str, Any]]:
        """Wait until every story has ended; answer all that there are."""
        stories: list[dict[str, Any]] = []

        async def look() -> bool:
            stories[:] = await self._house.stories()
            return all(story["state"] in ("closed", "quarantined") for story in stories)

        with suppress(AssertionError):  # judged below
            await eventually(look, within=SETTLES_WITHIN_S / 4, what="every story has ended")
        return stories

    def _sum_up(self, stories: list[dict[str, Any]]) -> None:
        report = self.report
        report.alerts = len(self._episodes)
        report.starts = sum(
            len(self._starts.of(patient.id)) - 1 for patient in self._house.patients
        )
        report.escalated = sum(episode.escalated for episode in self._episodes)
        report.broken = judge(
            self._house, self._starts, self._episodes, stories, self._scene.forgot_at
        )
        if self._starts.broken:
            report.broken.append(Fault(kind="lost", said="the engine's events ended: no witness"))
        for episode in self._episodes:
            at = [one for one in self._starts.of(episode.patient.id) if one > episode.began_at]
            if episode.needs and at:
                report.treated_s.append((at[0] - episode.began_at).total_seconds())
