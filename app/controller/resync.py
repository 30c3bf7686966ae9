"""The pull: the webhook is speed, this is truth."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.controller.bell import Bell
from app.controller.picture import Picture, Pictures
from app.controller.poison import LEFT_ALONE
from app.controller.rules import Rules
from app.controller.tenure import Tenure
from app.domain.alert import Alert, AlertStatus, ListedState
from app.domain.decision import Reason
from app.domain.remediation import Remediation, State
from app.domain.target import TargetId
from app.errors import Transient
from app.policies import guards
from app.policies.symptom import Unreachable
from app.ports import Clock, Notice, RemediationFilter, Store

log: Final = structlog.get_logger("relevo.resync")

#: Open remediations looked through; a host has fewer containers.
_MOST: Final = 10_000
#: So long after the clock was set back everything is looked at: no step takes longer, by far.
_LATELY: Final = timedelta(minutes=2)
#: Of a label's value that is stored with its alert (as app/controller/intake.py).
_LONGEST_VALUE: Final = 2048


class Resync:
    """
    Pulls Alertmanager and the engine, and repairs what differs from what we believe.

    Lost webhooks, truncated groups and a restarted Alertmanager do not matter: what is listed is
    taken on like a notice, and open stories whose alerts have changed are looked at.
    """

    def __init__(
        self,
        pictures: Pictures,
        store: Store,
        clock: Clock,
        *,
        rules: Rules,
        wake: Callable[[], None],
        tenure: Tenure,
    ) -> None:
        self._tenure = tenure
        self._pictures = pictures
        self._store = store
        self._clock = clock
        self._rules = rules
        self._wake = wake
        self._asked = Bell()
        #: Fingerprints of each target at the last pull.
        self._seen: dict[str, frozenset[str]] = {}
        self._is_first = True
        #: The time of the last pull; and when the clock was set back, by the loop's.
        self._last: datetime | None = None
        self._set_back_at: float | None = None
        self._said: str | None = None
        #: When the last complete pull was begun, by the loop's clock; None before the first.
        self.done_at: float | None = None

    def ask(self) -> None:
        """Pull now: something was left out of a notification."""
        self._asked.ring()

    async def run(self) -> None:
        """Pull until cancelled."""
        while True:
            self._asked.hush()
            await self._guarded()
            await self._asked.wait(self._rules.book.pull)

    async def _guarded(self) -> None:
        try:
            await self.pull()
        except Transient as exc:
            self._failed(exc)
        except Exception as exc:  # noqa: BLE001 - the boundary: logged, repeated
            self._failed(exc, unexpected=True)
        else:
            if self._said is not None:
                log.info("pulling again")
            self._said = None

    def _failed(self, exc: Exception, *, unexpected: bool = False) -> None:
        error = f"{type(exc).__name__}: {exc}"
        if error == self._said:
            return
        self._said = error
        if unexpected:
            log.error("pull failed unexpectedly, will be repeated", exc_info=exc)
        else:
            log.warning("pull failed, will be repeated", error=error)

    async def pull(self) -> None:
        """
        Pull once.

        :raises EngineUnavailable:
        :raises StoreUnavailable:
        """
        now, began_at = self._clock.now(), asyncio.get_running_loop().time()
        picture = await self._pictures.take()
        open_ones = await self._store.history.remediations(
            RemediationFilter(open_only=True, limit=_MOST)
        )
        if not self._tenure.may_write:
            return  # seen, and nothing of it is ours to keep yet
        notices = _notices(picture, {one.target for one in open_ones})
        if notices:
            await self._store.inbox.accept(notices, (), now=now)
        await self._look_again(picture, open_ones, now)
        if self._tenure.leads:
            await self._mind_the_brake(picture, now)
        if not isinstance(picture.listed, Unreachable):
            self.done_at = began_at
        self._wake()

    async def _look_again(
        self, picture: Picture, open_ones: tuple[Remediation, ...], now: datetime
    ) -> None:
        """Have open stories looked at whose alerts, or whose container, changed since."""
        seen = {}
        changed = []
        poll = self._rules.book.defaults.verify.poll
        looks_at_all = self._is_first or self._was_set_back(now)
        for one in open_ones:
            target = TargetId.parse(one.target)
            pulled = picture.of(target)
            known = pulled.fingerprints if pulled and not isinstance(pulled, Unreachable) else None
            seen[one.target] = known or frozenset()
            is_news = known is not None and self._seen.get(one.target) not in (None, known)
            is_gone = not picture.roster.at(target)
            # Planned, and its time long past: its place in the schedule was lost.
            is_lost = one.next_at is not None and now - one.next_at > 2 * poll
            if _is_left_alone(one, now):
                continue
            if looks_at_all or is_news or is_lost or (is_gone and one.state is State.WAITING):
                changed.append(one.target)
        if changed:
            await self._store.schedule.nudge(changed, now=now)
        self._seen = seen
        self._is_first = False

    def _was_set_back(self, now: datetime) -> bool:
        """Tell whether the clock was, lately: a step under way then has planned by the old time."""
        at = asyncio.get_running_loop().time()
        if self._last is not None and now < self._last:
            self._set_back_at = at
        self._last = now
        return self._set_back_at is not None and at - self._set_back_at < _LATELY.total_seconds()

    async def _mind_the_brake(self, picture: Picture, now: datetime) -> None:
        rules = self._rules.book.guards.brake
        controls = self._store.controls
        brake = await controls.brake()
        failing = await self._store.failures.failing_targets(
            now=now, window=rules.window, after=brake.cleared_at
        )
        targets = len(picture.roster.targets())
        after = guards.next_brake(brake, failing=failing, targets=targets, rules=rules, now=now)
        # Read again: a person may have resumed while we counted.
        if after == brake or await controls.brake() != brake:
            return
        await controls.set_brake(after)
        log.warning(
            "brake",
            engaged=after.engaged_at is not None,
            failing=failing,
            targets=targets,
        )


def _is_left_alone(one: Remediation, now: datetime) -> bool:
    """Tell whether its step has ended its worker lately: a look at it may end us as well."""
    if one.reason is not Reason.POISON or one.next_at is None:
        return False
    return now < one.next_at <= now + LEFT_ALONE


def _notices(picture: Picture, known: set[str]) -> list[Notice]:
    """Put what is listed as active into the words of a notification."""
    if picture.listed is None or isinstance(picture.listed, Unreachable):
        return []
    notices = []
    for target, pulled in picture.listed.items():
        if not picture.may_open and str(target) not in known:
            continue
        for listed in (*pulled.on_source, *pulled.on_clones):
            if listed.state is not ListedState.ACTIVE:
                continue  # held back by a silence: it would not have been sent either
            if any(len(value) > _LONGEST_VALUE for value in listed.labels.values()):
                continue
            alert = Alert(
                fingerprint=listed.fingerprint,
                status=AlertStatus.FIRING,
                labels=listed.labels,
                alert_annotations=listed.alert_annotations,
                starts_at=listed.starts_at,
            )
            notices.append(Notice(target=str(target), alert=alert, listed=True))
    return notices
