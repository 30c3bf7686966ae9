"""A simulated controller process: its clocks, its death, its freezing, and its port calls."""

import asyncio
import inspect
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import Any

from tests.builders import START
from tests.sim.loop import PROCESS, SimTask, Turn, VirtualLoop
from tests.sim.trace import Trace
from tests.sim.wording import teller, words

_FORGET_TASKS_AT = 2000
_NOTHING = timedelta(0)


class _Turn:
    """As ``asyncio.sleep(0)`` when awaited, for less: calls of ports pass here twice."""

    #: Not bound to anything: it gives None to the loop once, and goes on.
    __await__: Any = partial(iter, (None,))


_TURN: Any = _Turn()


class Dead(BaseException):
    """The process of whoever calls is no more."""


@dataclass(slots=True)
class Ambush:
    """What happens to a process the next time that it passes a point."""

    point: str
    what: str
    #: Seconds, of a pause.
    seconds: float = 0.0
    #: How many times it passes unharmed before.
    spare: int = 0
    #: It has happened: to one of all that it was planned for.
    is_over: bool = False


class Process:
    """One life of a controller, from its start to its end."""

    def __init__(self, name: str, life: int, loop: VirtualLoop, trace: Trace) -> None:
        self.name = name
        self.life = life
        #: Its name in the trace.
        self.label = f"{name}/{life}"
        self.rate = 1.0
        self.skew = 0.0
        self.frozen = False
        self.parked: list[Turn] = []
        #: Killed before so many more of its handles have run; 0: not planned.
        self.fuse = 0
        #: Frozen, or with a fuse that burns.
        self.is_odd = False
        self.alive = True
        #: Takes requests.
        self.listening = False
        self.loop = loop
        self.trace = trace
        self.ambushes: list[Ambush] = []
        #: Named points that were passed, and how often.
        self.passed: defaultdict[str, int] = defaultdict(int)
        #: Its wall clock.
        self.now: Callable[[], datetime] = lambda: START
        self.on_death: Callable[[Process, str], None] = lambda process, why: None
        self._tasks: list[SimTask] = []
        self.context = copy_context()
        self.context.run(PROCESS.set, self)

    def adopt(self, task: Any) -> None:
        """Keep a new task of its."""
        self._tasks.append(task)
        if len(self._tasks) > _FORGET_TASKS_AT:
            self._tasks = [one for one in self._tasks if not one.done()]

    def spawn(self, coro: Any, name: str) -> "asyncio.Task[Any]":
        """Run something as this process."""
        return self.loop.create_task(coro, name=name, context=self.context.copy())

    # ------------------------------------------------------------ death and sleep

    def kill(self, why: str) -> None:
        """Take it from memory: no effect of it from here on."""
        if not self.alive:
            return
        self.alive = self.listening = False
        self.trace.add(self.label, "killed", why)
        self.frozen, self.is_odd = False, self.fuse > 0
        for task in self._tasks:
            if not task.done():
                task.cancel()
        self._tasks.clear()
        # A task that was about to be woken is cancelled only when it runs: without that it would
        # be closed with the garbage, and its troubles said in the name of whoever runs then.
        parked, self.parked = self.parked, []
        self.loop._ready.extend(parked)
        self.on_death(self, why)

    def light(self, fuse: int) -> None:
        """Have it die between two steps of its own, before so many more have run."""
        self.fuse, self.is_odd = fuse, True

    def runs(self, handle: Any) -> bool:
        """See `tests.sim.loop.Host`."""
        if self.frozen:
            self.parked.append(handle)
            return False
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                self.is_odd = False
                self.kill("at an await")
        return True

    def freeze(self, seconds: float) -> None:
        """Stop all its code for a while (SIGSTOP); the world goes on."""
        if not self.alive or self.frozen:
            return
        self.frozen = self.is_odd = True
        self.trace.add(self.label, "frozen", f"{seconds:.1f}")
        self.loop.later(seconds, self.thaw)

    def thaw(self) -> None:
        """Go on (SIGCONT)."""
        if not self.frozen:
            return
        self.frozen, self.is_odd = False, self.fuse > 0
        self.trace.add(self.label, "thawed")
        parked, self.parked = self.parked, []
        self.loop._ready.extend(parked)

    # ------------------------------------------------------------ its calls of ports

    def passing(
        self, name: str, invoke: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Make a call of a port: both its sides are points; nothing leaves a dead process."""
        before, after, tell = f"{name}<", f"{name}>", teller(name)
        # What each call needs, found once: every second step of a simulation is one of these.
        label, passed, ambushes = self.label, self.passed, self.ambushes
        loop, ready, add = self.loop, self.loop._ready, self.trace.add

        async def call(*args: Any, **more: Any) -> Any:
            # What `at` does stands here twice, written out.
            if not self.alive:
                raise Dead
            passed[before] += 1
            if ambushes:
                self._may_spring(before)
            # Nobody would run in between: then there is no need to give way.
            if ready or self.is_odd or loop.is_pressed:
                await _TURN
                if not self.alive:
                    raise Dead
            failure: Exception | None = None
            try:
                answer = await invoke(*args, **more)
            except Exception as exc:  # noqa: BLE001 - passed on below
                if not self.alive:
                    raise Dead from None
                failure = exc
                said = words(exc)
            else:
                if not self.alive:
                    raise Dead
                said = "" if tell is None else tell(args, answer)
            add(label, name, said)
            passed[after] += 1
            if ambushes:
                self._may_spring(after)
            if ready or self.is_odd or loop.is_pressed:
                await _TURN
                if not self.alive:
                    raise Dead
            if failure is not None:
                raise failure
            return answer

        return call

    async def at(self, point: str) -> None:
        """Pass a named point: here it may die, or fall asleep."""
        if not self.alive:
            raise Dead
        self.passed[point] += 1
        if self.ambushes:
            self._may_spring(point)
        if self.is_odd or self.loop._ready or self.loop.is_pressed:
            await _TURN  # whoever is frozen stays here
        if not self.alive:
            raise Dead

    def _may_spring(self, point: str) -> None:
        self.spring(point)
        if not self.alive:
            raise Dead

    def spring(self, point: str) -> None:
        """Have happen what is planned for a point."""
        for ambush in list(self.ambushes):
            if ambush.point != point or ambush.is_over:
                continue
            if ambush.spare > 0:
                ambush.spare -= 1
                continue
            self.ambushes.remove(ambush)
            ambush.is_over = True
            if ambush.what == "kill":
                self.kill(f"at {point}")
                return
            self.freeze(ambush.seconds)


class Port:
    """A part of the outside, as one process calls it."""

    def __init__(self, process: Process, part: object, name: str) -> None:
        self._process = process
        self._part = part
        self._name = name

    #: Of the seat: asked twice with every beat, and never kept, it changes.
    heard = property(attrgetter("_part.heard"))

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._part, method)
        if not (inspect.iscoroutinefunction(found) or hasattr(found, "is_awaited")):
            if inspect.ismethod(found):
                setattr(self, method, found)
            return found  # what touches only what the process itself believes
        call = self._process.passing(f"{self._name}.{method}", found)
        setattr(self, method, call)
        return call


class SimClock:
    """A wall clock with faults: off by so much, and by more when it is stepped."""

    def __init__(self, process: Process, *, off: float = 0.0) -> None:
        self._process = process
        process.now = self.now
        self._off = off
        #: Of the host's own clock.
        self._wall_off = off
        self._slept = 0.0
        #: What was answered last, and for which time: asked several times in every moment.
        self._last, self._last_at = START, -1.0
        #: Looked at with every beat, and changed far more seldom.
        self._ahead = _NOTHING

    def now(self) -> datetime:
        """The time that this process believes."""
        process = self._process
        at = process.loop.now * process.rate + process.skew + self._off
        if at != self._last_at:
            self._last, self._last_at = START + timedelta(seconds=at), at
        return self._last

    def set_to(self, at: datetime) -> None:
        """See `app.ports.SettableClock`."""
        self._off += (at - self.now()).total_seconds()
        self._has_moved()

    def ahead(self) -> timedelta:
        """See `app.ports.SettableClock`."""
        return self._ahead

    def _has_moved(self) -> None:
        self._ahead = timedelta(seconds=self._wall_off - self._off)

    def slept(self) -> timedelta:
        """See `app.ports.SettableClock`."""
        if not self._slept:
            return _NOTHING
        slept, self._slept = self._slept, 0.0
        return timedelta(seconds=slept)

    def step(self, seconds: float) -> None:
        """Have somebody set the host's clock."""
        self._wall_off += seconds
        self._has_moved()

    def suspended(self, seconds: float) -> None:
        """The host has slept: neither this clock nor the monotonic one has moved."""
        self._slept += seconds
        self._process.skew -= seconds * self._process.rate
        self._wall_off += seconds
        self._has_moved()
