"""Brings the gauges up to date for a scrape; what cannot be read keeps its last value."""

import asyncio

from app.controller.overview import Overview, StatusView
from app.controller.picture import Census, Pictures
from app.controller.resync import Resync
from app.controller.telemetry import Telemetry
from app.controller.vitals import VitalSigns
from app.controller.witness import Witness
from app.domain.remediation import State
from app.errors import StoreUnavailable
from app.ports import Clock, Schedule


class Gauges:
    """Measures Relevo itself."""

    def __init__(
        self,
        overview: Overview,
        vitals: VitalSigns,
        census: Census,
        schedule: Schedule,
        pictures: Pictures,
        resync: Resync,
        witness: Witness,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._overview = overview
        self._vital_signs = vitals
        self._census = census
        self._schedule = schedule
        self._pictures = pictures
        self._resync = resync
        self._witness = witness
        self._clock = clock
        self._telemetry = telemetry
        self._began_at = asyncio.get_running_loop().time()
        self._engine = ""

    async def measure(self) -> None:
        """Measure everything once."""
        telemetry = self._telemetry
        status = await self._overview.status()
        # Empty until the engine has told its name, which is the same as no label.
        engine = status.engine or ""
        if engine != self._engine:
            self._forget()  # else what was said before we knew it would stand for ever
            self._engine = engine
        telemetry.up(engine, store=not status.store_trouble, engine_up=not status.engine_trouble)
        telemetry.leading.labels(engine=engine).set(status.tenure.role == "leading")
        telemetry.acting.labels(engine=engine).set(
            status.tenure.role == "leading" and not status.tenure.trouble
        )
        self._chain(engine)
        if status.store_trouble:
            return
        self._status(engine, status)
        try:
            overdue = await self._schedule.overdue(now=self._clock.now())
            telemetry.overdue_seconds.labels(engine=engine).set(overdue.total_seconds())
            vitals = await self._vital_signs.take()
        except StoreUnavailable:
            telemetry.up(engine, store=False, engine_up=not status.engine_trouble)
            return
        # Only now, and at once: another scrape must not find them half told.
        telemetry.took_vitals(engine, vitals)

    def _forget(self) -> None:
        telemetry = self._telemetry
        for gauge in (
            telemetry.targets,
            telemetry.failing_targets,
            telemetry.overdue_seconds,
            telemetry.paused,
            telemetry.leading,
            telemetry.acting,
            telemetry.holds,
            telemetry.brake_engaged,
            telemetry.budget_left,
            telemetry.pull_up,
            telemetry.pull_age_seconds,
            telemetry.events_up,
        ):
            gauge.clear()

    def _chain(self, engine: str) -> None:
        telemetry, now = self._telemetry, asyncio.get_running_loop().time()
        pulled_at = self._resync.done_at or self._began_at
        telemetry.pull_age_seconds.labels(engine=engine).set(now - pulled_at)
        answers = not self._pictures.asks or self._pictures.is_answered
        telemetry.pull_up.labels(engine=engine).set(answers)
        telemetry.events_up.labels(engine=engine).set(self._witness.trouble is None)

    def _status(self, engine: str, status: StatusView) -> None:
        telemetry = self._telemetry
        telemetry.failing_targets.labels(engine=engine).set(status.failing_targets)
        telemetry.paused.labels(engine=engine).set(status.pause is not None)
        telemetry.holds.labels(engine=engine).set(len(status.holds))
        telemetry.brake_engaged.labels(engine=engine).set(status.brake.engaged_at is not None)
        for span, left in zip(("burst", "hour"), status.budget_left, strict=True):
            telemetry.budget_left.labels(engine=engine, span=span).set(left)
        for state in State:
            if state is not State.CLOSED:
                count = status.states.get(state, 0)
                telemetry.targets.labels(engine=engine, state=state).set(count)
