"""Wrong tokens cost time, so that nobody guesses one by trying."""

import asyncio
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from fastapi import Request

#: Seconds that a wrong token costs, doubled with each one of the same address.
_FIRST: Final = 0.25
#: Wrong tokens that are being answered, and addresses that are remembered.
_MOST_WAITING: Final = 32
_MOST_KNOWN: Final = 1000
#: Of refusals of one kind one is logged in that time: nobody fills a disk from outside.
_LOGGED_EVERY: Final = timedelta(seconds=10)


class Slowing:
    """Makes guessing slow, for each address by itself; who knows a token never waits."""

    def __init__(self) -> None:
        self._wrong: dict[str, int] = {}
        self._waiting = 0
        #: Kind of refusal -> when one was logged last; there are a handful.
        self._logged: dict[str, datetime] = {}

    async def wrong(self, address: str, *, at_most: float) -> bool:
        """
        Hold a wrong answer back.

        False: too many are held back already, and this one was not.

        :param at_most: seconds, however often it was wrong
        """
        number = self._wrong.pop(address, 0)
        self._wrong[address] = number + 1
        if len(self._wrong) > _MOST_KNOWN:
            del self._wrong[next(iter(self._wrong))]
        if self._waiting >= _MOST_WAITING:
            return False
        self._waiting += 1
        try:
            await asyncio.sleep(min(_FIRST * 2 ** min(number, 10), at_most))
        finally:
            self._waiting -= 1
        return True

    def right(self, address: str) -> None:
        """Forget what went before."""
        self._wrong.pop(address, None)

    def is_logged(self, kind: str, now: datetime) -> bool:
        """Whether to log a refusal; all of them are counted."""
        last = self._logged.get(kind)
        if last is not None and now - last < _LOGGED_EVERY:
            return False
        self._logged[kind] = now
        return True


def address_of(request: Request) -> str:
    """Say who asks; behind a proxy that is the proxy. Of IPv6 everybody has a network."""
    host = request.client.host if request.client is not None else ""
    try:
        if isinstance(ip_address(host), IPv6Address):
            return str(ip_network((host.partition("%")[0], 64), strict=False))
    except ValueError:
        pass
    return host
