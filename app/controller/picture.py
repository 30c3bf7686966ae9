"""One look at the engine's listing and at Alertmanager, shared by all steps of the moment."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from app.domain.alert import AlertListing, ListedAlert
from app.domain.target import TargetId
from app.errors import EngineUnavailable, SourceUnavailable
from app.policies.roster import Found, Roster, whose
from app.policies.spec import Patience, Rulebook
from app.policies.symptom import Pulled, Unreachable, pipeline_doubt
from app.ports import AlertSource, Clock, ContainerEngine, Facts

#: How long one look serves. Every action looks at its own container again, so this bounds
#: only how soon a new container or a new alert is known.
MAX_AGE: Final = timedelta(seconds=1)

#: The fact that RelevoWatchdog was listed once.
_WATCHDOG_SEEN: Final = "watchdog_seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """See the module."""

    roster: Roster
    #: What the API says of each target; None where no API is configured.
    pulled: Mapping[TargetId, Pulled] | Unreachable | None
    #: Why the absence of an alert proves nothing; None while the pipeline is alive.
    dead: str | None = None
    #: An alert of a target that is not in `pulled`.
    nothing: Pulled = field(default_factory=Pulled)

    def of(self, target: TargetId) -> Pulled | Unreachable | None:
        """What the API says of one target."""
        if self.pulled is None or isinstance(self.pulled, Unreachable):
            return self.pulled
        return self.pulled.get(target, self.nothing)


class Census:
    """Who is on the engine: its listing, asked at most once a moment."""

    def __init__(
        self,
        engine: ContainerEngine,
        clock: Clock,
        *,
        name: str | None,
        prefix: str,
        rulebook: Rulebook,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._name = name
        self._prefix = prefix
        self._rulebook = rulebook
        self._roster: Roster | None = None
        self._taken_at: datetime | None = None
        self._failed_at = clock.now()
        self._asking = asyncio.Lock()
        #: Why the engine could not be asked the last time; None when it answered.
        self.trouble: str | None = None

    @property
    def last(self) -> Roster | None:
        """The newest listing there is, however old; None before the first."""
        return self._roster

    async def roster(self, *, fresh: bool = False) -> Roster:
        """
        List the engine's containers as targets.

        :param fresh: do not serve what was asked before this call
        :raises EngineUnavailable: it does not answer; `last` may still help
        """
        asked_at = self._clock.now()
        async with self._asking:
            if self._roster is not None and self._taken_at is not None:
                bound = asked_at if fresh else asked_at - MAX_AGE
                if self._taken_at >= bound and self.trouble is None:
                    return self._roster
            if self.trouble is not None and self._failed_at >= asked_at:
                # Asked while we waited: a hanging engine is not asked once more for each of us.
                raise EngineUnavailable(self.trouble)
            taken_at = self._clock.now()
            try:
                if self._name is None:
                    self._name = (await self._engine.identity()).name
                listing = await self._engine.containers()
            except EngineUnavailable as exc:
                self.trouble = str(exc)
                self._failed_at = self._clock.now()
                raise
            self._roster = Roster(
                self._name, listing, prefix=self._prefix, enable=self._rulebook.enable
            )
            self._taken_at = taken_at
            self.trouble = None
            return self._roster


class Pictures:
    """Takes pictures, at most one a moment."""

    def __init__(
        self,
        census: Census,
        alerts: AlertSource | None,
        facts: Facts,
        clock: Clock,
        *,
        rulebook: Rulebook,
        patience: Patience,
    ) -> None:
        self._census = census
        self._alerts = alerts
        self._facts = facts
        self._clock = clock
        self._rulebook = rulebook
        self._patience = patience
        self._listing: AlertListing | Unreachable | None = None
        self._pulled_at: datetime | None = None
        self._asking = asyncio.Lock()
        self._watchdog_seen: bool | None = None

    async def take(self, *, fresh: bool = False) -> Picture:
        """
        Look at the engine and at Alertmanager.

        :param fresh: the listing of a moment ago has turned out to be old
        :raises EngineUnavailable: the engine does not answer
        :raises StoreUnavailable: whether the watchdog was ever seen cannot be read
        """
        roster = await self._census.roster(fresh=fresh)
        if self._alerts is None:
            return Picture(roster=roster, pulled=None)
        listing = await self._pull()
        if isinstance(listing, Unreachable):
            return Picture(roster=roster, pulled=listing)
        dead = pipeline_doubt(
            up_since=listing.up_since,
            watchdog=listing.watchdog,
            watchdog_seen_before=await self._watchdog_was_seen(listing),
            now=self._clock.now(),
            patience=self._patience,
        )
        sorted_out: dict[TargetId, tuple[list[ListedAlert], list[ListedAlert]]] = {}
        for alert in listing.alerts:
            found = self._about(roster, alert)
            if found is not None:
                piles = sorted_out.setdefault(found.root.target, ([], []))
                piles[0 if found.on_source else 1].append(alert)
        return Picture(
            roster=roster,
            pulled={
                target: Pulled(on_source=tuple(own), on_clones=tuple(clones), dead=dead)
                for target, (own, clones) in sorted_out.items()
            },
            dead=dead,
            nothing=Pulled(dead=dead),
        )

    def _about(self, roster: Roster, alert: ListedAlert) -> Found | None:
        rules = self._rulebook
        if whose(alert.labels, engine=roster.engine, instances=rules.instances) is not None:
            return None
        found = roster.resolve(alert.labels, target_labels=rules.target_labels)
        return found if isinstance(found, Found) else None

    async def _pull(self) -> AlertListing | Unreachable:
        assert self._alerts is not None
        asked_at = self._clock.now()
        async with self._asking:
            if (
                self._listing is not None
                and self._pulled_at is not None
                and self._pulled_at >= asked_at - MAX_AGE
            ):
                return self._listing
            pulled_at = self._clock.now()
            try:
                self._listing = await self._alerts.listing()
            except SourceUnavailable as exc:
                self._listing = Unreachable(str(exc))
            self._pulled_at = pulled_at
            return self._listing

    async def _watchdog_was_seen(self, listing: AlertListing) -> bool:
        # Kept in the store: a controller that starts while Prometheus is down must not take
        # the silence for an installation without our rules.
        if not self._watchdog_seen:
            if listing.watchdog:
                await self._facts.put(_WATCHDOG_SEEN, "yes")
                self._watchdog_seen = True
            elif self._watchdog_seen is None:
                self._watchdog_seen = await self._facts.get(_WATCHDOG_SEEN) is not None
        return self._watchdog_seen
