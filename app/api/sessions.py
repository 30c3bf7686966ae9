"""
Sessions of people's browsers: a token, shown once, becomes a cookie.

The cookie holds neither the token nor its hash: an end and a name of its own, signed with the
token's hash. So any controller with the same tokens knows it, also after a restart, and it ends
with its token. That it was ended before its time is kept in the store.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from fastapi import Request

from app.api.deps import Scope, Tokens, hash_of
from app.api.hosts import port_of
from app.errors import StoreUnavailable
from app.ports import Clock, Orders, Reply

#: And the port after it: cookies go to every port of a host, and there another Relevo may be.
COOKIE: Final = "relevo_session"
#: With this name a browser takes it from the very host only, by https, for the whole of it.
_HOST_ONLY: Final = f"__Host-{COOKIE}"
#: A working day: nobody logs in twice a shift, and a forgotten browser is closed by the next.
LASTS: Final = timedelta(hours=12)
#: Names of sessions that were ended before their time; each is forgotten with that.
_MOST_ENDED: Final = 10_000
#: How long what the store says of a session is taken for true, and of how many.
_SURE_FOR: Final = timedelta(seconds=5)
_MOST_LOOKED_UP: Final = 1000
#: Cookies of ours that one request is asked for: every port may have its own.
_MOST_SHOWN: Final = 8
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Who looks at a page, as far as rights go."""

    scopes: frozenset[Scope]
    #: None: nobody has to log in here.
    name: str | None = None
    until: datetime | None = None

    def opens(self, scope: Scope) -> bool:
        """Whether it may do that."""
        return scope in self.scopes


#: Without any token everything is open (see `Tokens`).
EVERYBODY: Final = Session(scopes=frozenset(Scope))


class Sessions:
    """Opens sessions, and knows them again."""

    def __init__(self, tokens: Tokens, clock: Clock, replies: Callable[[], Orders]) -> None:
        """
        Begin.

        :param replies: where it is kept that a session was ended, for all controllers
        """
        self._tokens = tokens
        self._clock = clock
        self._replies = replies
        #: Name -> end, of those that are known to be logged out.
        self._ended: dict[str, datetime] = {}
        #: Name -> when the store was asked for it last.
        self._looked_up: dict[str, datetime] = {}

    @property
    def are_asked_for(self) -> bool:
        """Whether anybody has to log in."""
        return self._tokens.are_asked_for

    def open(self, token: str) -> str | None:
        """Make the cookie of a token; None for one that opens no page."""
        known = hash_of(token)
        if not self._tokens.is_known(token) or Scope.READ not in self._tokens.opened_by(known):
            return None
        end = round((self._clock.now() + LASTS).timestamp())
        name = secrets.token_urlsafe(16)
        return f"{end}.{name}.{_signed(known, end, name)}"

    async def find(self, request: Request) -> Session | None:
        """Tell whose session a request comes with; None where there is none, or it is over."""
        if not self._tokens.are_asked_for:
            return EVERYBODY
        for cookie in shown_by(request).values():
            session = await self.of(cookie)
            if session is not None:
                return session
        return None

    async def of(self, cookie: str) -> Session | None:
        """Tell whose session a cookie is; None where there is none, or it is over."""
        session = self._read(cookie)
        if session is None or session.name is None or session.until is None:
            return None
        if await self._is_ended(session.name, session.until):
            return None
        return session

    def _read(self, cookie: str) -> Session | None:
        if len(cookie) > _LONGEST or not cookie.isascii():
            return None
        written, _, rest = cookie.partition(".")
        name, _, shown = rest.partition(".")
        if not written.isdecimal() or len(written) > 12 or not name or not shown:
            return None
        end = int(written)
        until = datetime.fromtimestamp(min(end, 32_503_680_000), UTC)
        if until <= self._clock.now():
            return None
        scopes: frozenset[Scope] = frozenset()
        for hashes in self._tokens.hashes.values():
            for known in hashes:
                if hmac.compare_digest(_signed(known, end, name), shown):
                    scopes = self._tokens.opened_by(known)
        if Scope.READ not in scopes:
            return None
        return Session(scopes=scopes, name=name, until=until)

    async def end(self, session: Session) -> None:
        """
        Know a session no longer, here and at every controller of this store.

        Where the store is away it is ended here, until the next start.
        """
        if session.name is None or session.until is None:
            return
        self._forget(session.name, session.until)
        with suppress(StoreUnavailable):
            # Kept longer than a session lasts.
            await self._replies().reply(Reply(key=_key(session.name), digest="", answer="null"))

    async def _is_ended(self, name: str, until: datetime) -> bool:
        if name in self._ended:
            return True
        now = self._clock.now()
        before = self._looked_up.pop(name, None)
        if before is not None and now - before < _SURE_FOR:
            self._looked_up[name] = before
            return False
        found: Reply | None = None
        # Without a store nothing can be done, and a page says so: it is not closed for that.
        with suppress(StoreUnavailable):
            found = await self._replies().replied(_key(name))
        if found is not None:
            self._forget(name, until)
            return True
        self._looked_up[name] = now
        if len(self._looked_up) > _MOST_LOOKED_UP:
            del self._looked_up[next(iter(self._looked_up))]
        return False

    def _forget(self, name: str, until: datetime) -> None:
        now = self._clock.now()
        self._ended = {name: until for name, until in self._ended.items() if until > now}
        while len(self._ended) >= _MOST_ENDED:
            del self._ended[next(iter(self._ended))]
        self._ended[name] = until


def cookie_name(host: str, *, host_only: bool) -> str:
    """
    Name the cookie of a session.

    :param host: as the browser calls us, with its port
    :param host_only: have the browser see to it that it is from this very host, by https
    """
    name, port = _HOST_ONLY if host_only else COOKIE, port_of(host)
    return f"{name}_{port}" if port else name


def shown_by(request: Request) -> Mapping[str, str]:
    """
    Find the cookies that may be sessions of ours: those of this port first.

    A proxy may have called us by another port than the browser: whose it is, its signature says.
    """
    host = request.headers.get("host", "")
    own = (cookie_name(host, host_only=True), cookie_name(host, host_only=False))
    some = [name for name in request.cookies if name.startswith((_HOST_ONLY, COOKIE))]
    names = sorted(some, key=lambda name: (name not in own, name))[:_MOST_SHOWN]
    return {name: request.cookies[name] for name in names}


def _key(name: str) -> str:
    """Keep the end of a session beside the answers to orders: kept as long, and found as fast."""
    return f"session:{name}"


def _signed(key: bytes, end: int, name: str) -> str:
    return hmac.new(key, f"relevo session {end} {name}".encode(), sha256).hexdigest()
