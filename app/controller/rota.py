"""Carry out what becomes of one source: isolated, stopped, or back. Each step may be repeated."""

import asyncio
from datetime import timedelta
from typing import Final

from app.controller.lookout import Lookout
from app.controller.witness import Witness
from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.decision import Reason
from app.domain.target import GroupId
from app.domain.usage import Used
from app.errors import (
    ContainerGone,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    StartedMeanwhile,
)
from app.policies import departures, replacing
from app.policies.crowd import Stay
from app.ports import Clock, ContainerEngine, Deadline

#: Time between two measurements: what is quiet for so long is quiet.
_MOMENT: Final = timedelta(seconds=1)


class Rota:
    """
    See the module.

    :param not_after: until when an action may be begun; raises LeaseLost where none may
    """

    def __init__(
        self,
        engine: ContainerEngine,
        lookout: Lookout,
        witness: Witness,
        clock: Clock,
        *,
        not_after: Deadline,
    ) -> None:
        self._engine = engine
        self._lookout = lookout
        self._witness = witness
        self._clock = clock
        self._not_after = not_after

    async def through(self, activity: Activity) -> Activity:
        """
        Do what an activity says that has begun, by whomever; answer how it ended.

        :raises LeaseLost: it is not ours to do any more; it is still under way
        :raises EngineUnavailable: it is still under way
        :raises StoreUnavailable: it is still under way
        """
        source_id = activity.container_id
        assert source_id is not None
        self._not_after()
        try:
            if activity.kind is ActivityKind.BRING_BACK:
                return await self._back(activity, source_id)
            return await self._off(activity, source_id)
        except ContainerGone:
            return self._ended(activity, ActivityStatus.CANCELLED, "it is gone")

    def _ended(self, activity: Activity, status: ActivityStatus, why: str = "") -> Activity:
        return departures.ended(activity, status, now=self._clock.now(), why=why)

    # ------------------------------------------------------------------ off duty

    async def _off(self, activity: Activity, source_id: str) -> Activity:
        wish = activity.replacement
        assert wish is not None
        stay = await self._quiet_moment(activity, source_id)
        if stay is not None:
            await self._undo(activity, source_id)
            return departures.called_off(activity, stay, now=self._clock.now())
        try:
            with self._witness.acting(source_id):
                await self._engine.set_aside(
                    source_id,
                    attempt_id=activity.id,
                    networks=wish.networks if activity.kind is ActivityKind.ISOLATE else None,
                    expected_started_at=wish.started_at,
                    not_after=self._not_after,
                )
        except StartedMeanwhile:
            await self._undo(activity, source_id)
            why = Stay(reason=Reason.RESTARTED_MEANWHILE, detail="somebody has restarted it")
            return departures.called_off(activity, why, now=self._clock.now())
        except EngineRefused as exc:
            await self._undo(activity, source_id)
            return self._ended(activity, ActivityStatus.FAILED, str(exc))
        except EngineSilent as exc:
            if self._clock.now() - activity.started_at < replacing.GIVES_UP:
                raise
            await self._undo(activity, source_id)
            return self._ended(activity, ActivityStatus.FAILED, str(exc))
        return self._ended(activity, ActivityStatus.SUCCESSFUL)

    async def _quiet_moment(self, activity: Activity, source_id: str) -> Stay | None:
        """Wait for a moment in which nothing is asked of it; answer what keeps it after all."""
        before: Used | None = None
        while True:
            self._not_after()
            now = self._clock.now()
            sight = await self._lookout.look(group_of(activity), now=now)
            if departures.is_untold(sight.crowd):
                raise EngineUnavailable(f"{activity.group} cannot be looked at")
            brake = sight.book.guards.brake
            stay = replacing.keeps(sight.crowd, activity, brake, now=now)
            drain = sight.policy.scale_in.drain
            if stay is not None or departures.is_drained(activity, drain, now=now):
                return stay
            used = await self._used(source_id)
            if departures.is_quiet(before, used):
                return None
            before = used
            left = drain - (now - activity.started_at)
            await asyncio.sleep(min(_MOMENT, left).total_seconds())

    async def _used(self, source_id: str) -> Used | None:
        try:
            return await self._engine.used(source_id, at=self._clock.now())
        except EngineRefused:
            return None

    async def _undo(self, activity: Activity, source_id: str) -> None:
        """Put it back as it was, as far as it was changed: it has not been off duty yet."""
        wish = activity.replacement
        assert wish is not None
        seen = await self._engine.inspect(source_id)
        is_stopped = activity.kind is ActivityKind.STOP and not seen.is_running
        is_ours = seen.started_at == wish.started_at and self._witness.human(source_id) is None
        starts = is_stopped and is_ours
        if not starts and not replacing.is_off(wish.networks, seen):
            return
        try:
            await self._called_back(activity, source_id, ends=None, starts=starts)
        except EngineRefused as exc:
            # Under way as long as it is so: nobody else would put that right.
            raise EngineUnavailable(f"{activity.container} is not as it was: {exc}") from exc

    # ------------------------------------------------------------------ back

    async def _back(self, activity: Activity, source_id: str) -> Activity:
        wish = activity.replacement
        assert wish is not None
        if activity.reason is Reason.RESTARTED_MEANWHILE:
            return self._ended(activity, ActivityStatus.SUCCESSFUL)
        try:
            ends = wish.started_at if wish.starts_anew else None
            lost = await self._called_back(activity, source_id, ends=ends, starts=wish.starts)
        except EngineRefused as exc:
            if self._clock.now() - activity.started_at < replacing.GIVES_UP:
                # Nobody else has it back: a port, a network may be free again in a moment.
                raise EngineUnavailable(f"{activity.container} is not back yet: {exc}") from exc
            return self._ended(activity, ActivityStatus.FAILED, str(exc))
        except ContainerGone:
            # Off the list of those that are to come back.
            return self._ended(activity, ActivityStatus.SUCCESSFUL, "it is gone")
        if not wish.starts and not (await self._engine.inspect(source_id)).is_running:
            lost = (*lost, "it is left stopped: somebody may have stopped it")
        return self._ended(activity, ActivityStatus.SUCCESSFUL, "; ".join(lost))

    async def _called_back(
        self, activity: Activity, source_id: str, *, ends: str | None, starts: bool
    ) -> tuple[str, ...]:
        assert activity.replacement is not None
        with self._witness.acting(source_id):
            return await self._engine.bring_back(
                source_id,
                attempt_id=activity.id,
                networks=activity.replacement.networks,
                ends=ends,
                starts=starts,
                not_after=self._not_after,
            )


def group_of(activity: Activity) -> GroupId:
    """Name the group of an activity."""
    engine, _, name = activity.group.partition(":")
    return GroupId(engine, name)
