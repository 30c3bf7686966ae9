"""Who may see a page, and from where something may be done."""

from typing import Annotated, Final
from urllib.parse import parse_qsl, quote, urlsplit

from fastapi import Depends, HTTPException, Request

from app.api.body import read_body
from app.api.deps import Scope
from app.api.hosts import Names
from app.api.sessions import Session, Sessions

_LONGEST_PATH: Final = 500
_LONGEST_FORM: Final = 16 * 1024


class LoginNeeded(Exception):
    """There is no session, or it is over."""


async def visitor(request: Request) -> Session:
    """Find the session of whoever asks. :raises LoginNeeded:"""
    sessions: Sessions = request.app.state.sessions
    session = await sessions.find(request)
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

    SameSite=Strict keeps the cookie from other sites; where nobody has to log in, there is none,
    and `app.api.hosts` has looked at the name too.
    """
    names: Names = request.app.state.names
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        # The browser's own word, which no page can forge; not sent to plain http of another host.
        is_ours = site == "same-origin"
    else:
        host = request.headers.get("host", "")
        is_ours = origin is not None and names.is_page(origin, host)
    if not is_ours:
        raise HTTPException(
            403, "this did not come from a page of this Relevo; scripts use the API with a token"
        )


async def form(request: Request) -> dict[str, str]:
    """Read a form; of a field that comes twice the last counts."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "send the form of the page")
    # No more is kept of it: nobody has to log in to send one.
    raw = await read_body(request, at_most=_LONGEST_FORM)
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
