"""
Posts Relevo's own alerts to Alertmanager, so that its routes and silences apply to them.

* What holds now is posted with an end a few minutes ahead, and again before that; what holds
  no more is posted once with its end. Nothing is queued: after a crash the rest expires by
  itself, and whatever still holds is posted anew with the same beginning.
* It reads the store and writes nothing. Whatever fails here disturbs nobody.
* While the store does not answer, what was read last is still told: without it nothing is
  done, so nothing of it ends either.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.controller.bell import Bell
from app.controller.news import News
from app.controller.picture import Census
from app.controller.rules import Rules
from app.domain.alert import OwnAlert
from app.errors import Transient
from app.policies.announce import announcements
from app.policies.announce_facts import (
    Announcement,
    NewsView,
)
from app.policies.spec import Mode
from app.ports import AlertSink, Clock, Store

log: Final = structlog.get_logger("relevo.crier")

#: Nobody reads more alerts of one host than this, and Alertmanager keeps each of them.
MOST: Final = 200


def _uncounted(result: str, number: int) -> None:
    """Count nothing."""


@dataclass(slots=True)
class _Cried:
    """What Alertmanager may have heard of one alert."""

    #: As it was posted last, whether or not that arrived.
    alert: OwnAlert
    #: When it was last known to have arrived as it is; None: never.
    heard_at: datetime | None = None
    #: It holds no more: when Alertmanager ends it by itself, should it not hear of that.
    expires_at: datetime | None = None


class Crier:
    """
    See the module.

    :param external_url: where people find Relevo's pages
    :param has_prometheus: one is configured, whose rule tells of many failing containers
    :param hold_for: how long Alertmanager believes a post; a quarter of it lies between two
    :param mode: of this whole Relevo
    :param speaks: whether it is us who post; another controller's alerts are the same ones
    :param count: told how many alerts were posted as ``firing`` or ``over``, or ``failed``
    """

    def __init__(
        self,
        store: Store,
        sink: AlertSink,
        census: Census,
        clock: Clock,
        rules: Rules,
        *,
        external_url: str | None,
        has_prometheus: bool,
        hold_for: timedelta,
        prefix: str,
        count: Callable[[str, int], None] = _uncounted,
        speaks: Callable[[], bool] = lambda: True,
        mode: Mode = Mode.ENFORCE,
    ) -> None:
        self._speaks = speaks
        self._news = News(
            store,
            rules,
            external_url=external_url,
            has_prometheus=has_prometheus,
            # Twice what Alertmanager waits between two messages about a group.
            over_for=2 * hold_for,
            prefix=prefix,
            mode=mode,
        )
        self._sink = sink
        self._census = census
        self._clock = clock
        self._hold_for = hold_for
        self._count = count
        self._wakeup = Bell()
        #: What was read last.
        self._view: NewsView | None = None
        self._cried: dict[str, _Cried] = {}
        #: What each part failed with last: only a change is news.
        self._trouble: dict[str, str] = {}
        self._is_capped = False

    def wake(self) -> None:
        """Look soon: something may have changed."""
        self._wakeup.ring()

    async def run(self) -> None:
        """Run until cancelled. What was posted then expires, unless a successor goes on."""
        every = self._hold_for / 4
        # However often it is woken: a storm of decisions is no storm of posts.
        gap = self._hold_for / 60
        while True:
            self._wakeup.hush()
            try:
                if self._speaks():
                    await self.look()
            except Exception as exc:  # noqa: BLE001 - the boundary: logged, repeated
                self._failed("look", exc, unexpected=True)
            else:
                self._well("look")
            await asyncio.sleep(gap.total_seconds())
            await self._wakeup.wait(every - gap)

    async def look(self) -> None:
        """Do one round: read what holds, post what has to be told of it."""
        roster = self._census.last
        if roster is None:
            return  # nobody can tell yet what this engine is called
        now = self._clock.now()
        try:
            self._view = await self._news.gather(roster, now=now)
        except Transient as exc:
            self._failed("store", exc)
        else:
            self._well("store")
        if self._view is not None:
            self._compare(announcements(self._view, now=now), now=now)
            await self._post(now=now)

    # ------------------------------------------------------------ posting

    def _compare(self, holding: Sequence[Announcement], *, now: datetime) -> None:
        """Bring what is to be cried up to date with what holds."""
        if len(holding) > MOST and not self._is_capped:
            log.warning("too many alerts of our own, posting the first", all=len(holding), of=MOST)
        self._is_capped = len(holding) > MOST
        keys = {one.key for one in holding}
        posted = {one.key for one in holding[:MOST]}
        for key, cried in list(self._cried.items()):
            if key in posted:
                continue
            if key in keys:  # more important ones have come: it holds, and nobody says otherwise
                del self._cried[key]
                continue
            if cried.expires_at is None:
                cried.expires_at = cried.alert.ends_at
                over = replace(cried.alert, ends_at=max(now, cried.alert.starts_at))
                cried.alert, cried.heard_at = over, None
            if now >= cried.expires_at:
                del self._cried[key]  # over by itself, and Alertmanager has said so
        for one in holding[:MOST]:
            self._cry(one, now=now)

    def _cry(self, one: Announcement, *, now: datetime) -> None:
        known = self._cried.get(one.key)
        if known is not None and known.expires_at is not None:
            known = None  # it is back
        began = one.starts_at or (known.alert.starts_at if known is not None else now)
        alert = OwnAlert(
            labels=one.labels,
            alert_annotations=one.annotations,
            starts_at=began,
            ends_at=now + self._hold_for,
        )
        if known is not None and known.heard_at is not None:
            is_same = replace(known.alert, ends_at=alert.ends_at) == alert
            # A round comes every quarter: less than that here, or it might be a moment too early.
            if is_same and now - known.heard_at < self._hold_for / 5:
                return
        # Written down before it is posted: an answer that is lost may have been heard.
        self._cried[one.key] = _Cried(alert)

    async def _post(self, *, now: datetime) -> None:
        """Post what has not been heard; what fails now is posted in the next round."""
        unheard = {key: cried for key, cried in self._cried.items() if cried.heard_at is None}
        if not unheard:
            return
        try:
            await self._sink.post([cried.alert for cried in unheard.values()])
        except Transient as exc:
            self._count("failed", len(unheard))
            self._failed("alertmanager", exc)
            return
        self._well("alertmanager")
        over = [key for key, cried in unheard.items() if cried.expires_at is not None]
        for key in over:
            del self._cried[key]
        for cried in unheard.values():
            cried.heard_at = now
        for result, number in (("over", len(over)), ("firing", len(unheard) - len(over))):
            if number:
                self._count(result, number)

    def _failed(self, what: str, exc: Exception, *, unexpected: bool = False) -> None:
        error = f"{type(exc).__name__}: {exc}"
        if self._trouble.get(what) == error:
            return
        self._trouble[what] = error
        if unexpected:
            log.error("own alerts not posted, will be repeated", exc_info=exc)
        else:
            log.warning("own alerts not posted, will be repeated", what=what, error=error)

    def _well(self, what: str) -> None:
        if self._trouble.pop(what, None) is not None:
            log.info("own alerts are posted again", what=what)
