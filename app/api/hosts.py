"""
By which names Relevo is reached, where no token tells who asks.

Without tokens it listens on loopback only. What runs on this machine may do everything; what a
browser on it has loaded from elsewhere may do nothing. Such a page can ask us in two ways: as
itself, which the browser says (`Origin`, `Sec-Fetch-Site`); or by a name that its author has led
to our address since, so that to the browser we are his site. That name is in `Host`. So Relevo
answers to names that nobody can lead elsewhere: addresses, localhost, and the one that
RELEVO_EXTERNAL_URL gives it.
"""

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Scope_

from app.api.deps import Parts, Scope
from app.api.errors import problem

log: Final = structlog.get_logger("relevo.api")

#: What is no secret, and what a probe asks by whatever name it has been given.
_OPEN: Final = ("/-/healthy", "/-/ready")
_FILES: Final = "/static/"
_WEBHOOK: Final = "/api/v1/webhooks/alertmanager"
#: What Prometheus and Alertmanager ask, by the name of a container or of a machine.
_OF_MACHINES: Final = ("/metrics", _WEBHOOK)
#: How a container calls the machine that it runs on; nobody is given names in `.internal`.
_MACHINE: Final = ("host.docker.internal", "host.containers.internal")
_LOOPBACK: Final = ("localhost", "ip6-localhost")
_NOT_OURS: Final = (
    "asked by the name {}: it is not known to be Relevo's. Reach it by its address or as "
    "localhost, set RELEVO_EXTERNAL_URL to the name that you use, or give it tokens "
    "(RELEVO_TOKEN_*). A proxy in front must pass on the browser's name (nginx: proxy_set_header "
    "Host $host)"
)
#: What is no part of a host's name, nor of an address with a port.
_STRANGE: Final = re.compile(r"[^A-Za-z0-9_.:\[\]-]")
#: A stream: shown to nobody, and each takes a place.
_EVENTS: Final = "/api/v1/events"
_FROM_ELSEWHERE: Final = "this did not come from a page of this Relevo"


class Names:
    """What Relevo is called."""

    def __init__(self, external_url: str | None) -> None:
        """
        Remember how people reach it.

        :param external_url: RELEVO_EXTERNAL_URL, where that is set
        """
        parts = urlsplit(external_url or "")
        self._name = parts.hostname
        #: Scheme and address, as a browser writes them; empty: not known.
        self.origin = _origin(external_url or "")
        #: Where a proxy puts us; ``/`` where that is the whole site.
        self.path = parts.path.rstrip("/") or "/"

    @property
    def is_https(self) -> bool:
        """Whether people reach it by https."""
        return self.origin.startswith("https:")

    def are_own(self, host: str) -> bool:
        """Whether a `Host` is one that nobody else can lead to us."""
        name = name_of(host)
        return is_loopback(name) or name == self._name or _address(name) is not None

    def is_page(self, origin: str, host: str) -> bool:
        """Whether an `Origin` is that of our pages, reached as this `Host` or from outside."""
        said = _origin(origin)
        return said != "" and (said == self.origin or said.partition("://")[2] == host.lower())


class OwnNamesOnly:
    """Refuses what comes by a foreign name, or from a foreign page; where tokens ask, they do."""

    def __init__(self, app: ASGIApp, *, parts: Parts, names: Names) -> None:
        self._app = app
        self._parts = parts
        self._names = names

    async def __call__(self, scope: Scope_, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        said = ""
        if scope["type"] == "http" and not self._parts.tokens.are_asked_for:
            said = self._refusal(scope["method"], scope["path"], Headers(scope=scope))
        if not said:
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        asked = Scope.INGEST if path == _WEBHOOK else "name"
        self._parts.telemetry.refused_requests.labels(scope=asked, status="403").inc()
        if scope["app"].state.slowing.is_logged(f"name {asked}", self._parts.clock.now()):
            host = Headers(scope=scope).get("host", "")[:200]
            log.warning("request refused", scope=asked, status=403, path=path, host=host, why=said)
        await problem(403, said)(scope, receive, send)

    def _refusal(self, method: str, path: str, headers: Headers) -> str:
        """Say why not; empty: it may pass."""
        if path in _OPEN or path.startswith(_FILES):
            return ""
        host, origin = headers.get("host", ""), headers.get("origin")
        site = headers.get("sec-fetch-site")
        if not self._names.are_own(host):
            # A browser says where a POST comes from. What it reads of `/metrics` by such a name,
            # somebody on the same network has led there: no name of the public DNS is without dot.
            name = name_of(host)
            is_machine = "." not in name or name in _MACHINE
            if not is_machine or path not in _OF_MACHINES or origin is not None or site is not None:
                return _NOT_OURS.format(_STRANGE.sub("?", host[:100]) or "none")
        # Where the browser says both, `null` may be a page of ours that says no more.
        if origin is not None and site != "same-origin" and not self._names.is_page(origin, host):
            return _FROM_ELSEWHERE
        # A link to us may be anywhere, such as in Slack; what it leads to is shown, not handed out.
        # Not in a frame of somebody's page, where nobody has followed anything.
        is_followed = (
            method in ("GET", "HEAD")
            and path != _EVENTS
            and headers.get("sec-fetch-mode") == "navigate"
            and headers.get("sec-fetch-dest") == "document"
        )
        if site in ("cross-site", "same-site") and not is_followed:
            return _FROM_ELSEWHERE
        return ""


def name_of(host: str) -> str:
    """Take the port off a `Host`, and the brackets."""
    name, _, port = host.rpartition(":")
    return (name if port.isdecimal() else host).strip("[]").lower()


def port_of(host: str) -> str:
    """Take the port of a `Host`; empty where there is none."""
    _, colon, port = host.rpartition(":")
    return port if colon and port.isdecimal() else ""


def is_loopback(name: str) -> bool:
    """Whether a name or an address is this machine's own, wherever it is asked."""
    address = _address(name)
    if address is not None:
        return address.is_loopback
    return name in _LOOPBACK or name.endswith(".localhost")


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _origin(url: str) -> str:
    """Take scheme and address of a URL; empty for what is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    netloc = parts.netloc.rpartition("@")[2].lower()
    # Browsers leave out the port that goes without saying.
    netloc = netloc.removesuffix({"http": ":80", "https": ":443"}.get(parts.scheme, "\0"))
    return f"{parts.scheme}://{netloc}" if parts.scheme and netloc else ""
