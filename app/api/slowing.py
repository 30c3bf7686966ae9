"""Wrong tokens cost time, so that nobody guesses one by trying."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from fastapi import Request

#: Seconds that a wrong token costs, doubled with each one of the same address.
_FIRST: Final = 0.25
#: And at most: to the API, as Prometheus and Alertmanager must still hear the answer; on the page.
API_COST: Final = 1.0
LOGIN_COST: Final = 8.0
#: Seconds that one waits for its turn behind others of its address; Prometheus gives us ten.
_PATIENCE: Final = 8.0
#: Callers that are held back, of all addresses: each has a place (`app.api.limits`), and guessers,
#: on the pages and at the API, must leave some to those who know a token.
_MOST_HELD: Final = 24
#: Addresses that are remembered.
_MOST_KNOWN: Final = 1000
#: Of refusals of one kind one is logged in that time: nobody fills a disk from outside.
_LOGGED_EVERY: Final = timedelta(seconds=10)


@dataclass(slots=True)
class _Guesser:
    """An address that has shown a wrong token."""

    wrong: int = 0
    #: Until when nothing that it shows is looked at, by the event loop's clock.
    owes_until: float = 0.0
    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Slowing:
    """
    Makes guessing slow, for each address by itself: one wrong token after the other.

    While an address owes time nothing that it shows is looked at, or many at once would be as
    fast as none is slow. Who shows a right one there waits for a turn, in order; at any other
    address nobody waits.

    :param at_most: seconds that a wrong token costs, however often it was wrong
    """

    def __init__(self, *, at_most: float) -> None:
        self._at_most = at_most
        self._most_waiting = max(1, int(_PATIENCE / at_most))
        self._guessers: dict[str, _Guesser] = {}
        self._held = 0
        #: Address, and what it has shown rightly: see `vouch`.
        self._proven: dict[tuple[str, bytes], None] = {}
        #: Kind of refusal -> when one was logged last; there are a handful.
        self._logged: dict[str, datetime] = {}

    async def turn(self, address: str) -> bool:
        """
        Wait until what an address shows may be looked at.

        It must be looked at, and `wrong` be called, before anything else is waited for.

        False: too many wait already, and it must not be looked at.
        """
        guesser = self._guessers.get(address)
        if guesser is None or (not guesser.turn.locked() and _left(guesser) <= 0):
            return True
        if guesser.waiting >= self._most_waiting or self._held >= _MOST_HELD:
            return False
        guesser.waiting += 1
        self._held += 1
        try:
            async with guesser.turn:
                # Nobody else looks meanwhile: all wait for this turn.
                await asyncio.sleep(max(0.0, _left(guesser)))
        finally:
            guesser.waiting -= 1
            self._held -= 1
        return True

    async def wrong(self, address: str) -> None:
        """Note a wrong token, and hold its answer back for what it costs."""
        guesser = self._guessers.pop(address, None) or _Guesser()
        self._guessers[address] = guesser
        if len(self._guessers) > _MOST_KNOWN:
            del self._guessers[next(iter(self._guessers))]
        cost = min(_FIRST * 2 ** min(guesser.wrong, 10), self._at_most)
        guesser.wrong += 1
        guesser.owes_until = asyncio.get_running_loop().time() + cost
        if self._held >= _MOST_HELD:
            return  # the time is owed all the same
        self._held += 1
        try:
            await asyncio.sleep(cost)
        finally:
            self._held -= 1

    def right(self, address: str) -> None:
        """Let the next wrong one cost no more than a first."""
        guesser = self._guessers.get(address)
        if guesser is not None:
            guesser.wrong = 0

    def vouch(self, address: str, known: bytes) -> None:
        """
        Remember that an address has shown a right token, so that guessers there do not delay it.

        Whoever guesses at the same address may then try for that token without delay. So this is
        for what must not wait, and opens little.

        :param known: the token's hash
        """
        self._proven.pop((address, known), None)
        self._proven[address, known] = None
        if len(self._proven) > _MOST_KNOWN:
            del self._proven[next(iter(self._proven))]

    def is_vouched(self, address: str, shown: bytes) -> bool:
        """Whether it has shown this before, and that was right."""
        return (address, shown) in self._proven

    def is_logged(self, kind: str, now: datetime) -> bool:
        """Whether to log a refusal; all of them are counted."""
        last = self._logged.get(kind)
        if last is not None and now - last < _LOGGED_EVERY:
            return False
        self._logged[kind] = now
        return True


def _left(guesser: _Guesser) -> float:
    """Seconds that are owed yet."""
    return guesser.owes_until - asyncio.get_running_loop().time()


def address_of(request: Request) -> str:
    """Say who asks; behind a proxy that is the proxy. Of IPv6 everybody has a network."""
    return _address_of(request.client.host if request.client is not None else "")


@lru_cache(maxsize=1000)
def _address_of(host: str) -> str:
    try:
        address = ip_address(host)
        if isinstance(address, IPv6Address):
            if address.ipv4_mapped is not None:
                return str(address.ipv4_mapped)
            return str(ip_network((host.partition("%")[0], 64), strict=False))
    except ValueError:
        pass
    return host
