"""What the gate reads itself before it lets anything through: engine, policy file, journal."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from app.adapters import stop_file
from app.adapters.engine.together import together
from app.adapters.gate.book import Book
from app.adapters.gate.journal import Journal
from app.domain.container import Container, Listed
from app.domain.gate import Bar, Barred, Trace, Verb
from app.domain.service import Service
from app.errors import ContainerGone, EngineRefused
from app.policies import swarm, traces
from app.policies.admission import Ask, Scene
from app.policies.bucket import tokens
from app.policies.membership import Member
from app.policies.protect import Ourselves
from app.policies.roster import Roster
from app.policies.spec import Mode
from app.ports import ContainerEngine, Services

#: Nobody changes the engine's name here: members are told apart by id.
_ENGINE: Final = "engine"
#: A bucket that was not full once in a day is never told to hold more than one bucketful too much.
_DAY_S: Final = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a gate is set up."""

    prefix: str
    mode: Mode
    ourselves: Ourselves
    #: While it is there nothing is changed.
    stop_file: Path
    #: Names this life of the host.
    boot: str


@dataclass(slots=True)
class UnderWay:
    """What the gate is doing just now."""

    #: Containers and services on which something is under way.
    busy: set[str] = field(default_factory=set)
    #: Groups of which a clone is being made.
    making: Counter[str] = field(default_factory=Counter)
    #: Attempts that make one: what carries their label is theirs until they are through.
    cloning: Counter[str] = field(default_factory=Counter)
    #: Actions that are let through and paid for, and that the journal does not have yet.
    paying: int = 0
    #: Actions that have ended: what was read before may be how it was before them.
    ended: int = 0

    def holds(
        self, ask: Ask, member: Member, half_made: Listed | None, *, prefix: str
    ) -> Barred | None:
        """Tell whether a clone is being made just now, and somebody else asks something of it."""
        maker = member.listed.labels.get(f"{prefix}.attempt", "")
        is_its_source = ask.verb is Verb.CLONE
        if member.clone_of is not None and not is_its_source and self.cloning[maker] > 0:
            return Barred(bar=Bar.BUSY, detail=f"{member.listed.name} is being made")
        if half_made is not None and half_made.id in self.busy:
            return Barred(bar=Bar.BUSY, detail=f"{half_made.name} is being changed")
        return None


class Sight:
    """See the module."""

    def __init__(
        self,
        engine: ContainerEngine,
        services: Services,
        journal: Journal,
        book: Book,
        habits: Habits,
    ) -> None:
        self._engine, self._services = engine, services
        self._journal, self._book, self._habits = journal, book, habits

    def is_stopped(self) -> bool:
        """Tell whether the STOP file is there."""
        return stop_file.is_there(self._habits.stop_file)

    async def look(
        self, ask: Ask, under_way: UnderWay
    ) -> tuple[Scene, tuple[Trace, ...], Listed | None]:
        """
        Look at what an intention is about.

        :return: what was seen; the attempt's own traces of this; for a clone, the half-made one
        :raises ContainerGone: and as the port says
        """
        book = await self._book.current()
        seen: Container | None
        service = None
        if ask.verb in (Verb.FORCE_UPDATE, Verb.SCALE):
            driven, listing = await together(
                self._services.service(ask.about), self._engine.containers()
            )
            listing = swarm.with_services(listing, (driven,), prefix=self._habits.prefix)
            service = driven
            seen = None
        else:
            seen, listing = await together(
                self._engine.inspect(ask.about), self._engine.containers()
            )
        roster = Roster(
            _ENGINE,
            listing,
            prefix=self._habits.prefix,
            enable=book.enable,
            protected=book.guards.protected,
            ourselves=self._habits.ourselves,
        )
        member = self._member(roster, ask.about, service)
        known = self._journal.of(ask.about)
        made_by = member.listed.labels.get(f"{self._habits.prefix}.attempt")
        now = asyncio.get_running_loop().time()
        scene = Scene(
            now=now,
            is_stopped=self.is_stopped(),
            mode=self._habits.mode,
            fence=self._journal.fence,
            old_epochs=self._journal.old_epochs,
            highest=self._journal.highest,
            rulebook=book,
            prefix=self._habits.prefix,
            roster=roster,
            seen=seen,
            member=member,
            busy=frozenset(under_way.busy - {ask.about}),
            making=(*under_way.making.elements(), *self._coming(roster, ask, under_way, now)),
            traces=known,
            is_made_by_us=self._journal.has_made(ask.about),
            tokens=tokens(
                self._journal.charges(self._habits.boot, since=now - _DAY_S),
                book.guards,
                now=now,
            )
            - under_way.paying,
            is_charged=traces.is_charged(
                known,
                ask.verb,
                ask.about,
                ask.attempt_id,
                made_by=made_by if member.clone_of else None,
                step=ask.step,
            ),
        )
        own = tuple(
            one for one in known if one.verb is ask.verb and one.attempt_id == ask.attempt_id
        )
        return scene, own, self._half_made(roster, ask, member)

    def _member(self, roster: Roster, about: str, service: Service | None) -> Member:
        for member in roster.members:
            if member.listed.id == about or (service and member.listed.service == service.id):
                return member
        if service is not None:
            # Without a task nothing of it can be ill.
            raise EngineRefused(409, f"{service.name} has no task")
        # Inspected, and listed no more.
        raise ContainerGone(f"{about[:12]}: it is not listed any more")

    def _coming(self, roster: Roster, ask: Ask, under_way: UnderWay, now: float) -> tuple[str, ...]:
        """Find the groups of which the engine may make a clone yet, although nobody waits."""
        boot, label = self._habits.boot, f"{self._habits.prefix}.attempt"
        recent = self._journal.recent(boot, since=now - traces.CLONE_TAKES.total_seconds())
        listed = [one.listed for one in roster.members]
        groups = []
        for one in traces.coming(recent, listed, label=label, now=now, boot=boot):
            # (What is under way here is counted there; an attempt is not in its own way.)
            if under_way.cloning[one.attempt_id] == 0 and one.attempt_id != ask.attempt_id:
                source = roster.holding(one.about)
                groups.append("" if source is None else str(source.group))
        return tuple(groups)

    def _half_made(self, roster: Roster, ask: Ask, source: Member) -> Listed | None:
        if ask.verb is not Verb.CLONE:
            return None
        label = f"{self._habits.prefix}.attempt"
        name = source.listed.name
        return next(
            (
                one.listed
                for one in roster.members
                if one.clone_of == name and one.listed.labels.get(label) == ask.attempt_id
            ),
            None,
        )
