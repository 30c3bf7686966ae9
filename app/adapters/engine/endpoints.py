"""
Every endpoint of the engine that Relevo uses: pinned, so that another one is a decision.

What is not here is never asked for. Tests hold every request that a recording engine has seen
against it, whatever was asked of the port or of the gate.
"""

import re
from typing import Final

_CONTAINER: Final = "/containers/[0-9a-f]{64}"
_NETWORK: Final = r"/networks/[A-Za-z0-9][A-Za-z0-9_.-]{0,254}"
_SERVICE: Final = "/services/[0-9a-z]{25}"

#: Method and path, without version and query. First what only looks …
LOOKS: Final = (
    ("GET", "/version"),
    ("GET", "/info"),
    ("GET", "/events"),
    ("GET", "/containers/json"),
    ("GET", f"{_CONTAINER}/(?:json|stats|logs|top|changes)"),
    ("HEAD", f"{_CONTAINER}/archive"),
    ("GET", "/images/sha256:[0-9a-f]{64}/json"),
    ("GET", _NETWORK),
    ("GET", "/services"),
    ("GET", _SERVICE),
    ("GET", "/tasks"),
)
#: … then what changes something.
ACTS: Final = (
    ("POST", "/containers/create"),
    ("POST", f"{_CONTAINER}/(?:start|stop|restart)"),
    ("DELETE", _CONTAINER),
    ("POST", f"{_NETWORK}/(?:connect|disconnect)"),
    ("POST", f"{_SERVICE}/update"),
)

_VERSION: Final = re.compile(r"/v[0-9]{1,4}\.[0-9]{1,4}(?=/)")


def is_listed(method: str, path: str) -> bool:
    """Tell whether a request is one of ours. :param path: as it was sent, the query not included"""
    bare = _VERSION.sub("", path, count=1) if _VERSION.match(path) else path
    return any(
        method == known and re.fullmatch(pattern, bare) is not None
        for known, pattern in (*LOOKS, *ACTS)
    )
