"""
An event loop whose time is a number: when nothing is ready it jumps to the next timer.

What runs in the context of a simulated process sees that process' own monotonic clock, is put
by while the process is frozen, and counts towards the step at which the process may be killed.
"""

import asyncio
import heapq
import itertools
from asyncio.format_helpers import _format_callback_source
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from functools import partial
from typing import Any, Protocol


class Host(Protocol):
    """What the loop has to know of a simulated process."""

    #: Its monotonic clock: ``time * rate + skew``.
    rate: float
    skew: float
    #: It has to be asked before each of its handles: frozen, or about to die.
    is_odd: bool

    def runs(self, handle: Any) -> bool:
        """Tell whether a handle of its may run now, else keep it. It may die of being asked."""
        ...

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        """Be told of a new task."""
        ...


#: Whose code is running; None: the world's.
PROCESS: ContextVar[Host | None] = ContextVar("process", default=None)

_TIDY_AT = 500


class Turn(list[Any]):
    """
    A handle as a list, of which millions are made: callback, arguments, context, and its loop.

    The callback is None once it is cancelled. Who asks for a debugger is not answered.
    """

    __slots__ = ()
    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__
    __repr__ = object.__repr__

    def cancel(self) -> None:
        """Have it not run."""
        self[0], self[1] = None, ()

    def cancelled(self) -> bool:
        """Tell whether it will not run."""
        return self[0] is None


class Timer(Turn):
    """One that waits for its time; until then the loop that it waits in is its fourth part."""

    __slots__ = ()

    def cancel(self) -> None:
        """Have it not run."""
        if self[0] is not None:
            if self[3] is not None:
                self[3].count_dead_timer()
            self[0], self[1] = None, ()


def _adding_to(ready: deque[Any]) -> Callable[..., Any]:
    """
    Make a loop's `call_soon`, which tasks and futures look up and call for each of their steps.

    Who names a context is a task or a future, of which none ever takes it back: no more than
    a list then, of which millions are made.
    """
    add = ready.append

    def call_soon(
        callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> list[Any]:
        """Run it in this moment."""
        if context is None:
            handle: list[Any] = Turn((callback, args, copy_context(), None))
        else:
            handle = [callback, args, context, None]
        add(handle)
        return handle

    return call_soon


class Deadlock(Exception):
    """Nothing is ready, and nothing ever will be."""


class SimTask(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address."""

    serial: int

    def __init__(self, coro: Any, *, serial: int, loop: Any, **more: Any) -> None:
        self.serial = serial
        super().__init__(coro, loop=loop, **more)

    def __hash__(self) -> int:
        return self.serial

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.BaseEventLoop):
    """See the module."""

    _ready: Any
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._serials = itertools.count(1)
        self._timers: list[tuple[float, int, Timer]] = []
        self._dead_timers = 0
        #: Handles that were run.
        self.steps = 0
        #: Exceptions that nobody took: (message, exception).
        self.unhandled: list[tuple[str, BaseException | None]] = []
        #: A timer, or the end, comes before whoever gives way in this moment.
        self.is_pressed = False
        self.create_future = partial(asyncio.Future, loop=self)  # type: ignore[method-assign]
        self.call_soon: Any = _adding_to(self._ready)
        self.set_exception_handler(self._complain)

    #: Asked with every future and task: nobody debugs.
    get_debug = bool

    def create_task(
        self, coro: Any, *, name: object = None, context: Context | None = None
    ) -> SimTask:
        """Make a task, of the process in whose context it is."""
        host = PROCESS.get() if context is None else context.get(PROCESS)
        task = SimTask(coro, serial=next(self._serials), loop=self, name=name, context=context)
        if host is not None:
            host.adopt(task)
        return task

    def _complain(self, _loop: Any, context: dict[str, Any]) -> None:
        self.unhandled.append((str(context.get("message")), context.get("exception")))

    def time(self) -> float:
        """The monotonic clock of whoever asks."""
        host = PROCESS.get()
        return self.now if host is None else self.now * host.rate + host.skew

    def stop(self) -> None:
        """End after this round."""
        super().stop()
        self.is_pressed = True

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Turn:
        """Run it in this moment: there are no threads."""
        handle: Turn = self.call_soon(callback, *args, context=context)
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., Any],
        *args: Any,
        context: Context | None = None,
    ) -> Timer:
        """Run it after a time by the caller's clock."""
        # As `_at`, written out: every wait comes by here.
        host, when = PROCESS.get(), self.now
        if delay > 0.0:
            when += delay if host is None else delay / host.rate
        if when <= self.now:
            self.is_pressed = True
        timer = Timer((callback, args, copy_context() if context is None else context, self))
        heapq.heappush(self._timers, (when, next(self._serials), timer))
        return timer

    def later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Timer:
        """Run it after a time, in nobody's name: the world's."""
        return self._at(self.now + delay if delay > 0.0 else self.now, callback, args, Context())

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., Any],
        *args: Any,
        context: Context | None = None,
    ) -> Timer:
        """Run it at a time of the caller's clock."""
        host = PROCESS.get()
        if host is not None:
            when = (when - host.skew) / host.rate
        return self._at(when, callback, args, context)

    def _at(
        self, when: float, callback: Callable[..., Any], args: Any, context: Context | None
    ) -> Timer:
        timer = Timer((callback, args, copy_context() if context is None else context, self))
        heapq.heappush(self._timers, (when, next(self._serials), timer))
        if when <= self.now:
            self.is_pressed = True
        return timer

    def count_dead_timer(self) -> None:
        """Count a timer that was cancelled before its time; tidy up where there are many."""
        self._dead_timers += 1
        if self._dead_timers > _TIDY_AT and 2 * self._dead_timers > len(self._timers):
            self._timers = [entry for entry in self._timers if entry[2][0] is not None]
            heapq.heapify(self._timers)
            self._dead_timers = 0

    def _run_once(self) -> None:
        # Round after round, without a return to asyncio's own loop in between.
        is_running, ready, ran = self.is_running(), self._ready, 0
        next_one = ready.popleft
        try:
            while True:
                if not ready or self.is_pressed:
                    self._gather()
                count = len(ready)
                ran += count
                for _ in range(count):
                    handle = next_one()
                    callback, args, context, _ = handle
                    if callback is None:
                        ran -= 1
                        continue  # cancelled
                    host = context.get(PROCESS)
                    if host is not None and host.is_odd and not host.runs(handle):
                        ran -= 1
                        continue
                    try:
                        if args:
                            context.run(callback, *args)
                        else:  # a step of a task, as most are: there is nothing to unpack
                            context.run(callback)
                    except (SystemExit, KeyboardInterrupt):
                        raise
                    except BaseException as exc:  # noqa: BLE001 - as `Handle._run`
                        said = _format_callback_source(callback, args)
                        self.call_exception_handler(
                            {"message": f"Exception in callback {said}", "exception": exc}
                        )
                if self._stopping or not is_running:
                    return
        finally:
            self.steps += ran

    def _gather(self) -> None:
        """Have the timers run whose time it is; where nothing else would, the next ones."""
        ready, timers, pop = self._ready, self._timers, heapq.heappop
        self.is_pressed = False
        while timers and timers[0][2][0] is None:
            pop(timers)
            self._dead_timers -= 1
        if not timers:
            if not ready:
                raise Deadlock
            return
        now = self.now
        if not ready and timers[0][0] > now:
            self.now = now = timers[0][0]
        while timers and timers[0][0] <= now:
            timer = pop(timers)[2]
            if timer[0] is None:
                self._dead_timers -= 1
            else:
                timer[3] = None  # it waits no more
                ready.append(timer)

    def _process_events(self, _events: Any) -> None:
        """There is no selector."""

    def _write_to_self(self) -> None:
        """Nobody waits in a system call."""
