"""How many connections may be open at once: as many as the kernel gives a process files for."""

import resource
from typing import Final

#: Open connections, idle ones too: all notifications that are taken at once, and others beside.
_MOST_CONNECTIONS: Final = 2560


def most_connections() -> int:
    """Have the kernel allow twice as many files; where it does not, half of these is the bound."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _MOST_CONNECTIONS
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return min(_MOST_CONNECTIONS, allowed // 2)
