"""Who may see a page, and from where something may be done."""

import ipaddress
from typing import Annotated, Final
from urllib.parse import parse_qsl, quote, urlsplit

from fastapi import Depends, HTTPException, Request

from app.api.body import read_body
from app.api.deps import Scope
from app.api.sessions import COOKIE, EVERYBODY, Session, Sessions
from app.web.links import Links

_LONGEST_PATH: Final = 500
_LONGEST_FORM: Final = 16 * 1024


class LoginNeeded(Exception):
    """There is no session, or it is over."""


async def visitor(request: Request) -> Session:
    """Find the session of whoever asks. :raises LoginNeeded:"""
    sessions: Sessions = request.app.state.sessions
    session = sessions.find(request.cookies.get(COOKIE))
    if session is None:
        raise LoginNeeded
    request.state.session = session
    return session


VisitorDep = Annotated[Session, Depends(visitor)]


async def operator(session: VisitorDep) -> Session:
    """Let in who may do something."""
    if not session.opens(Scope.OPERATE):
        raise HTTPException(403, "this session may look, not act: log in with an operate token")
    return session


async def from_here(request: Request) -> None:
    """
    Let through what a page of ours has sent.

    SameSite=Strict keeps the cookie from other sites; where nobody has to log in, this is all that
    keeps them out.
    """
    links: Links = request.state.links
    site = request.headers.get("sec-fetch-site")
    host = request.headers.get("host", "")
    ours = {host.lower()}
    if links.external_url is not None:
        ours.add(_netloc(links.external_url))
    origin = request.headers.get("origin")
    if site is not None:
        # The browser's own word, which no page can forge; not sent to plain http of another host.
        is_ours = site == "same-origin"
    else:
        is_ours = origin is not None and _netloc(origin) in ours - {""}
    if not is_ours:
        raise HTTPException(
            403, "this did not come from a page of this Relevo; scripts use the API with a token"
        )
    sessions: Sessions = request.app.state.sessions
    if sessions.find(None) is EVERYBODY and not _is_own_name(host, links):
        # A name that somebody else has led here: to the browser his page is ours.
        raise HTTPException(403, "reach this Relevo by its address, or set RELEVO_EXTERNAL_URL")


async def form(request: Request) -> dict[str, str]:
    """Read a form; of a field that comes twice the last counts."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "send the form of the page")
    raw = await read_body(request)
    if len(raw) > _LONGEST_FORM:
        raise HTTPException(413, "that is more than fits a form")
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20
        )
    except ValueError as exc:
        raise HTTPException(400, "the form cannot be read") from exc
    return dict(pairs)


def own_path(asked: str | None) -> str:
    """Make a way back of what an address bar says: a path of ours, or the first page."""
    path = asked or ""
    if (
        len(path) > _LONGEST_PATH
        or not path.startswith("/")
        or path.startswith("//")
        or "\\" in path
        or not path.isprintable()
        or not path.isascii()
        or path.startswith(("/login", "/logout"))
    ):
        return "/"
    parts = urlsplit(path)
    return "/" if parts.scheme or parts.netloc else path


def login_query(request: Request) -> str:
    """Say where a login is to lead back to."""
    path = request.url.path
    if request.method not in ("GET", "HEAD"):
        path = "/"
    elif request.url.query:
        path = f"{path}?{request.url.query}"
    return f"next={quote(own_path(path), safe='')}"


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


def _is_own_name(host: str, links: Links) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    name = name.strip("[]").lower()
    if name in ("localhost", "ip6-localhost") or name.endswith(".localhost"):
        return True
    if links.external_url is not None and name == urlsplit(links.external_url).hostname:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
