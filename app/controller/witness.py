"""What happened to containers that we did not do: people's stops, and deploys."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from app.controller.picture import Census
from app.controller.rules import Rules
from app.domain.container import EngineEvent
from app.errors import EngineUnavailable, StoreUnavailable
from app.policies.deploy import Change, project_of
from app.ports import Clock, ContainerEngine, Records, Schedule

log: Final = structlog.get_logger("relevo.witness")

#: How far back the engine is asked at start (it remembers its last 256 events at most).
_LOOK_BACK: Final = timedelta(minutes=10)
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
#: A stream that has not failed for this long is up, also when nothing happens.
_STEADY: Final = 5.0
#: Events of an action of ours arrive a little after the engine's answer.
_ECHO: Final = 5.0
#: Containers and changes remembered; what is forgotten is only known less well.
_CAP: Final = 10_000

#: After these, a target is looked at at once instead of at its next poll.
_NEWS: Final = frozenset(
    {"die", "oom", "start", "stop", "pause", "unpause", "destroy", "health_status", "rename"}
)
#: Signals that ask a container to end.
_DEADLY: Final = frozenset({"2", "3", "9", "15", "SIGINT", "SIGQUIT", "SIGKILL", "SIGTERM"})
#: One that was told to end has ended by then, or has survived that.
_ENDS_WITHIN: Final = timedelta(minutes=10)
#: Events of the same time are told in any order; the engine tells of a signal once it is sent.
_LATE: Final = timedelta(seconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Witness:
    """Follows the engine's events. What it has not seen it does not claim."""

    def __init__(
        self,
        engine: ContainerEngine,
        census: Census,
        schedule: Schedule,
        records: Records,
        clock: Clock,
        *,
        rules: Rules,
        prefix: str,
        wake: Callable[[], None],
    ) -> None:
        self._wake = wake
        self._engine = engine
        self._census = census
        self._schedule = schedule
        self._records = records
        self._clock = clock
        self._rules = rules
        self._prefix = prefix
        #: Containers that we are acting on, and how often at once.
        self._ours: dict[str, int] = {}
        #: Of these, those that have been started again since: whoever stops one now is not us.
        self._started: set[str] = set()
        #: Containers that were told to end by somebody else, and have not ended yet: since when.
        self._told: dict[str, datetime] = {}
        self._stopped: dict[str, datetime] = {}
        #: When containers ended, and when they were started, last.
        self._died: dict[str, datetime] = {}
        self._born: dict[str, datetime] = {}
        self._changes: deque[Change] = deque(maxlen=_CAP)
        self._trouble: str | None = "not connected yet"
        #: What happened before we came is being told, and not all of it has been heard.
        self.is_blind = False

    @property
    def trouble(self) -> str | None:
        """Why events are missed at the moment; None while they arrive."""
        return self._trouble

    @property
    def changes(self) -> tuple[Change, ...]:
        """Removals and new names of compose containers, lately."""
        return tuple(self._changes)

    def human(self, container_id: str) -> str | None:
        """Tell what a person did to a container that has not been started since."""
        at = self._stopped.get(container_id)
        return None if at is None else f"somebody stopped it at {at:%H:%M:%S} UTC"

    @contextmanager
    def acting(self, container_id: str) -> Iterator[None]:
        """Take what happens to a container meanwhile for our own doing."""
        self._ours[container_id] = self._ours.get(container_id, 0) + 1
        self._started.discard(container_id)
        try:
            yield
        finally:
            asyncio.get_running_loop().call_later(_ECHO, self._leave, container_id)

    async def run(self) -> None:
        """Follow the events until cancelled; a cut stream is taken up where it ended."""
        since_ns = _nanoseconds(self._clock.now() - _LOOK_BACK)
        pause = _FIRST_PAUSE
        loop = asyncio.get_running_loop()
        self.is_blind = True
        loop.call_later(_STEADY, self._have_seen)
        while True:
            steady = loop.call_later(_STEADY, self._say, None)
            try:
                async with aclosing(self._engine.events(since_ns=since_ns)) as events:
                    async for event in events:
                        since_ns = event.at_ns
                        pause = _FIRST_PAUSE
                        await self.see(event)
            except EngineUnavailable as exc:
                self._say(str(exc))
            except Exception as exc:
                # The boundary: one odd event must not end the controller, which would find it
                # again after its restart. It is left out: `since_ns` is past it.
                log.error("event not understood", exc_info=exc)
                self._say(f"{type(exc).__name__}: {exc}")
            finally:
                steady.cancel()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _have_seen(self) -> None:
        self.is_blind = False

    async def see(self, event: EngineEvent) -> None:
        """Take one event in."""
        self._say(None)
        at = _EPOCH + timedelta(microseconds=event.at_ns // 1000)
        self._remember(event, at)
        if event.action in _NEWS:
            await self._look_at(event.container_id)

    def _remember(self, event: EngineEvent, at: datetime) -> None:
        self._remember_life(event, at)
        if event.action in ("destroy", "rename"):
            project = project_of(event.attributes, prefix=self._prefix)
            if project is not None:
                self._changes.append(Change(project=project, at=at))
        horizon = at - max(self._rules.book.guards.deploy_hold, _LOOK_BACK)
        while self._changes and self._changes[0].at < horizon:
            self._changes.popleft()

    def _remember_life(self, event: EngineEvent, at: datetime) -> None:
        one = event.container_id
        kept = (self._told, self._stopped, self._died, self._born)
        if sum(map(len, kept)) > _CAP:
            for about in kept:
                about.clear()
        if at < self._born.get(one, at):
            return  # told late, of a life that is over
        match event.action:
            case "destroy":
                for about in kept:
                    about.pop(one, None)
            case "start":
                self._born[one] = at
                if one in self._ours:
                    self._started.add(one)
                for about in (self._told, self._stopped, self._died):
                    if about.get(one, at) <= at:
                        about.pop(one, None)
            case "kill" if event.attributes.get("signal", "15") in _DEADLY:
                if not self._is_ours(one):
                    self._told[one] = at
                    if one in self._died and at - self._died[one] <= _LATE:
                        self._stopped[one] = at
            case "die":
                self._died[one] = at
                if one in self._told and at - self._told[one] <= _ENDS_WITHIN:
                    self._stopped[one] = at
            case "stop" if not self._is_ours(one):
                self._stopped[one] = at

    async def _look_at(self, container_id: str) -> None:
        """Have a target in trouble looked at soon: what it waits for may just have happened."""
        roster = self._census.last
        member = roster.holding(container_id) if roster is not None else None
        if member is None:
            return
        try:
            if await self._records.remediation_of(str(member.target)) is not None:
                # Not this moment: what explains it is told a moment later (die, then stop).
                at = self._clock.now() + _LATE
                await self._schedule.nudge([str(member.target)], now=at)
                self._wake()
        except StoreUnavailable as exc:
            log.debug("no look after an event", error=str(exc))  # its next poll will do

    def _is_ours(self, container_id: str) -> bool:
        """Tell whether a stop is part of our own action: a restart stops first, then starts."""
        return container_id in self._ours and container_id not in self._started

    def _leave(self, container_id: str) -> None:
        left = self._ours.get(container_id, 0) - 1
        if left > 0:
            self._ours[container_id] = left
        else:
            self._ours.pop(container_id, None)
            self._started.discard(container_id)

    def _say(self, trouble: str | None) -> None:
        if trouble == self._trouble:
            return
        if trouble is not None:
            log.warning("engine events are missed", trouble=trouble)
        elif self._trouble is not None:
            log.info("engine events arrive")
        self._trouble = trouble


def _nanoseconds(at: datetime) -> int:
    return ((at - _EPOCH) // timedelta(microseconds=1)) * 1000
