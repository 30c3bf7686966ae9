"""What happened, line by line: a rolling hash of all of it, and the last lines in words."""

import hashlib
from collections import deque
from collections.abc import Callable

_KEPT = 400
#: Hashing many lines at once costs less than one by one; the hash is the same.
_HASHED_AT = 500


class Trace:
    """Hashes every line; keeps the last ones, or all that are about something."""

    def __init__(self, now: Callable[[], float], *, tell: Callable[[str], None] | None) -> None:
        self._now = now
        self._hash = hashlib.blake2b(digest_size=16)
        self._last: deque[str] = deque(maxlen=_KEPT)
        self._tell = tell
        #: Lines that are not in the hash yet.
        self._fresh: list[str] = []
        self._at, self._written = -1.0, ""
        self.lines = 0

    def add(self, who: str, what: str, detail: object = "") -> None:
        """Write one line."""
        now = self._now()
        if now != self._at:
            self._at, self._written = now, f"{now:.3f}"
        line = f"{self._written} {who} {what} {detail}"
        self._fresh.append(line)
        if len(self._fresh) >= _HASHED_AT:
            self._absorb()
        self._last.append(line)
        self.lines += 1
        if self._tell is not None:
            self._tell(line)

    def last(self, number: int = 50) -> list[str]:
        """The last lines."""
        return list(self._last)[-number:]

    def _absorb(self) -> None:
        self._hash.update("".join(self._fresh).encode())
        self._fresh.clear()

    @property
    def digest(self) -> str:
        """Of all lines so far."""
        self._absorb()
        return self._hash.hexdigest()
