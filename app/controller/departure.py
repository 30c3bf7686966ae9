"""
Carry out one departure: intent, drain, removal, end. What is cut off is gone on with later.

What becomes of a source goes the same way, from its intent to its end; `Rota` does it.
"""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.controller.lookout import Lookout, Sight
from app.controller.rota import Rota, group_of
from app.controller.witness import Witness
from app.domain.activity import Activity, ActivityStatus
from app.domain.audit import AuditEntry
from app.domain.remediation import Trigger
from app.domain.usage import Used
from app.errors import ContainerGone, EngineRefused, EngineSilent, EngineUnavailable
from app.policies import departures, guards, trail
from app.policies.recovery import ENGINE_SLACK
from app.policies.scale_in import Stay
from app.ports import Clock, ContainerEngine, Deadline, Limits, Reply, Store

log: Final = structlog.get_logger("relevo.departure")

#: Time between two measurements: what is quiet for so long is quiet.
_MOMENT: Final = timedelta(seconds=1)
#: An engine that answers everything else and not this is not asked for ever.
_GIVES_UP: Final = timedelta(minutes=15)


class Departure:
    """
    See the module.

    :param not_after: until when an action may be begun; raises LeaseLost where none may
    """

    def __init__(
        self,
        engine: ContainerEngine,
        store: Store,
        lookout: Lookout,
        witness: Witness,
        clock: Clock,
        *,
        not_after: Deadline,
    ) -> None:
        self._engine = engine
        self._store = store
        self._lookout = lookout
        self._witness = witness
        self._clock = clock
        self._not_after = not_after
        self._rota = Rota(engine, lookout, witness, clock, not_after=not_after)

    async def begin(
        self,
        activity: Activity,
        sight: Sight,
        *,
        now: datetime,
        reply: Reply | None = None,
        told: AuditEntry | None = None,
    ) -> Activity | Reply:
        """
        Write down that a clone leaves; nothing is done to it yet. Answers as `Scaling.begin`.

        :param told: what the audit is to say of the person who wants it
        :raises OutOfBudget:
        :raises StoreUnavailable:
        """
        begun = await self._store.scaling.begin(
            activity,
            _limits(activity, sight, now=now),
            now=now,
            told=trail.leaving(activity, at=now, wanted=told),
            reply=reply,
        )
        if isinstance(begun, Activity):
            log.info(
                "decision",
                decision=str(begun.kind),
                reason=str(begun.reason),
                group=begun.group,
                container=begun.container,
                activity=begun.id,
            )
        return begun

    async def carry_out(self, activity: Activity) -> Activity:
        """
        Let a clone leave whose departure has begun, by whomever.

        :raises LeaseLost: it is not ours to do any more; it is still under way
        :raises EngineUnavailable: it is still under way
        :raises StoreUnavailable: it may still be under way
        """
        if activity.replacement is not None:
            ended = await self._rota.through(activity)
        else:
            ended = await self._through(activity)
        # The clock is read after the engine was asked: it may have taken a stop grace of minutes.
        now = self._clock.now()
        await self._store.scaling.end(ended, now=now, told=trail.left(ended, at=now))
        log.info(
            "scale-in" if activity.replacement is None else str(activity.kind),
            status=str(ended.status),
            reason=str(ended.reason),
            group=ended.group,
            container=ended.container,
            cause=ended.cause,
            activity=ended.id,
        )
        return ended

    async def _through(self, activity: Activity) -> Activity:
        container_id = activity.container_id
        assert container_id is not None
        try:
            stay = await self._drain(activity, container_id)
            if stay is not None:
                return departures.called_off(activity, stay, now=self._clock.now())
            self._not_after()
            with self._witness.acting(container_id):
                await self._engine.remove_clone(
                    container_id, attempt_id=activity.id, not_after=self._not_after
                )
        except ContainerGone:
            pass  # somebody has removed it meanwhile, or we have, and nobody wrote it down
        except EngineRefused as exc:
            return self._ended(activity, ActivityStatus.FAILED, str(exc))
        except EngineSilent as exc:
            if self._clock.now() - activity.started_at < _GIVES_UP:
                raise
            return self._ended(activity, ActivityStatus.FAILED, str(exc))
        return self._ended(activity, ActivityStatus.SUCCESSFUL)

    def _ended(self, activity: Activity, status: ActivityStatus, why: str = "") -> Activity:
        return departures.ended(activity, status, now=self._clock.now(), why=why)

    async def _drain(self, activity: Activity, container_id: str) -> Stay | None:
        """Wait for a quiet moment; answer what keeps the clone here after all."""
        before: Used | None = None
        # By a clock that was wrong it may have begun later than now: that would last as long.
        begun_at = min(activity.started_at, self._clock.now())
        activity = replace(activity, started_at=begun_at)
        while True:
            self._not_after()
            now = self._clock.now()
            sight = await self._lookout.look(group_of(activity), now=now)
            if departures.is_untold(sight.crowd):
                never = departures.never_told(sight.crowd, activity, now=now)
                if never is not None:
                    return never
                raise EngineUnavailable(f"{activity.group} cannot be looked at")
            clone = departures.leaving(sight.crowd, activity)
            if clone is None:
                raise ContainerGone(container_id)
            brake = sight.book.guards.brake
            stay = departures.keeps(sight.crowd, clone, activity, brake, now=now)
            drain = sight.policy.scale_in.drain
            is_over = departures.is_drained(activity, drain, now=now)
            if stay is not None or is_over or not clone.listed.is_running or clone.is_cut_off:
                return stay
            used = await self._used(container_id, now)
            if departures.is_quiet(before, used):
                return None
            before = used
            left = drain - (now - activity.started_at)
            await asyncio.sleep(min(_MOMENT, left).total_seconds())

    async def _used(self, container_id: str, now: datetime) -> Used | None:
        try:
            return await self._engine.used(container_id, at=now)
        except EngineRefused:
            return None  # it is not removed yet: what cannot be measured is waited for


def _limits(activity: Activity, sight: Sight, *, now: datetime) -> Limits:
    rules, policy = sight.book.guards, sight.policy
    trigger = Trigger.MANUAL if activity.ordered is not None else Trigger.AUTOMATIC
    return Limits(
        attempt_id=activity.id,
        concurrent=rules.concurrent,
        # Since now, each time: whoever heals somebody goes first.
        waiting_since=None if trigger is Trigger.MANUAL else now,
        forget_after=3 * policy.verify.poll,
        spacing=guards.spacing(policy, trigger),
        burst=rules.burst,
        burst_span=guards.burst_span(rules),
        per_hour=rules.per_hour,
        hour=timedelta(hours=1),
        group=None,
        out_of_group=1,
        out_for=policy.scale_in.drain + sight.stop_grace + ENGINE_SLACK,
    )
