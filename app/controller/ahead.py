"""What is claimed and has not begun: the queue between the schedule and the steps."""

from collections.abc import Iterable
from typing import Final

from app.ports import Claim

#: As many as one call of the store leases.
MOST_AT_ONCE: Final = 1000
#: Whoever dies leaves no more than these to be counted as lost, beside what ran: each of them
#: runs alone after that.
_MOST: Final = 500
#: Steps that are over before the next are claimed want so many times as many with a call.
_FASTER: Final = 16


class Ahead:
    """
    Claims that wait for their turn, in their order, one of each target.

    How many may wait is learned: none at first. Where all steps were over before the next ones had
    been claimed, more are claimed ahead; where the claimed ones wait, fewer. So steps that take
    long are claimed as they begin, and whoever dies leaves few behind; those that take
    microseconds do not wait for a disk each.

    :param parallel: how many steps run at once
    """

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel
        #: Target -> its claim, and until when (of the loop's clock) its step may begin.
        self.waiting: dict[str, tuple[Claim, float]] = {}
        #: How many may wait.
        self.most = 0
        #: The last call gave out all that it was asked for: there may be more.
        self.has_more = False
        #: How many waited when more were asked for.
        self._left = 0

    def room(self, running: int) -> int:
        """Tell how many to ask for now, with so many steps under way; 0: not yet."""
        self._learn(running)
        self._left = len(self.waiting)
        if self._left > self.most // 2:
            return 0
        free = self._parallel - running
        return max(0, min(MOST_AT_ONCE, free + self.most - self._left))

    def put(self, claims: Iterable[Claim], *, is_full: bool, running: int, until: float) -> None:
        """
        Have claims wait that were asked for, of targets that do not wait.

        :param is_full: as many were given out as were asked for
        :param running: how many steps are under way
        :param until: when their leases are no longer sure, by the loop's clock
        """
        self._learn(running)
        if len(self.waiting) > self._left // 2:
            self.most //= 2
        self.has_more = is_full
        if not self.has_more:
            self.most = 0
        for claim in claims:
            self.waiting[claim.target] = claim, until

    def outdate(self, claims: Iterable[Claim]) -> list[Claim]:
        """Drop older claims of the same targets, whose leases have run out; return those."""
        known = [one.target for one in claims if one.target in self.waiting]
        return [self.waiting.pop(target)[0] for target in known]

    def _learn(self, running: int) -> None:
        if self.has_more and not running and not self.waiting:
            self.most = min(_MOST, _FASTER * max(self.most, self._parallel))

    def take(self) -> tuple[Claim, float]:
        """Take the first, and until when it may begin; there has to be one."""
        return self.waiting.pop(next(iter(self.waiting)))

    def all(self) -> list[Claim]:
        """Return all that wait; they stay."""
        return [claim for claim, _ in self.waiting.values()]

    def extend(self, claims: Iterable[Claim], *, until: float) -> None:
        """Have those of them that still wait wait until then."""
        for claim in claims:
            if self.waiting.get(claim.target, (None, 0.0))[0] is claim:
                self.waiting[claim.target] = claim, until

    def drop(self, claims: Iterable[Claim]) -> list[Claim]:
        """Have those wait no more that do; return them."""
        dropped = [one for one in claims if self.waiting.get(one.target, (None, 0.0))[0] is one]
        for claim in dropped:
            del self.waiting[claim.target]
        return dropped

    def clear(self) -> list[Claim]:
        """Have nothing wait; return what did."""
        found = self.all()
        self.waiting.clear()
        self.most = 0
        return found
