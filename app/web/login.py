"""The way in: a token, once, becomes a session; and the way out."""

from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from app.api.deps import Parts, PartsDep
from app.api.hosts import Names, is_loopback, name_of
from app.api.sessions import LASTS, Sessions, cookie_name, shown_by
from app.api.slowing import LOGIN_COST, Slowing, address_of
from app.web.guard import form, from_here, own_path
from app.web.rendering import HEADERS, render
from app.web.route import PageRoute

log: Final = structlog.get_logger("relevo.web")

router = APIRouter(include_in_schema=False, route_class=PageRoute)

_WRONG: Final = "This token opens no page: it is not known, or is for Alertmanager only."
_BY_HTTPS: Final = (
    "No browser keeps a session that came by plain http here: log in at the https address of this "
    "Relevo (RELEVO_EXTERNAL_URL)."
)
_TOO_MANY: Final = "Too many wrong tokens come from your address: try again in a moment."


@router.get("/login")
async def show_login(request: Request) -> Response:
    """Ask for a token; whoever has a session goes on."""
    sessions: Sessions = request.app.state.sessions
    asked = own_path(request.query_params.get("next"))
    if await sessions.find(request) is not None:
        return RedirectResponse(_here(asked), status_code=303, headers=HEADERS)
    # A strict cookie is not sent along a link of another site, such as one in Slack; it is when
    # our own page asks again. To plain http of another host a browser does not say from where.
    site = request.headers.get("sec-fetch-site")
    came_from_elsewhere = site == "cross-site" or (site is None and not shown_by(request))
    again = f"login?again=1&next={quote(asked, safe='')}"
    return render(
        request,
        "login.html",
        asked=asked,
        again=again if came_from_elsewhere and "again" not in request.query_params else None,
        wrong=None,
    )


@router.post("/login", dependencies=[Depends(from_here)])
async def login(
    request: Request, parts: PartsDep, sent: Annotated[dict[str, str], Depends(form)]
) -> Response:
    """Open a session."""
    sessions: Sessions = request.app.state.sessions
    slowing: Slowing = request.app.state.login_slowing
    asked = own_path(sent.get("next"))
    address = address_of(request)
    way = _way_of(request)
    if way is None:
        # It would be dropped without a word, and the way in would lead to the way in.
        return render(request, "login.html", status=403, asked=asked, again=None, wrong=_BY_HTTPS)
    # Before it is compared: the right one among many is not told from the others.
    if not await slowing.turn(address):
        _refused(parts, slowing, address, 429)
        page = render(request, "login.html", status=429, asked=asked, again=None, wrong=_TOO_MANY)
        page.headers["Retry-After"] = str(round(LOGIN_COST))
        return page
    cookie = sessions.open(sent.get("token", "").strip())
    if cookie is None:
        _refused(parts, slowing, address, 403)
        await slowing.wrong(address)
        return render(request, "login.html", status=403, asked=asked, again=None, wrong=_WRONG)
    slowing.right(address)
    answer = RedirectResponse(_here(asked), status_code=303, headers=HEADERS)
    answer.set_cookie(
        cookie_name(request.headers.get("host", ""), host_only=way.is_host_only),
        cookie,
        max_age=round(LASTS.total_seconds()),
        path=way.path,
        secure=way.is_secure,
        httponly=True,
        samesite="strict",
    )
    return answer


def _refused(parts: Parts, slowing: Slowing, address: str, status: int) -> None:
    parts.telemetry.refused_requests.labels(scope="login", status=status).inc()
    if slowing.is_logged("login", parts.clock.now()):
        log.warning("login refused", address=address, status=status)


@router.post("/logout", dependencies=[Depends(from_here)])
async def logout(request: Request) -> Response:
    """End the session."""
    sessions: Sessions = request.app.state.sessions
    names: Names = request.app.state.names
    answer = RedirectResponse("./login", status_code=303, headers=HEADERS)
    for name, cookie in shown_by(request).items():
        session = await sessions.of(cookie)
        if session is None:
            continue  # of another Relevo on this host, or over
        await sessions.end(session)
        for path in {"/", names.path}:
            # Secure only where it must be: by plain http a browser takes no word of such a one.
            answer.delete_cookie(
                name,
                path=path,
                secure=names.is_https or request.url.scheme == "https",
                httponly=True,
                samesite="strict",
            )
    return answer


@dataclass(frozen=True, slots=True)
class _Way:
    """How a browser has come, and so what cookie it is given."""

    is_secure: bool
    is_host_only: bool
    path: str


def _way_of(request: Request) -> _Way | None:
    """Find how the browser has come; None where it would not keep what it is given."""
    names: Names = request.app.state.names
    origin = request.headers.get("origin", "")
    is_secure = names.is_https or request.url.scheme == "https"
    # By plain http browsers keep a secure one on this very machine, and nowhere else.
    plain = origin.removeprefix("http://")
    if is_secure and plain != origin and not is_loopback(name_of(plain)):
        return None
    # Where we have a path only, no neighbour there is sent it.
    path = names.path if origin != "" and origin == names.origin else "/"
    is_host_only = is_secure and path == "/" and origin.startswith("https://")
    return _Way(is_secure, is_host_only, path)


def _here(path: str) -> str:
    """Lead from the login to a path of ours, relative."""
    return f"./{path.lstrip('/')}"
