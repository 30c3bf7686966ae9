"""What routes are handed: the parts of a running Relevo, and the caller's right to use them."""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

import structlog
from fastapi import Depends, HTTPException, Request, Security, params
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.api.slowing import Slowing, address_of
from app.controller.auditor import Auditor
from app.controller.board import Board
from app.controller.desk import Desk
from app.controller.feed import Feed
from app.controller.gauges import Gauges
from app.controller.intake import Intake
from app.controller.operate import Operator
from app.controller.overview import Overview
from app.controller.reload import Reloading
from app.controller.samples import Samples
from app.controller.telemetry import Telemetry
from app.errors import NotAccepting
from app.policies.spec import Rulebook
from app.ports import Clock

log: Final = structlog.get_logger("relevo.api")


class Scope(StrEnum):
    """What a token allows; each wider one includes reading."""

    INGEST = "ingest"
    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"


#: Which tokens open which scope.
OPENS = {
    Scope.INGEST: (Scope.INGEST, Scope.ADMIN),
    Scope.READ: (Scope.READ, Scope.OPERATE, Scope.ADMIN),
    Scope.OPERATE: (Scope.OPERATE, Scope.ADMIN),
    Scope.ADMIN: (Scope.ADMIN,),
}


class Tokens:
    """Who may do what; only hashes are kept, compared in constant time."""

    def __init__(self, tokens: Mapping[Scope, Iterable[str]]) -> None:
        self._hashes = {scope: [hash_of(t) for t in tokens.get(scope, ())] for scope in Scope}
        #: Without any token everything is open: allowed on loopback only (see Settings).
        self.are_asked_for = any(self._hashes.values())

    def open(self, scope: Scope, token: str) -> bool:
        """Tell whether a token opens a scope."""
        shown = hash_of(token)
        matches = [
            hmac.compare_digest(shown, known)
            for holder in OPENS[scope]
            for known in self._hashes[holder]
        ]
        return any(matches)

    @property
    def hashes(self) -> Mapping[Scope, Iterable[bytes]]:
        """The hashes of all tokens, by the scope that they were given for."""
        return self._hashes

    def opened_by(self, known: bytes) -> frozenset[Scope]:
        """Tell which scopes the token with this hash opens."""
        holders = {scope for scope, hashes in self._hashes.items() if known in hashes}
        return frozenset(scope for scope in Scope if holders.intersection(OPENS[scope]))

    def is_known(self, token: str) -> bool:
        """Tell whether a token is one of ours at all."""
        shown = hash_of(token)
        return any([hmac.compare_digest(shown, k) for ks in self._hashes.values() for k in ks])


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of a running Relevo that HTTP reaches; kept in ``app.state.parts``."""

    intake: Intake
    desk: Desk
    overview: Overview
    operator: Operator
    auditor: Auditor
    gauges: Gauges
    reloading: Reloading
    #: Reads the text of a policy file; BadConfiguration says what is wrong with it.
    parse: Callable[[str, str], Rulebook]
    telemetry: Telemetry
    board: Board
    feed: Feed
    samples: Samples
    clock: Clock
    tokens: Tokens
    #: How people reach this Relevo, where that is known.
    external_url: str | None = None


# A dependency that is not async costs a thread's turn per request.
async def get_parts(request: Request) -> Parts:
    """Find the parts that the application was made with."""
    parts = request.app.state.parts
    assert isinstance(parts, Parts)  # noqa: S101 - create_app puts it there
    return parts


_bearer = HTTPBearer(auto_error=False, description="A token of RELEVO_TOKEN_*")
ShownDep = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


class Require:
    """A dependency: the caller must show a token that opens the scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(
        self,
        request: Request,
        parts: Annotated[Parts, Depends(get_parts)],
        shown: ShownDep,
    ) -> None:
        """Let the call through, or refuse it."""
        if not parts.tokens.are_asked_for:
            return
        if shown is None:
            raise self._unknown(parts, request)
        slowing: Slowing = request.app.state.slowing
        address, known = address_of(request), hash_of(shown.credentials)
        # Alertmanager may share its address with anybody, such as behind a proxy.
        is_vouched = self.scope is Scope.INGEST and slowing.is_vouched(address, known)
        if not is_vouched and not await slowing.turn(address):
            self._refused(parts, request, 503)
            # Not 429: what was answered with that Alertmanager does not send again.
            raise NotAccepting("too many wrong tokens come from this address: try again")
        if not parts.tokens.is_known(shown.credentials):
            unknown = self._unknown(parts, request)
            await slowing.wrong(address)
            raise unknown
        if not parts.tokens.open(self.scope, shown.credentials):
            self._refused(parts, request, 403)
            raise HTTPException(403, f"this token does not open the scope {self.scope}")
        if parts.tokens.opened_by(known) == {Scope.INGEST}:
            slowing.vouch(address, known)

    async def check(self, request: Request, parts: Parts) -> None:
        """Do the same for who is called by no framework, and is in a hurry."""
        if not self._is_plainly_right(request, parts):
            await self(request, parts, await _bearer(request))

    def _is_plainly_right(self, request: Request, parts: Parts) -> bool:
        """Whether this address has shown this token before, and it opens the scope to this day."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if self.scope is not Scope.INGEST or kind != "Bearer":
            return False
        slowing: Slowing = request.app.state.slowing
        is_vouched = slowing.is_vouched(address_of(request), hash_of(token))
        return is_vouched and parts.tokens.open(self.scope, token)

    def _unknown(self, parts: Parts, request: Request) -> HTTPException:
        self._refused(parts, request, 401)
        return HTTPException(
            401,
            "show a token: Authorization: Bearer <token> (RELEVO_TOKEN_* on the server)",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _refused(self, parts: Parts, request: Request, status: int) -> None:
        parts.telemetry.refused_requests.labels(scope=self.scope, status=status).inc()
        slowing: Slowing = request.app.state.slowing
        # Alertmanager does not send it again, and nobody else will see it.
        if self.scope is Scope.INGEST and slowing.is_logged(f"token {status}", parts.clock.now()):
            log.warning(
                "request refused",
                scope=self.scope.value,
                status=status,
                address=address_of(request),
            )


def needs(scope: Scope) -> params.Security:
    """Make the dependency of a route that only tokens of a scope open; the document shows it."""
    needed: params.Security = Security(Require(scope), scopes=[scope.value])
    return needed


def hash_of(token: str) -> bytes:
    """Hash a token, as they are kept."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


PartsDep = Annotated[Parts, Depends(get_parts)]
