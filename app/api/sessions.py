"""
Sessions of people's browsers: a token, shown once, becomes a cookie.

The cookie holds neither the token nor its hash: an end and a name of its own, signed with the
token's hash. So any controller with the same tokens knows it, also after a restart, and it ends
with its token.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from app.api.deps import Scope, Tokens, hash_of
from app.ports import Clock

COOKIE: Final = "relevo_session"
#: A working day: nobody logs in twice a shift, and a forgotten browser is closed by the next.
LASTS: Final = timedelta(hours=12)
#: Names of sessions that were ended before their time; each is forgotten with that.
_MOST_ENDED: Final = 10_000
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

    def __init__(self, tokens: Tokens, clock: Clock) -> None:
        self._tokens = tokens
        self._clock = clock
        #: Name -> end, of those that were logged out here.
        self._ended: dict[str, datetime] = {}

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

    def find(self, cookie: str | None) -> Session | None:
        """Tell whose session a cookie is; None where there is none, or it is over."""
        if not self._tokens.are_asked_for:
            return EVERYBODY
        if cookie is None or len(cookie) > _LONGEST or not cookie.isascii():
            return None
        written, _, rest = cookie.partition(".")
        name, _, shown = rest.partition(".")
        if not written.isdecimal() or len(written) > 12 or not name or not shown:
            return None
        end = int(written)
        until = datetime.fromtimestamp(min(end, 32_503_680_000), UTC)
        if until <= self._clock.now() or name in self._ended:
            return None
        scopes: frozenset[Scope] = frozenset()
        for hashes in self._tokens.hashes.values():
            for known in hashes:
                if hmac.compare_digest(_signed(known, end, name), shown):
                    scopes = self._tokens.opened_by(known)
        if Scope.READ not in scopes:
            return None
        return Session(scopes=scopes, name=name, until=until)

    def end(self, session: Session) -> None:
        """Know a session no longer, here; other controllers have only lost its cookie."""
        if session.name is None or session.until is None:
            return
        now = self._clock.now()
        self._ended = {name: until for name, until in self._ended.items() if until > now}
        while len(self._ended) >= _MOST_ENDED:
            del self._ended[next(iter(self._ended))]
        self._ended[session.name] = session.until


def _signed(key: bytes, end: int, name: str) -> str:
    return hmac.new(key, f"relevo session {end} {name}".encode(), sha256).hexdigest()
