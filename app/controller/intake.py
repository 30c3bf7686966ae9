"""Alerts in: which target, stored, woken. Nothing is acted on here."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.controller.counts import Counting, Counts
from app.controller.picture import Census
from app.controller.rules import Rules
from app.controller.rush import Rush
from app.controller.telemetry import Telemetry
from app.controller.tenure import Tenure
from app.domain.alert import OWN_ALERTS, Alert, AlertStatus
from app.domain.decision import Reason
from app.domain.target import TargetId, is_safe_name
from app.errors import EngineUnavailable, NotAccepting, StoreUnavailable
from app.policies.roster import Found, NotOurs, Roster, whose
from app.ports import Aside, Clock, Inbox, Notice, Records, Taken

log: Final = structlog.get_logger("relevo.intake")

#: A sender is not kept waiting for a slow engine: it sends again.
_ENGINE_ANSWERS: Final = timedelta(seconds=3)
#: A listing so old will do to tell whose an alert is: whoever is not on it is looked for anew, and
#: the step looks for itself. So no notice waits while the engine lists its containers.
_RECENT: Final = timedelta(seconds=3)
_NO_ANSWER: Final = "it did not list its containers in time"
#: Whose alert it is does not depend on which containers there are.
_FOREIGN: Final = (Reason.OTHER_ENGINE, Reason.AMBIGUOUS_ENGINE)
#: Grafana's words for a rule without data: they carry the rule's labels, and no symptom.
_NO_DATA: Final = ("DatasourceNoData", "DatasourceError")
#: Of a label's value that is stored with its alert; Prometheus' own are a few words.
_LONGEST_VALUE: Final = 2048
#: Looks into the store at once: the rest of its connections are the worker's and the seat's.
_LOOKS: Final = 16
#: Alerts looked at without a pause.
_BREATH: Final = 200
#: What is kept of an alert that was not taken on.
_EXCERPT: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """An alert of a notification that cannot be read; its neighbours are taken all the same."""

    detail: str
    excerpt: str


class Intake:
    """Takes notifications on."""

    def __init__(
        self,
        inbox: Inbox,
        records: Records,
        census: Census,
        clock: Clock,
        telemetry: Telemetry,
        *,
        rules: Rules,
        wake: Callable[[], None],
        tenure: Tenure,
    ) -> None:
        self._inbox = inbox
        self._records = records
        self._census = census
        self._clock = clock
        self._telemetry = telemetry
        self._rules = rules
        self._rush = Rush(wake)
        self._tenure = tenure
        self._closed = False
        self._counting = Counting(telemetry)
        self._looks = asyncio.Semaphore(_LOOKS)

    def close(self) -> None:
        """Take nothing more on: Alertmanager sends it again to whoever comes next."""
        self._closed = True
        self._counting.tell()

    async def take(self, alerts: Sequence[Alert | Unreadable], *, truncated: int = 0) -> Counts:
        """
        Keep the alerts of one notification; each by its own status and labels.

        Returns once they are stored, before anything is done about them.

        :param truncated: how many alerts the sender left out: they are pulled

        :raises StoreUnavailable: nothing may be assumed kept; or it has just lost what it kept
        :raises EngineUnavailable: it cannot be told whom an alert is about
        :raises NotAccepting: shutting down
        """
        if self._closed:
            raise NotAccepting("Relevo is shutting down")
        if not self._tenure.accepts:
            raise StoreUnavailable("; ".join(self._tenure.view().trouble))
        with self._rush.one_more():
            return await self._take(alerts, truncated)

    async def _take(self, alerts: Sequence[Alert | Unreadable], truncated: int) -> Counts:
        now = self._clock.now()
        in_storm = self._rush.is_on(now)
        notices: list[Notice] = []
        asides: list[Aside] = []
        skipped: list[Reason] = []
        look = _Look(self._census)
        for number, alert in enumerate(alerts, start=1):
            if number % _BREATH == 0:
                await asyncio.sleep(0)  # others need the loop meanwhile
            if isinstance(alert, Unreadable):
                asides.append(_aside("set_aside", alert.detail, alert.excerpt, now=now))
                continue
            about = await self._about(alert, look)
            if isinstance(about, NotOurs):
                gone = await self._gone_target(alert, about)
                if gone is not None:
                    notices.append(self._notice(gone, alert, now if in_storm else None))
                    continue
                skipped.append(about.reason)
                asides.append(_aside(about.reason, about.detail, _excerpt(alert), now=now))
                continue
            long = next((n for n, v in alert.labels.items() if len(v) > _LONGEST_VALUE), None)
            if long is not None:
                detail = f"label {long!r} is longer than {_LONGEST_VALUE} characters"
                asides.append(_aside("set_aside", detail, _excerpt(alert), now=now))
                continue
            target = str(about.root.target)
            notices.append(self._notice(target, alert, now if in_storm else None))
        taken = await self._accepted(notices, asides, now=now)
        asides += await self._too_many(notices, taken, now=now)
        turns = [one.due for one in notices if one.due is not None]
        if turns or not in_storm:
            self._rush.kept(min(turns, default=None), self._clock.now())
        if truncated > 0:
            self._tenure.distrust(f"a notification left {truncated} alerts out")
        counts = Counts(
            accepted=sum(t in (Taken.ACCEPTED, Taken.DUPLICATE) for t in taken),
            resolved=sum(t is Taken.RESOLVED for t in taken),
            stale=sum(t is Taken.STALE for t in taken),
            skipped=len(skipped),
            set_aside=len(asides) - len(skipped),
        )
        self._counting.count(counts, skipped, in_storm=in_storm and not self._closed)
        return counts

    def _notice(self, target: str, alert: Alert, storm: datetime | None) -> Notice:
        due = None if storm is None else self._rush.turn(target, storm)
        return Notice(target=target, alert=alert, due=due)

    async def _too_many(
        self, notices: Sequence[Notice], taken: Sequence[Taken], *, now: datetime
    ) -> list[Aside]:
        """Set aside what was not kept because its target has too many alerts already."""
        full = [one for one, what in zip(notices, taken, strict=True) if what is Taken.FULL]
        detail = "its target has more alerts than are kept, and is treated for the others"
        asides = [_aside("set_aside", detail, _excerpt(one.alert), now=now) for one in full]
        await self._accepted((), asides, now=now)
        return asides

    async def _gone_target(self, alert: Alert, about: NotOurs) -> str | None:
        """
        Find the target of a container that is away while its alert ends.

        Skipped, its alert would be taken for firing when the container is back.
        """
        is_end = alert.status is AlertStatus.RESOLVED and about.reason is Reason.NO_SUCH_TARGET
        last = self._census.last
        if not is_end or last is None:
            return None
        labels = (alert.labels.get(name, "") for name in self._rules.book.target_labels)
        slot = next((value for value in labels if value), "")
        if not is_safe_name(slot):
            return None
        target = str(TargetId(last.engine, slot))
        window = self._rules.book.defaults.restart.window
        async with self._looks:
            known = await self._records.read(
                target, group=target, now=self._clock.now(), window=window, brake_window=window
            )
        fingerprints = {one.alert.fingerprint for one in known.alerts}
        return target if alert.fingerprint in fingerprints else None

    async def _accepted(
        self, notices: Sequence[Notice], asides: Sequence[Aside], *, now: datetime
    ) -> tuple[Taken, ...]:
        if not notices and not asides:
            return ()
        try:
            return await self._inbox.accept(notices, asides, now=now)
        except StoreUnavailable as exc:
            self._counting.refuse(len(notices) + len(asides), exc)
            raise

    async def _about(self, alert: Alert, look: "_Look") -> Found | NotOurs:
        if alert.name.startswith(OWN_ALERTS):
            return NotOurs(reason=Reason.OWN_ALERT, detail="it is one of Relevo's own")
        if alert.name in _NO_DATA:
            return NotOurs(reason=Reason.NO_FRESH_DATA, detail="its rule could not be evaluated")
        about = self._sought(alert, await look.roster())
        if isinstance(about, Found) or about.reason in _FOREIGN:
            return about
        # It may have been created or labelled a moment ago: once a notification, ask anew.
        return self._sought(alert, await look.fresh_roster())

    def _sought(self, alert: Alert, roster: Roster) -> Found | NotOurs:
        rules = self._rules.book
        foreign = whose(alert.labels, engine=roster.engine, instances=rules.instances)
        if foreign is not None:
            return foreign
        return roster.resolve(alert.labels, target_labels=rules.target_labels)


class _Look:
    """The engine's listing for one notification: asked anew at most once."""

    def __init__(self, census: Census) -> None:
        self._census = census
        self._roster: Roster | None = None
        self._is_fresh = False

    async def roster(self) -> Roster:
        """The listing of a moment ago; an older one while the engine does not answer."""
        if self._roster is None:
            last = self._census.last
            if last is not None and self._census.trouble is not None:
                self._roster = last  # a dead engine is waited for by others
                return last
            self._roster = self._census.recent(_RECENT)
            if self._roster is not None:
                return self._roster
            try:
                async with asyncio.timeout(_ENGINE_ANSWERS.total_seconds()):
                    self._roster = await self._census.roster()
            except (EngineUnavailable, TimeoutError) as exc:
                if last is None:
                    raise EngineUnavailable(str(exc) or _NO_ANSWER) from exc
                self._roster = last
        return self._roster

    async def fresh_roster(self) -> Roster:
        """
        The listing of now.

        :raises EngineUnavailable: the container may have come since the last listing; asking
            for the notification again loses nothing, calling the alert unknown might
        """
        if self._roster is None or not self._is_fresh:
            try:
                async with asyncio.timeout(_ENGINE_ANSWERS.total_seconds()):
                    self._roster = await self._census.roster(fresh=True)
            except TimeoutError as exc:
                raise EngineUnavailable(_NO_ANSWER) from exc
            self._is_fresh = True
        return self._roster


def _aside(reason: str, detail: str, excerpt: str, *, now: datetime) -> Aside:
    return Aside(at=now, reason=reason, detail=detail[:_EXCERPT], excerpt=excerpt[:_EXCERPT])


def _excerpt(alert: Alert) -> str:
    return " ".join(f"{name}={value!r}" for name, value in sorted(alert.labels.items()))
