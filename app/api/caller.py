"""Who it is that has something done, for the audit: what he may do, and where he is."""

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Self

from fastapi import Depends, Request

from app.api.deps import PartsDep, Scope, Tokens, hash_of

#: From the widest on; what only takes alerts in opens nothing that is told of here.
_WIDEST = (Scope.ADMIN, Scope.OPERATE, Scope.READ, Scope.INGEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever has sent a request."""

    #: The widest that he may do; None: everybody may do everything here.
    scope: str | None
    #: IP address, as the server has seen it; None: he has none.
    address: str | None

    @classmethod
    def of(cls, request: Request, tokens: Tokens, scopes: Collection[Scope]) -> Self:
        """Name whoever may do this much."""
        widest = next((str(one) for one in _WIDEST if one in scopes), None)
        return cls(
            scope=widest if tokens.are_asked_for else None,
            address=_address(request.client.host if request.client is not None else ""),
        )


async def caller(request: Request, parts: PartsDep) -> Caller:
    """Tell by the token that was shown; whether it is enough is asked elsewhere (`Require`)."""
    shown = request.headers.get("authorization", "").partition(" ")[2].strip()
    return Caller.of(request, parts.tokens, parts.tokens.opened_by(hash_of(shown)))


def _address(host: str) -> str | None:
    try:
        return str(ip_address(host))
    except ValueError:
        return None


CallerDep = Annotated[Caller, Depends(caller)]
