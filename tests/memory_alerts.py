"""The alerts of the store in memory: what ``lua/accept.lua`` does, in Python."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from app.adapters.store.codec import alert_mark, from_ms, to_ms
from app.domain.alert import AlertStatus, KnownAlert
from app.ports import Notice, Taken

#: Alerts of one target, and starts of resolved ones, as the store keeps.
_MOST = 1000


class MemoryAlerts:
    """What is known of each target's alerts, and when the resolved ones had started."""

    def __init__(self) -> None:
        self._known: defaultdict[str, dict[str, KnownAlert]] = defaultdict(dict)
        #: Target -> fingerprint of a resolved alert -> its start, ms.
        self._tombs: defaultdict[str, dict[str, int]] = defaultdict(dict)

    def of(self, target: str) -> tuple[KnownAlert, ...]:
        """Alerts of a target in the order of their receipt."""
        known = self._known.get(target)
        if not known:
            return ()
        return tuple(
            sorted(
                known.values(),
                key=lambda known: (known.received_at, known.alert.fingerprint),
            )
        )

    def take(self, notice: Notice, *, now_ms: int) -> Taken:
        """Keep what is new."""
        if notice.alert.status is AlertStatus.RESOLVED:
            return self._take_resolved(notice, now_ms)
        return self._take_firing(notice, now_ms)

    def _take_firing(self, notice: Notice, now_ms: int) -> Taken:
        target, alert = notice.target, notice.alert
        fingerprint, starts_ms, at = alert.fingerprint, to_ms(alert.starts_at), from_ms(now_ms)
        known = self._known[target].get(fingerprint)
        if notice.listed:
            self._tombs[target].pop(fingerprint, None)
        elif self._ended_ms(target, fingerprint) >= starts_ms:
            return Taken.STALE

        if known is None and len(self._known[target]) >= _MOST:
            return Taken.FULL
        if known is None or to_ms(known.alert.starts_at) != starts_ms:
            is_firing = known is not None and known.alert.status is AlertStatus.FIRING
            if known is not None and is_firing and to_ms(known.alert.starts_at) > starts_ms:
                self._known[target][fingerprint] = replace(
                    known, notified_at=at, listed=known.listed or notice.listed
                )
                return Taken.DUPLICATE
            self._known[target][fingerprint] = KnownAlert(
                alert=alert, received_at=at, notified_at=at, listed=notice.listed
            )
            return Taken.ACCEPTED
        self._known[target][fingerprint] = replace(
            known, alert=alert, notified_at=at, listed=known.listed or notice.listed
        )
        return Taken.DUPLICATE if known.alert.status is AlertStatus.FIRING else Taken.ACCEPTED

    def _take_resolved(self, notice: Notice, now_ms: int) -> Taken:
        target, alert = notice.target, notice.alert
        starts_ms, at = to_ms(alert.starts_at), from_ms(now_ms)
        known = self._known[target].get(alert.fingerprint)
        known_ms = starts_ms if known is None else to_ms(known.alert.starts_at)
        if max(known_ms, self._tombs[target].get(alert.fingerprint, starts_ms)) > starts_ms:
            return Taken.STALE
        self._tombs[target][alert.fingerprint] = starts_ms
        self._thin(self._tombs[target])
        if known is not None:
            self._known[target][alert.fingerprint] = (
                replace(known, alert=alert, notified_at=at)
                if known_ms == starts_ms
                else KnownAlert(alert=alert, received_at=at, notified_at=at)
            )
        return Taken.RESOLVED

    @staticmethod
    def _thin(tombs: dict[str, int]) -> None:
        if len(tombs) > _MOST:
            for fingerprint, _ in sorted(tombs.items(), key=lambda one: (one[1], one[0]))[
                : len(tombs) // 2
            ]:
                del tombs[fingerprint]

    def _ended_ms(self, target: str, fingerprint: str) -> float:
        """Start of the newest alert of that fingerprint that is known to be over."""
        known = self._known[target].get(fingerprint)
        is_over = known is not None and known.alert.status is AlertStatus.RESOLVED
        return max(
            self._tombs[target].get(fingerprint, float("-inf")),
            to_ms(known.alert.starts_at) if known is not None and is_over else float("-inf"),
        )

    def mark_listed(self, target: str, fingerprints: Iterable[str]) -> None:
        """Remember that a pull has listed these."""
        for fingerprint in fingerprints:
            known = self._known[target].get(fingerprint)
            if known is not None:
                self._known[target][fingerprint] = replace(known, listed=True)

    def forget(self, target: str, over: Iterable[KnownAlert]) -> None:
        """Forget what is still as it was seen."""
        for seen in over:
            known = self._known[target].get(seen.alert.fingerprint)
            if known is not None and alert_mark(known) == alert_mark(seen):
                del self._known[target][seen.alert.fingerprint]
