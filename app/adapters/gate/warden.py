"""
Who decides at the gate: looks at the engine itself, writes down, lets through, writes down again.

Reading is let through as it is. For a change the order is: look · judge (`app.policies.admission`)
· the journal, on disk · the engine. Between the steps of one action the deadline and the STOP file
are asked again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NoReturn, TypeVar

import structlog

from app.adapters.gate.journal import Journal
from app.adapters.gate.sight import Sight, UnderWay
from app.adapters.gate.tickets import Ticket
from app.domain.container import Container, Listed
from app.domain.gate import Bar, Barred, Ending, Trace, Verb
from app.errors import (
    CloneRefused,
    ContainerGone,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    GateRefused,
    LeaseLost,
    ServiceChanged,
    ServiceGone,
    StartedMeanwhile,
    TooLate,
)
from app.policies import admission, traces
from app.policies.admission import Ask, Scene
from app.policies.membership import Member
from app.ports import Clock, Deadline

log: Final = structlog.get_logger("relevo.gate")

_SERVICE_TAKES: Final = timedelta(seconds=60)
#: How often it is looked anew because something else has ended meanwhile.
_LOOKS: Final = 5

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """An action that may be carried out."""

    seen: Container | None
    #: Asked right before each step.
    not_after: Deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Did:
    """What an action came to, for the journal."""

    made: str = ""
    said: tuple[str, ...] = ()


class Warden:
    """
    See the module.

    :param boot: names this life of the host
    """

    def __init__(
        self,
        sight: Sight,
        journal: Journal,
        clock: Clock,
        *,
        boot: str,
    ) -> None:
        self._sight, self._journal, self._clock, self._boot = sight, journal, clock, boot
        self._under_way = UnderWay()

    async def act(
        self,
        ask: Ask,
        ticket: Ticket,
        do: Callable[[Action], Awaitable[tuple[T, Did]]],
        *,
        replay: Callable[[Trace], Awaitable[T]],
    ) -> T:
        """
        Let an intention through, once.

        :param do: tells the engine
        :param replay: answers once more what was done already
        :raises GateRefused: and as the port says
        """
        async with self._alone(ask):
            scene, own, half_made = await self._looked(ask)
            now = asyncio.get_running_loop().time()
            boot = self._boot
            earlier = traces.again(
                own, ask.verb, scene.seen, half_made=half_made, now=now, boot=boot
            )
            if isinstance(earlier, Trace):
                return await replay(earlier)
            in_the_way = traces.stands_in_the_way(
                scene.traces, ask.attempt_id, scene.seen, now=now, boot=boot
            )
            held = self._under_way.holds(ask, scene.member, half_made, prefix=scene.prefix)
            bar = admission.barred(ask, scene) or earlier or in_the_way or held
            if bar is not None:
                self._refuse(ask, scene.member, bar)
            group = str(scene.member.group)
            makes_one = ask.verb is Verb.CLONE or (ask.step or 0) > 0
            self._under_way.making[group] += makes_one
            try:
                return await self._carried_out(ask, scene, ticket, do)
            finally:
                self._under_way.making[group] -= makes_one
                self._under_way.ended += 1

    async def _looked(self, ask: Ask) -> tuple[Scene, tuple[Trace, ...], Listed | None]:
        """
        Look, and again where something has ended meanwhile.

        What has begun and ended between the engine's listing and our judgement is neither in the
        one nor under way in the other: an instance more, or one fewer that serves.
        """
        for _ in range(_LOOKS):
            ended = self._under_way.ended
            found = await self._sight.look(ask, self._under_way)
            if self._under_way.ended == ended:
                return found
        raise GateRefused(Bar.BUSY, f"{ask.about[:12]}: too much ends while it is looked at")

    async def _carried_out(
        self,
        ask: Ask,
        scene: Scene,
        ticket: Ticket,
        do: Callable[[Action], Awaitable[tuple[T, Did]]],
    ) -> T:
        trace = Trace(
            verb=ask.verb,
            about=ask.about,
            attempt_id=ask.attempt_id,
            at=asyncio.get_running_loop().time(),
            boot=self._boot,
            takes=_takes(ask, scene.seen),
            before=scene.seen.started_at if scene.seen is not None else "",
            charged=not scene.is_charged,
            networks=ask.networks or "",
        )
        # At once, and not when the disk has it: others are judged meanwhile.
        self._under_way.paying += trace.charged
        try:
            number = await self._journal.begin(trace, ask.fence, written_at=self._clock.now())
        except OSError as exc:
            bar = Barred(bar=Bar.NO_JOURNAL, detail=f"the journal cannot be written: {exc}")
            self._refuse(ask, scene.member, bar)
        finally:
            self._under_way.paying -= trace.charged
        log.info(
            "let through",
            verb=str(ask.verb),
            container=scene.member.listed.name,
            attempt=ask.attempt_id,
        )
        # Until the disk had it, time has passed.
        late = admission.too_late(ask, asyncio.get_running_loop().time())
        ending: Ending | None = Ending.UNDONE
        did = Did()
        try:
            if late is not None:
                self._refuse(ask, scene.member, late)
            found, did = await do(Action(seen=scene.seen, not_after=self._deadline(ticket)))
            ending = Ending.DONE
            return found
        except BaseException as exc:
            ending = _ending(ask.verb, exc)
            raise
        finally:
            # Not to be left out: whoever cancels us waits for it.
            await asyncio.shield(self._journal.end(number, ending, made=did.made, said=did.said))

    def _deadline(self, ticket: Ticket) -> Deadline:
        def not_after() -> float:
            if self._sight.is_stopped():
                raise TooLate("the STOP file is in the gate's data directory")
            return ticket.not_after()

        return not_after

    @asynccontextmanager
    async def _alone(self, ask: Ask) -> AsyncIterator[None]:
        now = self._under_way
        if ask.about in now.busy:
            raise GateRefused(Bar.BUSY, f"{ask.about[:12]}: another action is under way there")
        # Both before anything is looked at: of two that meet, at least one sees the other.
        now.busy.add(ask.about)
        now.cloning[ask.attempt_id] += ask.verb is Verb.CLONE
        try:
            yield
        finally:
            now.busy.discard(ask.about)
            now.cloning[ask.attempt_id] -= ask.verb is Verb.CLONE
            # (Counters keep what has come to nothing.)
            if not now.cloning[ask.attempt_id]:
                del now.cloning[ask.attempt_id]

    # ------------------------------------------------------------------ the no

    def _refuse(self, ask: Ask, member: Member, bar: Barred) -> NoReturn:
        """Say it in the port's own words."""
        log.warning(
            "refused",
            verb=str(ask.verb),
            container=member.listed.name,
            attempt=ask.attempt_id,
            reason=str(bar.bar),
            detail=bar.detail,
        )
        match bar.bar:
            case Bar.LATE | Bar.OLD_FENCE:
                raise TooLate(bar.detail)
            case Bar.RESTARTED_MEANWHILE:
                raise StartedMeanwhile(bar.detail)
            case Bar.UNSETTLED:
                raise EngineSilent(bar.detail)
            case Bar.NO_JOURNAL:
                raise EngineUnavailable(bar.detail)
            case _:
                raise GateRefused(bar.bar, bar.detail)


def _takes(ask: Ask, seen: Container | None) -> timedelta:
    """Tell how long the engine may be at it although nobody waits any more."""
    if seen is None:
        return _SERVICE_TAKES
    if ask.verb in (Verb.CLONE, Verb.START):
        return traces.CLONE_TAKES
    return max(seen.stop_grace, ask.stop_grace or timedelta(0)) + traces.SLACK


def _ending(verb: Verb, exc: BaseException) -> Ending | None:
    """Tell what an error says of what was done; None: nobody knows."""
    match exc:
        case TooLate() | StartedMeanwhile() | CloneRefused():
            return Ending.UNDONE
        case ContainerGone() | ServiceGone() | ServiceChanged():
            return Ending.UNDONE
        case EngineSilent() | LeaseLost():
            return None
        case EngineUnavailable() | GateRefused():
            return Ending.UNDONE
        case EngineRefused():
            # Of a clone, what was made is taken away again.
            return Ending.UNDONE if verb is Verb.CLONE else Ending.REFUSED
        case asyncio.CancelledError():
            return Ending.UNDONE if verb is Verb.CLONE else None
        case _:
            return None
