"""Relevo at a glance: what it does, what keeps it from doing more, what is wrong around it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from app.controller.courier import Deliveries
from app.controller.picture import Census
from app.controller.rules import Rules
from app.controller.tenure import Tenure, TenureView
from app.domain.control import Brake, Halt
from app.domain.remediation import State
from app.errors import EngineUnavailable, StoreUnavailable
from app.policies import guards
from app.policies.roster import Roster
from app.policies.spec import Mode
from app.ports import Aside, Clock, Controls, Store

#: Whoever asks how we are gets an answer, also while the engine hangs.
_ENGINE_ANSWERS: Final = timedelta(seconds=3)
#: Alerts that were not taken on, told with the status.
_ASIDES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """The report of observe mode: how often acting would have been right."""

    would_have_acted: int = 0
    #: Of these, the trouble passed without us.
    passed_by_itself: int = 0
    #: It did not.
    still_needed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """Relevo at a glance."""

    engine: str | None
    mode: Mode
    #: Why nothing can be accepted; empty while the store answers.
    store_trouble: tuple[str, ...]
    #: What weakens the store's word although it answers.
    store_warnings: tuple[str, ...]
    engine_trouble: tuple[str, ...]
    #: Who acts, and why it is not us.
    tenure: TenureView
    states: Mapping[State, int]
    failing_targets: int
    pause: Halt | None
    #: Of targets, those that have expired left out.
    holds: Mapping[str, Halt]
    brake: Brake
    #: Actions that may still be begun: in a row, and within the hour.
    budget_left: tuple[int, int]
    precision: Precision
    #: The newest alerts that were not taken on, and why.
    asides: tuple[Aside, ...]
    #: How it goes to tell people's tools; None: there is none.
    deliveries: Deliveries | None = None
    #: Labels on containers that do nothing, and what was probably meant.
    label_typos: tuple[str, ...] = ()


def _no_tool() -> None:
    """Nobody takes messages."""


class Overview:
    """Tells how Relevo is."""

    def __init__(
        self,
        store: Store,
        census: Census,
        clock: Clock,
        *,
        rules: Rules,
        mode: Mode,
        tenure: Tenure,
        deliveries: Callable[[], Deliveries | None] = _no_tool,
    ) -> None:
        self._tenure = tenure
        self._deliveries = deliveries
        self._store = store
        self._census = census
        self._clock = clock
        self._rules = rules
        self._mode = mode

    async def status(self) -> StatusView:
        """Tell how Relevo is; never raises, what is down is part of the answer."""
        engine_trouble: tuple[str, ...] = ()
        roster = self._census.last
        try:
            async with asyncio.timeout(_ENGINE_ANSWERS.total_seconds()):
                roster = await self._census.roster()
        except EngineUnavailable as exc:
            engine_trouble = (str(exc),)
        except TimeoutError:
            engine_trouble = ("the engine does not answer in time",)
        try:
            kept = await self._kept(roster)
        except StoreUnavailable as exc:
            kept = _Kept(trouble=(str(exc),))
        return StatusView(
            engine=roster.engine if roster is not None else None,
            mode=self._mode,
            store_trouble=kept.trouble,
            store_warnings=kept.warnings,
            engine_trouble=engine_trouble,
            tenure=self._tenure.view(),
            states=kept.states,
            failing_targets=kept.failing,
            pause=kept.pause,
            holds=kept.holds,
            brake=kept.brake,
            budget_left=kept.budget_left,
            precision=kept.precision,
            asides=kept.asides,
            deliveries=self._deliveries(),
            label_typos=roster.label_typos() if roster is not None else (),
        )

    async def _kept(self, roster: Roster | None) -> "_Kept":
        """Read what the store knows of Relevo itself."""
        store, now = self._store, self._clock.now()
        rules = self._rules.book.guards
        pause = await store.controls.pause()
        brake = await store.controls.brake()
        tallies = await store.history.tallies()
        charged = await store.failures.charged(since=now - timedelta(hours=1))
        return _Kept(
            warnings=(
                *await store.health.check(),
                *await store.health.remarks(),
                *filter(None, (self._tenure.memory.trouble,)),
            ),
            states=await self._states(roster, now=now) if roster is not None else Counter(),
            failing=await store.failures.failing_targets(now=now, window=rules.brake.window),
            pause=pause if pause is not None and not pause.is_over(now) else None,
            holds=await holds_in_force(store.controls, now=now),
            asides=await store.history.asides(limit=_ASIDES),
            brake=brake,
            budget_left=guards.budget_left(charged, rules, now=now),
            precision=Precision(
                would_have_acted=tallies.get("would_have", 0),
                passed_by_itself=tallies.get("would_have_passed", 0),
                still_needed=tallies.get("would_have_not_passed", 0),
            ),
        )

    async def _states(self, roster: Roster, *, now: datetime) -> Counter[State]:
        asked = {str(one.target): str(one.group) for one in roster.targets()}
        glances = (await self._store.history.glance(asked, now=now, since=now)).values()
        stories = (one.remediation for one in glances)
        return Counter(one.state if one is not None else State.OK for one in stories)


async def holds_in_force(controls: Controls, *, now: datetime) -> Mapping[str, Halt]:
    """Read the holds that have not expired, by target. :raises StoreUnavailable:"""
    holds = await controls.holds()
    return {target: halt for target, halt in holds.items() if not halt.is_over(now)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What the store knows of Relevo itself; nothing where it does not answer."""

    trouble: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    states: Mapping[State, int] = field(default_factory=dict)
    failing: int = 0
    pause: Halt | None = None
    holds: Mapping[str, Halt] = field(default_factory=dict)
    brake: Brake = field(default_factory=Brake)
    budget_left: tuple[int, int] = (0, 0)
    precision: Precision = field(default_factory=Precision)
    asides: tuple[Aside, ...] = ()
