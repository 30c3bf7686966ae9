"""One look at the engine's listing and at Alertmanager, shared by all steps of the moment."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from app.controller.rules import Rules
from app.domain.alert import OWN_ALERTS, AlertListing, ListedAlert, ListedState
from app.domain.container import Listed
from app.domain.target import TargetId
from app.errors import EngineUnavailable, SourceUnavailable
from app.policies.protect import Ourselves
from app.policies.roster import Found, Roster, whose
from app.policies.spec import Patience
from app.policies.symptom import Pulled, Unreachable, pipeline_doubt
from app.ports import AlertSource, Clock, ContainerEngine, Facts, SampleSource

#: How long one look serves. Every action looks at its own container again, so this bounds
#: only how soon a new container or a new alert is known.
MAX_AGE: Final = timedelta(seconds=1)

#: A listing that takes long serves longer, this many times as long: ten thousand alerts in a storm
#: are not asked for in every second.
_SHARE: Final = 5.0
_LONGEST_S: Final = 10.0

#: The fact that RelevoWatchdog was listed once.
_WATCHDOG_SEEN: Final = "watchdog_seen"
#: The always-firing alert of the shipped rules.
_WATCHDOG: Final = "RelevoWatchdog"


Piles = Mapping[TargetId, Pulled]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """See the module."""

    roster: Roster
    #: What the API lists, by the target that it is about; None where no API is configured.
    listed: Piles | Unreachable | None
    #: Why the absence of an alert proves nothing; None while the pipeline is alive.
    dead: str | None = None
    #: Alerts that are listed may begin a story (see `AlertListing.may_open`).
    may_open: bool = True

    def of(self, target: TargetId) -> Pulled | Unreachable | None:
        """What the API says of one target."""
        if self.listed is None or isinstance(self.listed, Unreachable):
            return self.listed
        pulled = self.listed.get(target)
        if pulled is None:
            return Pulled(dead=self.dead)
        return pulled if pulled.dead == self.dead else replace(pulled, dead=self.dead)


class Census:
    """Who is on the engine: its listing, asked at most once a moment."""

    def __init__(
        self,
        engine: ContainerEngine,
        clock: Clock,
        *,
        name: str | None,
        prefix: str,
        rules: Rules,
        ourselves: Ourselves | None = None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._name = name
        self._prefix = prefix
        self._rules = rules
        self._ourselves = ourselves or Ourselves()
        self._roster: Roster | None = None
        #: What it was made of: nothing is read anew of a listing that is as it was.
        self._made_of: tuple[object, ...] = ()
        #: By the loop's clock, which nobody sets.
        self._taken_at: float | None = None
        self._failed_at = _loop_time()
        self._asking = asyncio.Lock()
        #: Why the engine could not be asked the last time; None when it answered.
        self.trouble: str | None = None

    @property
    def last(self) -> Roster | None:
        """The newest listing there is, however old; None before the first."""
        return self._roster

    def engine_name(self) -> str:
        """Tell what the engine is called; empty before the first listing."""
        return "" if self._roster is None else self._roster.engine

    def recent(self, within: timedelta) -> Roster | None:
        """Return the last listing where it is no older and the engine answers; ask nobody."""
        if self._taken_at is None or self.trouble is not None:
            return None
        return self._roster if _loop_time() - self._taken_at <= within.total_seconds() else None

    async def roster(self, *, fresh: bool = False) -> Roster:
        """
        List the engine's containers as targets.

        :param fresh: do not serve what was asked before this call
        :raises EngineUnavailable: it does not answer; `last` may still help
        """
        asked_at = _loop_time()
        async with self._asking:
            if self._roster is not None and self._taken_at is not None:
                bound = asked_at if fresh else asked_at - MAX_AGE.total_seconds()
                if self._taken_at >= bound and self.trouble is None:
                    return self._roster
            if self.trouble is not None and self._failed_at >= asked_at:
                # Asked while we waited: a hanging engine is not asked once more for each of us.
                raise EngineUnavailable(self.trouble)
            taken_at = _loop_time()
            try:
                if self._name is None:
                    self._name = (await self._engine.identity()).name
                listing = await self._engine.containers()
            except EngineUnavailable as exc:
                self.trouble = str(exc)
                self._failed_at = _loop_time()
                raise
            self._roster = self._read(self._name, listing)
            self._taken_at = taken_at
            self.trouble = None
            return self._roster

    def _read(self, name: str, listing: tuple[Listed, ...]) -> Roster:
        book = self._rules.book
        enable, protected = book.enable, book.guards.protected
        made_of = (listing, enable, protected)
        if self._roster is not None and self._made_of == made_of:
            return self._roster
        self._made_of = made_of
        return Roster(
            name,
            listing,
            prefix=self._prefix,
            enable=enable,
            protected=protected,
            ourselves=self._ourselves,
        )


class Pictures:
    """Takes pictures, at most one a moment."""

    def __init__(
        self,
        census: Census,
        alerts: AlertSource | None,
        samples: SampleSource | None,
        facts: Facts,
        clock: Clock,
        *,
        rules: Rules,
        patience: Patience,
    ) -> None:
        self._census = census
        self._alerts = alerts
        self._samples = samples
        self._facts = facts
        self._clock = clock
        self._rules = rules
        self._patience = patience
        self._listing: AlertListing | Unreachable | None = None
        self._pulled_at: float | None = None
        #: How long a listing serves, seconds.
        self._lasts = MAX_AGE.total_seconds()
        self._asking = asyncio.Lock()
        self._watchdog_seen: bool | None = None
        self._piles: tuple[Roster, AlertListing, Piles] | None = None
        #: Whether an Alertmanager answered when it was last asked.
        self.is_answered = False

    @property
    def asks(self) -> bool:
        """Whether there is an API to ask."""
        return self._alerts is not None

    async def take(self, *, fresh: bool = False) -> Picture:
        """
        Look at the engine and at Alertmanager.

        :param fresh: the listing of a moment ago has turned out to be old
        :raises EngineUnavailable: the engine does not answer
        :raises StoreUnavailable: whether the watchdog was ever seen cannot be read
        """
        roster = await self._census.roster(fresh=fresh)
        if self._alerts is None:
            return Picture(roster=roster, listed=None)
        listing = await self._pull()
        if isinstance(listing, Unreachable):
            return Picture(roster=roster, listed=listing)
        dead = pipeline_doubt(
            up_since=listing.up_since,
            watchdog=listing.watchdog,
            watchdog_seen_before=await self._watchdog_was_seen(listing.watchdog),
            now=self._clock.now(),
            patience=self._patience,
        )
        return Picture(
            roster=roster,
            listed=self._sorted(roster, listing),
            dead=dead,
            may_open=listing.may_open,
        )

    def _sorted(self, roster: Roster, listing: AlertListing) -> Piles:
        """Sort the alerts by target, once for all steps that share roster and listing."""
        if self._piles is not None and self._piles[0] is roster and self._piles[1] is listing:
            return self._piles[2]
        found: dict[TargetId, tuple[list[ListedAlert], list[ListedAlert], list[ListedAlert]]] = {}
        for alert in listing.alerts:
            about = self._about(roster, alert)
            if about is not None:
                target, on_source = about
                own, clones, forgotten = found.setdefault(target, ([], [], []))
                if alert.state is ListedState.ACTIVE and alert.behind > self._patience.resent:
                    forgotten.append(alert)
                else:
                    (own if on_source else clones).append(alert)
        piles = {
            target: Pulled(on_source=tuple(own), on_clones=tuple(clones), forgotten=tuple(old))
            for target, (own, clones, old) in found.items()
        }
        self._piles = (roster, listing, piles)
        return piles

    def _about(self, roster: Roster, alert: ListedAlert) -> tuple[TargetId, bool] | None:
        """Tell whom an alert is about, and whether its own container; None: nobody of ours."""
        if alert.labels.get("alertname", "").startswith(OWN_ALERTS):
            return None
        rules = self._rules.book
        if whose(alert.labels, engine=roster.engine, instances=rules.instances) is not None:
            return None
        found = roster.resolve(alert.labels, target_labels=rules.target_labels)
        if isinstance(found, Found):
            return found.root.target, found.on_source
        # It begins nothing; but whether a clone without a source is needed has to be known.
        return (found.orphan.target, True) if found.orphan is not None else None

    async def _pull(self) -> AlertListing | Unreachable:
        assert self._alerts is not None
        asked_at = _loop_time()
        async with self._asking:
            if (
                self._listing is not None
                and self._pulled_at is not None
                and self._pulled_at >= asked_at - self._lasts
            ):
                return self._listing
            pulled_at = _loop_time()
            try:
                self._listing = await self._alerts.listing()
                self.is_answered = True
            except SourceUnavailable as exc:
                self.is_answered = False
                self._listing = await self._ask_prometheus(str(exc))
            self._pulled_at = pulled_at
            took = _loop_time() - pulled_at
            self._lasts = max(MAX_AGE.total_seconds(), min(_SHARE * took, _LONGEST_S))
            return self._listing

    async def _ask_prometheus(self, why: str) -> Unreachable:
        """Alertmanager is silent: whoever evaluates the rules still knows what fires."""
        if self._samples is None:
            return Unreachable(why)
        try:
            firing = await self._samples.firing()
        except SourceUnavailable as exc:
            return Unreachable(f"{why}; {exc}")
        watchdog = any(one.get("alertname") == _WATCHDOG for one in firing)
        dead = None
        if not watchdog and await self._watchdog_was_seen(watchdog):
            dead = "RelevoWatchdog is not firing: Prometheus evaluates no rules"
        return Unreachable(why, firing, dead)

    async def _watchdog_was_seen(self, is_firing: bool) -> bool:
        # Kept in the store: a controller that starts while Prometheus is down must not take
        # the silence for an installation without our rules.
        if not self._watchdog_seen:
            if is_firing:
                await self._facts.put(_WATCHDOG_SEEN, "yes")
                self._watchdog_seen = True
            elif self._watchdog_seen is None:
                self._watchdog_seen = await self._facts.get(_WATCHDOG_SEEN) is not None
        return self._watchdog_seen


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
