"""Where this process runs, and whom its settings lead to: none of these is ever acted on."""

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from app.policies.protect import Ourselves

_ID = re.compile(r"[0-9a-f]{64}")
#: cgroup v1 names the container in its paths; v2 shows only the root of its own namespace, but
#: the files that Docker mounts into every container still come from a directory of its name.
_TELLING = (Path("/proc/self/cgroup"), Path("/proc/self/mountinfo"))
_MOUNTED = re.compile(r"/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf)")


def ourselves(urls: Iterable[str]) -> Ourselves:
    """
    Tell what must not be touched for Relevo to go on.

    :param urls: of the store, of Prometheus, Alertmanager, Grafana and the engine
    """
    hosts = {urlsplit(url).hostname for url in urls if "://" in url}
    return Ourselves(
        container_id=own_container_id(*(_text(path) for path in _TELLING)),
        hosts=frozenset(host for host in hosts if host),
    )


def own_container_id(cgroup: str, mountinfo: str) -> str | None:
    """Find the id of the container that we run in; None outside of one."""
    mounted = _MOUNTED.search(mountinfo)
    if mounted is not None:
        return mounted[1]
    found = _ID.search(cgroup)
    return found[0] if found is not None else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
