"""What has changed, for whoever watches: looked for while somebody does, told to all of them."""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

import structlog

from app.controller.listener import Change, Listener
from app.controller.overview import holds_in_force
from app.controller.picture import Census
from app.controller.tenure import Tenure
from app.domain.remediation import Remediation
from app.errors import EngineUnavailable, NotAccepting, StoreUnavailable
from app.ports import Clock, RemediationFilter, Store

log: Final = structlog.get_logger("relevo.feed")

#: Also what another controller does is seen: it is read from the store, and that often.
EVERY: Final = timedelta(seconds=1)
#: Whoever watches costs a connection and a buffer.
MOST_LISTENERS: Final = 64
#: So that nobody takes all places; a browser itself opens six connections, or many by HTTP/2.
MOST_OF_ONE: Final = 16
#: Changes that one who was away for a moment can still be told; after that, everything is new.
_REMEMBERED: Final = 256
_STORIES: Final = 1000
#: How long the engine may take before a look goes on without it.
_ENGINE_ANSWERS: Final = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class _Look:
    """Everything that is compared."""

    stories: Mapping[str, Remediation] = field(default_factory=dict)
    #: By target: who it is now, and its hold.
    members: Mapping[str, object] = field(default_factory=dict)
    holds: Mapping[str, object] = field(default_factory=dict)
    status: tuple[object, ...] = ()


class Feed:
    """Looks once a second, while somebody listens."""

    def __init__(
        self, store: Store, census: Census, tenure: Tenure, clock: Clock, *, life: str
    ) -> None:
        """
        Begin.

        :param life: name of this process: what another one has told is not known here
        """
        self.life = life
        self._store = store
        self._census = census
        self._tenure = tenure
        self._clock = clock
        self._listeners: set[Listener] = set()
        self._wanted = asyncio.Event()
        self._seen: _Look | None = None
        self._looked = asyncio.Event()
        self._number = 0
        self._told: deque[tuple[int, Change]] = deque(maxlen=_REMEMBERED)
        self._is_over = False

    @property
    def last(self) -> int:
        """Number of the newest change."""
        return self._number

    @contextmanager
    def listening(
        self, since: int | None = None, *, whose: str | None = None
    ) -> Iterator[Listener]:
        """
        Listen for a while.

        :param since: the newest change that the listener knows; None: it comes with all of it
        :param whose: whom to count it for; None: for nobody
        :raises NotAccepting: too many listen already, or everybody has been let go
        """
        if self._is_over:
            raise NotAccepting("Relevo is shutting down")
        if len(self._listeners) >= MOST_LISTENERS:
            raise NotAccepting("too many follow already")
        if whose is not None:
            others = sum(one.whose == whose for one in self._listeners)
            if others >= MOST_OF_ONE:
                raise NotAccepting(f"{others} follow with this session or token already")
        listener = Listener(whose)
        missed = self._since(since) if since is not None else Change()
        if missed:
            listener.tell(missed, self._number)
        self._listeners.add(listener)
        self._wanted.set()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                self._wanted.clear()

    async def ready(self, *, within: timedelta | None = None) -> bool:
        """
        Wait until there is a look to compare with: of what is read after it, all is told.

        :param within: False after that time
        """
        try:
            async with asyncio.timeout(within.total_seconds() if within is not None else None):
                await self._looked.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Look and tell until cancelled; then all who listen are let go."""
        try:
            while True:
                if not self._wanted.is_set():
                    # What happens now nobody is told; who comes back reads everything.
                    self._seen = None
                    self._looked.clear()
                    self._told.clear()
                    await self._wanted.wait()
                try:
                    await self.look()
                except Exception as exc:
                    # The boundary: whoever watches must not end what is watched.
                    log.error("not compared", exc_info=exc)
                await asyncio.sleep(EVERY.total_seconds())
        finally:
            self.close()

    async def look(self) -> None:
        """Compare with the look before, and tell the difference."""
        now = await self._look()
        before, self._seen = self._seen, now
        self._looked.set()
        if before is None:
            return
        change = difference(before, now)
        if not change:
            return
        self._number += 1
        self._told.append((self._number, change))
        for listener in tuple(self._listeners):
            listener.tell(change, self._number)

    def close(self) -> None:
        """Let everybody go, and nobody in."""
        self._is_over = True
        self._looked.set()
        for listener in tuple(self._listeners):
            listener.close()

    def _since(self, number: int) -> Change:
        if number == self._number and self._seen is not None:
            return Change()
        if not self._told or not self._told[0][0] <= number + 1 <= self._number:
            return Change(everything=True)
        missed = Change()
        for told, change in self._told:
            if told > number:
                missed |= change
        return missed

    async def _look(self) -> _Look:
        before = self._seen or _Look()
        members, engine_trouble = before.members, self._census.trouble
        try:
            async with asyncio.timeout(_ENGINE_ANSWERS.total_seconds()):
                roster = await self._census.roster()
                members = {str(one.target): one.listed for one in roster.targets()} | {
                    f"{one.group} {one.listed.name}": one.listed
                    for one in roster.members
                    if one.clone_of is not None
                }
                engine_trouble = None
        except (EngineUnavailable, TimeoutError):
            engine_trouble = "away"
        store = self._store
        try:
            found = await store.history.remediations(
                RemediationFilter(open_only=True, limit=_STORIES)
            )
            pause, brake = await store.controls.pause(), await store.controls.brake()
            # One that ends by itself stays where it is kept: its end is a change all the same.
            now = self._clock.now()
            pause = None if pause is None or pause.is_over(now) else pause
            holds = await holds_in_force(store.controls, now=now)
        except StoreUnavailable:
            away = (*before.status[:2], self._tenure.view(), engine_trouble, "away")
            return replace(before, members=members, status=away)
        return _Look(
            stories={one.id: _shown(one) for one in found},
            members=members,
            holds=holds,
            status=(pause, brake, self._tenure.view(), engine_trouble, None),
        )


def difference(before: _Look, now: _Look) -> Change:
    """Tell what is not as it was."""
    stories = frozenset(_unlike(before.stories, now.stories))
    about = {
        one.target for one in (*before.stories.values(), *now.stories.values()) if one.id in stories
    }
    members = _unlike(before.members, now.members)
    # Of a clone it is the group that has changed, and that is more than one line.
    clones = any(" " in name for name in members)
    return Change(
        targets=frozenset({*about, *members, *_unlike(before.holds, now.holds)} - {""}),
        remediations=stories,
        status=before.status != now.status or bool(about),
        everything=clones or before.members.keys() != now.members.keys(),
    )


def _unlike(before: Mapping[str, object], now: Mapping[str, object]) -> set[str]:
    return {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}


def _shown(record: Remediation) -> Remediation:
    """Leave out what changes with every poll, and nobody is shown."""
    return replace(
        record,
        next_at=record.next_at if record.next_action is not None else None,
        absent_looks=0,
    )
