"""Holding still for a while: what is known is in doubt, so nothing is done."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import structlog

log: Final = structlog.get_logger("relevo.stillness")


class Stillness:
    """
    Why, and for how long, nothing is done.

    :param pulled_at: when everything was pulled last, by the loop's clock
    :param is_busy: steps are under way, of which a store that lost its memory knows nothing
    :param wake: something may be done again
    """

    def __init__(
        self,
        *,
        pulled_at: Callable[[], float | None],
        is_busy: Callable[[], bool],
        wake: Callable[[], None],
    ) -> None:
        self._is_busy = is_busy
        self._pulled_at = pulled_at
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._why: str | None = None
        self._until = 0.0
        #: It lasts until a pull that is later than this; None: time alone ends it.
        self._pulled_after: float | None = None
        self._at_most = float("inf")
        #: The store has lost its memory: nothing is taken on, either.
        self.is_lost = False
        #: Steps from before the loss are waited for.
        self._outlasts = False

    @property
    def why(self) -> str | None:
        """Why nothing is done; None: it may be."""
        if self._why is not None and self._is_over():
            if self.is_lost and self._is_busy():
                self.is_lost = False  # it may be told again; what is under way it does not know
                self._outlasts = True
            elif not self._outlasts or not self._is_busy():
                self.end()
        return self._why

    def hold(
        self,
        why: str,
        span: timedelta,
        *,
        pull_first: bool = False,
        at_most: timedelta | None = None,
    ) -> None:
        """
        Do nothing for `span` from now; a hold that lasts longer goes on.

        :param pull_first: and until everything has been pulled anew
        :param at_most: but not longer than this, whether it was pulled or not
        """
        now = self._loop.time()
        if self._why is None:
            self._at_most = now
        self._why = why
        self._until = max(self._until, now + span.total_seconds())
        if pull_first:
            self._pulled_after = now
        if at_most is None:
            longest = float("inf") if pull_first else now + span.total_seconds()
        else:
            longest = now + at_most.total_seconds()
        self._at_most = max(self._at_most, longest)
        log.warning("holding still", why=why, seconds=span.total_seconds())

    def lose(self, why: str, span: timedelta) -> None:
        """Hold still as above, and take nothing on."""
        self.is_lost = True
        self.hold(why, span, pull_first=True)

    def end(self) -> None:
        """Go on."""
        if self._why is not None:
            log.info("going on", after=self._why)
        self._why, self._until, self._pulled_after = None, 0.0, None
        self.is_lost = self._outlasts = False
        self._wake()

    def _is_over(self) -> bool:
        now = self._loop.time()
        if now < self._until:
            return False
        if self._pulled_after is None or now >= self._at_most:
            return True
        pulled_at = self._pulled_at()
        return pulled_at is not None and pulled_at >= self._pulled_after
