"""The way in: a token, once, becomes a session; and the way out."""

import asyncio
from typing import Annotated, Final
from urllib.parse import quote, urlsplit

import structlog
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from app.api.sessions import COOKIE, LASTS, Sessions
from app.web.guard import form, from_here, own_path
from app.web.links import Links
from app.web.rendering import HEADERS, render
from app.web.route import PageRoute

log: Final = structlog.get_logger("relevo.web")

router = APIRouter(include_in_schema=False, route_class=PageRoute)

_WRONG: Final = "This token opens no page: it is not known, or is for Alertmanager only."
#: Seconds that a wrong token costs, doubled with each one of the same address.
_FIRST: Final = 0.25
_LONGEST: Final = 8.0
#: Wrong tokens that are being answered, and addresses that are remembered.
_MOST_WAITING: Final = 32
_MOST_KNOWN: Final = 1000


class Slowing:
    """Makes guessing slow, for each address by itself."""

    def __init__(self) -> None:
        self._wrong: dict[str, int] = {}
        self._waiting = 0

    async def wrong(self, address: str) -> None:
        """Hold a wrong answer back. :raises HTTPException: too many are held back already"""
        if self._waiting >= _MOST_WAITING:
            raise HTTPException(429, "too many wrong tokens at once: try again in a moment")
        number = self._wrong.pop(address, 0)
        self._wrong[address] = number + 1
        if len(self._wrong) > _MOST_KNOWN:
            del self._wrong[next(iter(self._wrong))]
        self._waiting += 1
        try:
            await asyncio.sleep(min(_FIRST * 2 ** min(number, 10), _LONGEST))
        finally:
            self._waiting -= 1

    def right(self, address: str) -> None:
        """Forget what went before."""
        self._wrong.pop(address, None)


@router.get("/login")
async def show_login(request: Request) -> Response:
    """Ask for a token; whoever has a session goes on."""
    sessions: Sessions = request.app.state.sessions
    asked = own_path(request.query_params.get("next"))
    if sessions.find(request.cookies.get(COOKIE)) is not None:
        return RedirectResponse(_here(asked), status_code=303, headers=HEADERS)
    # A strict cookie is not sent along a link of another site, such as one in Slack; it is when
    # our own page asks again.
    came_from_elsewhere = request.headers.get("sec-fetch-site") == "cross-site"
    again = f"login?again=1&next={quote(asked, safe='')}"
    return render(
        request,
        "login.html",
        asked=asked,
        again=again if came_from_elsewhere and "again" not in request.query_params else None,
        wrong=None,
    )


@router.post("/login", dependencies=[Depends(from_here)])
async def login(request: Request, sent: Annotated[dict[str, str], Depends(form)]) -> Response:
    """Open a session."""
    sessions: Sessions = request.app.state.sessions
    slowing: Slowing = request.state.slowing
    asked = own_path(sent.get("next"))
    address = request.client.host if request.client is not None else ""
    cookie = sessions.open(sent.get("token", "").strip())
    if cookie is None:
        log.warning("login refused", address=address)
        await slowing.wrong(address)
        return render(request, "login.html", status=403, asked=asked, again=None, wrong=_WRONG)
    slowing.right(address)
    answer = RedirectResponse(_here(asked), status_code=303, headers=HEADERS)
    answer.set_cookie(
        COOKIE,
        cookie,
        max_age=round(LASTS.total_seconds()),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="strict",
    )
    return answer


@router.post("/logout", dependencies=[Depends(from_here)])
async def logout(request: Request) -> Response:
    """End the session."""
    sessions: Sessions = request.app.state.sessions
    session = sessions.find(request.cookies.get(COOKIE))
    if session is not None:
        sessions.end(session)
    answer = RedirectResponse("./login", status_code=303, headers=HEADERS)
    answer.delete_cookie(
        COOKIE, path="/", secure=_is_secure(request), httponly=True, samesite="strict"
    )
    return answer


def _here(path: str) -> str:
    """Lead from the login to a path of ours, relative."""
    return f"./{path.lstrip('/')}"


def _is_secure(request: Request) -> bool:
    links: Links = request.state.links
    outside = urlsplit(links.external_url).scheme if links.external_url is not None else ""
    return "https" in (request.url.scheme, outside)
