"""The pair of Alertmanagers as one controller asks it: as app/adapters/alertmanager.py answers."""

import math
from collections.abc import Sequence
from datetime import timedelta

from app.domain.alert import AlertListing, ListedAlert, ListedState, OwnAlert
from app.errors import SourceUnavailable
from tests.sim.alertmanager import Alertmanager
from tests.sim.prometheus import WATCHDOG, Sent, moment

#: An alert that is listed somewhere is not as bad as this.
_WORST = (True, math.inf)


class Alertmanagers:
    """See the module."""

    def __init__(self, members: Sequence[Alertmanager]) -> None:
        self._members = members
        self.cut = False
        #: Names of own alerts that were posted, and how often.
        self.cried: dict[str, int] = {}

    async def listing(self) -> AlertListing:
        """See `app.ports.AlertSource`."""
        heard = [] if self.cut else [one for one in self._members if not one.down]
        if not heard:
            raise SourceUnavailable("Alertmanager: cannot connect")
        found: dict[str, ListedAlert] = {}
        ranks: dict[str, tuple[bool, float]] = {}
        watched: list[tuple[float, bool]] = []
        for one in heard:
            active = one.active()
            watchdog = next((e for e in active if e.sent.labels["alertname"] == WATCHDOG), None)
            watched.append((one.up_since, watchdog is not None))
            for entry in active:
                if entry is watchdog:
                    continue
                behind = 0.0
                if watchdog is not None:
                    behind = max(0.0, watchdog.updated_at - entry.updated_at)
                sent, is_silenced = entry.sent, one.is_silenced(entry)
                rank = is_silenced, behind
                if rank >= ranks.get(sent.fingerprint, _WORST):
                    continue
                ranks[sent.fingerprint] = rank
                made_of = sent, is_silenced, behind
                if entry.listed is None or entry.listed[0] != made_of:
                    entry.listed = made_of, _listed(sent, is_silenced, behind)
                found[sent.fingerprint] = entry.listed[1]
        told = [pair for pair in watched if pair[1]] or watched
        return AlertListing(
            alerts=tuple(found.values()),
            watchdog=told[0][1],
            up_since=moment(min(since for since, _ in told)),
        )

    async def post(self, alerts: Sequence[OwnAlert]) -> None:
        """See `app.ports.AlertSink`."""
        if self.cut or all(one.down for one in self._members):
            raise SourceUnavailable("Alertmanager: cannot connect")
        for alert in alerts:
            name = alert.labels.get("alertname", "")
            self.cried[name] = self.cried.get(name, 0) + 1


def _listed(sent: Sent, is_silenced: bool, behind: float) -> ListedAlert:
    return ListedAlert(
        fingerprint=sent.fingerprint,
        labels=sent.labels,
        alert_annotations={},
        state=ListedState.SUPPRESSED if is_silenced else ListedState.ACTIVE,
        starts_at=moment(sent.starts_at),
        behind=timedelta(seconds=behind),
    )
