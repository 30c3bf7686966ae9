"""Templates to answers: escaped always, under a policy that runs nothing but our own files."""

import gzip
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import Response
from markupsafe import Markup

from app import __version__
from app.api import events
from app.api.deps import Scope
from app.api.sessions import Session
from app.domain.duration import format_duration
from app.policies.announce_words import many
from app.policies.plain_words import words
from app.web.text import NAME, plain

if TYPE_CHECKING:
    from jinja2 import Environment

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers then say "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: What changes by itself, such as failures that leave the window, is no change for the stream of
#: events: this often a page that somebody looks at is drawn anew.
ANEW: Final = timedelta(minutes=1)
#: A page that could not be shown looks this often whether it can be now.
LOOK: Final = timedelta(seconds=10)
#: A stream that has said nothing for so many pings is lost, whatever the browser believes.
_PINGS_MISSED: Final = 2.6
#: Smaller ones are one packet anyway.
_WORTH_IT: Final = 1000
#: Half of the best, in a tenth of its time.
_LEVEL: Final = 5

Shown = Callable[..., Response]


def _load(name: str) -> str | None:
    file = resources.files("app.web").joinpath("templates", name)
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _finalize(value: object) -> object:
    """Every text that is no markup of ours passes here on its way into a page."""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def rfc3339(at: datetime) -> str:
    """Write a moment for machines."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: datetime, now: datetime) -> str:
    """
    Write a moment for people; with its date where that is not today's.

    The bar of each page says that times are UTC; what has a date says so itself.
    """
    at = at.astimezone(UTC)
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M} UTC"


def moment(at: datetime, now: datetime) -> str:
    """Write a moment that somebody plans by: always with its zone."""
    return f"{clock(at, now).removesuffix(' UTC')} UTC"


def countdown(at: datetime, now: datetime) -> str:
    """Say how long it is until a moment."""
    left = timedelta(seconds=round((at - now).total_seconds()))
    return f"in {format_duration(left)}" if left > timedelta(0) else "at any moment"


def lasted(since: datetime, until: datetime) -> str:
    """Say how long something took; at most two units."""
    seconds = max(0, round((until - since).total_seconds()))
    if seconds >= 172_800:
        return many(seconds // 86_400, "day")
    if seconds >= 3600:
        return format_duration(timedelta(minutes=seconds // 60))
    return format_duration(timedelta(seconds=seconds))


def size(number: float) -> str:
    """Write bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(number) < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


@lru_cache(maxsize=1)
def _environment() -> "Environment":
    # With the first page: many a Relevo is never looked at, and this is 2 MB and a compiler.
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(
        loader=FunctionLoader(_load),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
        auto_reload=False,
    )
    made.globals |= {"version": __version__, "many": many}
    made.filters |= {
        "rfc3339": rfc3339,
        "clock": clock,
        "moment": moment,
        "countdown": countdown,
        "lasted": lasted,
        "bytes": size,
        "cut": plain,
        "name": lambda text: plain(text, NAME),
        "words": words,
        "spaced": lambda text: str(text).replace("_", " "),
        # A target's name is a path segment: nothing in it may be a way to another.
        "segment": lambda text: quote(str(text), safe=":"),
    }
    return made


def root_of(request: Request) -> str:
    """Lead from a page back to the first one, relative: a proxy may serve us under any prefix."""
    depth = request.url.path.strip("/").count("/") if request.url.path != "/" else 0
    return "../" * depth or "./"


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Make a page."""
    session: Session | None = getattr(request.state, "session", None)
    parts = request.app.state.parts
    values = {
        "root": root_of(request),
        "session": session,
        "may_operate": session is not None and session.opens(Scope.OPERATE),
        # When it is made, not when what it tells was read: countdowns begin here.
        "now": parts.clock.now(),
        "patience_ms": round(events.PING / timedelta(milliseconds=1) * _PINGS_MISSED),
        "anew_ms": round(ANEW / timedelta(milliseconds=1)),
        "look_ms": round(LOOK / timedelta(milliseconds=1)),
        **values,
    }
    text = _environment().get_template(template).render(values)
    return Response(text, status_code=status, media_type="text/html", headers=HEADERS)


def squeezed(request: Request, response: Response) -> Response:
    """Compress an answer for whoever takes it so; there is nothing secret in it to guess at."""
    body = bytes(response.body)
    accepted = request.headers.get("accept-encoding", "").lower()
    response.headers["Vary"] = "Accept-Encoding"
    if "gzip" not in accepted or len(body) < _WORTH_IT or "content-encoding" in response.headers:
        return response
    packed = gzip.compress(body, _LEVEL)
    response.body = packed
    response.headers["Content-Encoding"] = "gzip"
    response.headers["Content-Length"] = str(len(packed))
    return response


Handled = Callable[[Request], Coroutine[Any, Any, Response]]
