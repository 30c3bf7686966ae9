"""What the gate does for each word."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from typing import Any

from pydantic import TypeAdapter

from app.adapters.engine.connection import checked_id
from app.adapters.engine.stats import ContainerReader
from app.adapters.engine.swarm import checked_service_id
from app.adapters.gate import speech
from app.adapters.gate.tickets import Ticket
from app.adapters.gate.warden import Action, Did, Warden
from app.adapters.gate.words import QUESTIONS, WISHES
from app.domain.gate import Trace, Verb
from app.domain.service import Service
from app.errors import ContainerGone
from app.policies.admission import Ask
from app.ports import Clock, CloneResult, ContainerEngine, Services

Answer = Callable[[Any], Awaitable[Any]]
Carry = Callable[[Any, Ticket], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What changes nothing."""

    takes: TypeAdapter[Any]
    gives: TypeAdapter[Any]
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What changes something."""

    takes: TypeAdapter[Any]
    gives: TypeAdapter[Any]
    carry_out: Carry


class Intentions:
    """
    What the gate does for each word.

    :param reader: for the collector, with a connection of its own
    """

    def __init__(
        self,
        warden: Warden,
        engine: ContainerEngine,
        services: Services,
        reader: ContainerReader,
        clock: Clock,
    ) -> None:
        self._warden, self._engine, self._services = warden, engine, services
        self._reader, self._clock = reader, clock
        answers: dict[str, Answer] = {
            "identity": lambda _: engine.identity(),
            "containers": lambda _: engine.containers(),
            "inspect": lambda asked: engine.inspect(checked_id(asked.id)),
            "used": lambda asked: engine.used(checked_id(asked.id), at=asked.at or clock.now()),
            "room": lambda asked: engine.room(checked_id(asked.id)),
            "evidence": lambda asked: engine.evidence(
                checked_id(asked.id), at=asked.at or clock.now()
            ),
            "running": lambda _: reader.running(),
            "usage": lambda asked: reader.usage(checked_id(asked.id)),
            "allowance": lambda asked: reader.allowance(checked_id(asked.id)),
            "manages": lambda _: services.manages(),
            "services": lambda _: services.services(),
            "service": lambda asked: services.service(checked_service_id(asked.id)),
        }
        carries: dict[str, Carry] = {
            "restart": self._restart,
            "start": self._start,
            "clone": self._clone,
            "remove_clone": self._remove_clone,
            "set_aside": self._set_aside,
            "bring_back": self._bring_back,
            "force_update": self._force_update,
            "scale": self._scale,
        }
        self.questions = {
            word: Question(takes=takes, gives=gives, answer=answers[word])
            for word, (takes, gives) in QUESTIONS.items()
        }
        self.wishes = {
            word: Wish(takes=takes, gives=gives, carry_out=carries[word])
            for word, (takes, gives) in WISHES.items()
        }

    # ------------------------------------------------------------------ containers

    async def _restart(self, asked: speech.Restart, ticket: Ticket) -> None:
        async def do(action: Action) -> tuple[None, Did]:
            await self._engine.restart(
                asked.id,
                attempt_id=asked.attempt_id,
                expected_started_at=asked.expected_started_at,
                stop_grace=asked.stop_grace,
                not_after=action.not_after,
            )
            return None, Did()

        ask = _ask(
            Verb.RESTART,
            asked,
            expected_started_at=asked.expected_started_at,
            stop_grace=asked.stop_grace,
        )
        await self._warden.act(ask, ticket, do, replay=_nothing)

    async def _start(self, asked: speech.Start, ticket: Ticket) -> None:
        async def do(action: Action) -> tuple[None, Did]:
            await self._engine.start(
                asked.id, attempt_id=asked.attempt_id, not_after=action.not_after
            )
            return None, Did()

        await self._warden.act(_ask(Verb.START, asked), ticket, do, replay=_nothing)

    async def _clone(self, asked: speech.Clone, ticket: Ticket) -> CloneResult:
        async def do(action: Action) -> tuple[CloneResult, Did]:
            # Of the labels that it makes, the time is our own.
            result = await self._engine.clone(
                asked.id,
                attempt_id=asked.attempt_id,
                rules=asked.rules,
                at=self._clock.now(),
                not_after=action.not_after,
            )
            return result, Did(made=result.clone.id if result.clone is not None else "")

        async def again(_: Trace) -> CloneResult:
            raise AssertionError("a clone is adopted, or made")

        if asked.dry_run:
            return await self._engine.clone(
                checked_id(asked.id),
                attempt_id=asked.attempt_id,
                rules=asked.rules,
                at=self._clock.now(),
                dry_run=True,
            )
        ask = _ask(Verb.CLONE, asked, rules=asked.rules)
        return await self._warden.act(ask, ticket, do, replay=again)

    async def _remove_clone(self, asked: speech.RemoveClone, ticket: Ticket) -> None:
        async def do(action: Action) -> tuple[None, Did]:
            await self._engine.remove_clone(
                asked.id, attempt_id=asked.attempt_id, not_after=action.not_after
            )
            return None, Did()

        try:
            await self._warden.act(_ask(Verb.REMOVE_CLONE, asked), ticket, do, replay=_nothing)
        except ContainerGone:
            return

    async def _set_aside(self, asked: speech.SetAside, ticket: Ticket) -> None:
        async def do(action: Action) -> tuple[None, Did]:
            await self._engine.set_aside(
                asked.id,
                attempt_id=asked.attempt_id,
                networks=asked.networks,
                expected_started_at=asked.expected_started_at,
                not_after=action.not_after,
            )
            return None, Did()

        ask = _ask(
            Verb.SET_ASIDE,
            asked,
            expected_started_at=asked.expected_started_at,
            networks=asked.networks,
        )
        await self._warden.act(ask, ticket, do, replay=_nothing)

    async def _bring_back(self, asked: speech.BringBack, ticket: Ticket) -> tuple[str, ...]:
        async def do(action: Action) -> tuple[tuple[str, ...], Did]:
            said = await self._engine.bring_back(
                asked.id,
                attempt_id=asked.attempt_id,
                networks=asked.networks,
                ends=asked.ends,
                starts=asked.starts,
                not_after=action.not_after,
            )
            return said, Did(said=said)

        async def again(trace: Trace) -> tuple[str, ...]:
            return trace.said

        ask = _ask(Verb.BRING_BACK, asked, networks=asked.networks, ends=asked.ends)
        return await self._warden.act(ask, ticket, do, replay=again)

    # ------------------------------------------------------------------ services

    async def _force_update(self, asked: speech.ForceUpdate, ticket: Ticket) -> Service:
        async def do(action: Action) -> tuple[Service, Did]:
            service = await self._services.force_update(
                asked.id,
                attempt_id=asked.attempt_id,
                expected_template=asked.expected_template,
                not_after=action.not_after,
            )
            return service, Did()

        return await self._warden.act(
            _ask(Verb.FORCE_UPDATE, asked), ticket, do, replay=self._as_it_is
        )

    async def _scale(self, asked: speech.Scale, ticket: Ticket) -> Service:
        async def do(action: Action) -> tuple[Service, Did]:
            service = await self._services.scale(
                asked.id,
                attempt_id=asked.attempt_id,
                expected_replicas=asked.expected_replicas,
                to=asked.to,
                not_after=action.not_after,
            )
            return service, Did()

        ask = _ask(Verb.SCALE, asked, step=asked.to - asked.expected_replicas)
        return await self._warden.act(ask, ticket, do, replay=self._as_it_is)

    async def _as_it_is(self, trace: Trace) -> Service:
        return await self._services.service(trace.about)


def _ask(verb: Verb, asked: speech.Act, **more: Any) -> Ask:
    of_a_service = verb in (Verb.FORCE_UPDATE, Verb.SCALE)
    return Ask(
        verb=verb,
        about=checked_service_id(asked.id) if of_a_service else checked_id(asked.id),
        attempt_id=asked.attempt_id,
        fence=asked.fence,
        sent_at=asked.sent_at,
        not_after=inf if asked.not_after is None else asked.not_after,
        **more,
    )


async def _nothing(_: Trace) -> None:
    return None
