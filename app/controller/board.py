"""What people see first: every opted-in container, also while store or engine is away."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.controller.desk import Desk, TargetView
from app.controller.overview import Overview, StatusView
from app.controller.picture import Census
from app.domain.remediation import Remediation
from app.errors import EngineUnavailable, StoreUnavailable
from app.policies.membership import Member
from app.ports import Clock, History, RemediationFilter

#: Of the past that is shown.
SPAN: Final = timedelta(hours=1)
#: A story that began earlier and ended within the hour: a ladder takes half an hour, and a
#: quarantine may last, but such a one is open.
_BEFORE: Final = timedelta(hours=3)
#: Stories that are read for it; who has more sees how far back they reach.
_STORIES: Final = 500
#: Whoever looks gets an answer, also while the engine hangs.
_ANSWERS: Final = timedelta(seconds=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One opted-in container, as far as it is known now."""

    target: str
    container: str
    #: None: store or engine does not answer, and only what follows is known.
    view: TargetView | None
    #: Its open story; None also where the store does not answer.
    remediation: Remediation | None
    #: When the container was created, where the engine says so: before that there is no past.
    born: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The stories of the last hour."""

    stories: tuple[Remediation, ...] = ()
    #: Nothing earlier was read, or could be.
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All lines, by name, and what is wrong around them."""

    now: datetime
    status: StatusView
    lines: tuple[Line, ...]
    past: Past
    #: Why the lines are less than whole, a sentence each.
    trouble: tuple[str, ...]


class Board:
    """Reads for pages; never raises, what is missing is part of the answer."""

    def __init__(
        self, desk: Desk, overview: Overview, census: Census, history: History, clock: Clock
    ) -> None:
        self._desk = desk
        self._overview = overview
        self._census = census
        self._history = history
        self._clock = clock
        #: One question for all who ask meanwhile. It goes on when they have left: an engine that
        #: is slow once has then answered for the next.
        self._asking: asyncio.Task[tuple[TargetView, ...]] | None = None

    async def fleet(self, only: Collection[str] | None = None) -> Fleet:
        """
        Read all targets, or some.

        :param only: ``engine:slot``; those that are not there are left out
        """
        now = self._clock.now()
        status = await self._overview.status()
        trouble: list[str] = []
        views: tuple[TargetView, ...] | None = None
        try:
            views = await self._views(only)
        except EngineUnavailable as exc:
            trouble.append(f"the container engine does not answer: {exc}")
        except StoreUnavailable as exc:
            trouble.append(f"the store does not answer: {exc}")
        except TimeoutError:
            trouble.append("store or engine take long; what is shown is what is remembered")
        past = await self._past(now, trouble)
        lines = self._remembered(past, only) if views is None else self._whole(views)
        return Fleet(
            now=now,
            status=status,
            lines=lines,
            past=past,
            trouble=tuple(dict.fromkeys(trouble)),
        )

    async def _views(self, only: Collection[str] | None) -> tuple[TargetView, ...]:
        async with asyncio.timeout(_ANSWERS.total_seconds()):
            if only is not None:
                found = await asyncio.gather(*(self._desk.target(name) for name in sorted(only)))
                return tuple(one for one in found if one is not None)
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._desk.targets(), name="board")
                # Whoever asked may have left before it failed.
                self._asking.add_done_callback(_heard)
            return await asyncio.shield(self._asking)

    async def _past(self, now: datetime, trouble: list[str]) -> Past:
        since = now - SPAN
        try:
            recent = await self._history.remediations(
                RemediationFilter(since=since - _BEFORE, limit=_STORIES)
            )
            still = await self._history.remediations(
                RemediationFilter(open_only=True, limit=_STORIES)
            )
        except StoreUnavailable as exc:
            trouble.append(f"the store does not answer: {exc}")
            return Past(since=now)
        found = {one.id: one for one in (*recent, *still)}
        stories = tuple(
            one for one in found.values() if one.closed_at is None or one.closed_at > since
        )
        if len(recent) == _STORIES:
            since = max(since, recent[-1].opened_at)
        return Past(stories=stories, since=since)

    def _whole(self, views: Iterable[TargetView]) -> tuple[Line, ...]:
        born = {str(one.target): one.listed.created_at for one in self._members()}
        return tuple(
            Line(
                target=one.target,
                container=one.container,
                view=one,
                remediation=one.remediation,
                born=born.get(one.target),
            )
            for one in views
        )

    def _remembered(self, past: Past, only: Collection[str] | None) -> tuple[Line, ...]:
        """Whom the last listing had, and whom an open story is about."""
        told = {one.target: one for one in past.stories if not one.is_closed}
        lines = {
            str(one.target): Line(
                target=str(one.target),
                container=one.listed.name,
                view=None,
                remediation=told.get(str(one.target)),
                born=one.listed.created_at,
            )
            for one in self._members()
        }
        for target, story in told.items():
            if target not in lines:
                lines[target] = Line(
                    target=target,
                    container=story.container,
                    view=None,
                    remediation=story,
                    born=None,
                )
        return tuple(line for name, line in sorted(lines.items()) if only is None or name in only)

    def _members(self) -> tuple[Member, ...]:
        last = self._census.last
        return last.targets() if last is not None else ()


def _heard(done: "asyncio.Task[tuple[TargetView, ...]]") -> None:
    if not done.cancelled():
        done.exception()
