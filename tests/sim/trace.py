"""What happened, line by line: a rolling hash of all of it, and the last lines in words."""

import hashlib
from collections import deque
from collections.abc import Callable

_KEPT = 400


class Trace:
    """Hashes every line; keeps the last ones, or all that are about something."""

    def __init__(self, now: Callable[[], float], *, tell: Callable[[str], None] | None) -> None:
        self._now = now
        self._hash = hashlib.blake2b(digest_size=16)
        self._last: deque[str] = deque(maxlen=_KEPT)
        self._tell = tell
        self.lines = 0

    def add(self, who: str, what: str, detail: object = "") -> None:
        """Write one line."""
        line = f"{self._now():.3f} {who} {what} {detail}"
        self._hash.update(line.encode())
        self._last.append(line)
        self.lines += 1
        if self._tell is not None:
            self._tell(line)

    def last(self, number: int = 50) -> list[str]:
        """The last lines."""
        return list(self._last)[-number:]

    @property
    def digest(self) -> str:
        """Of all lines so far."""
        return self._hash.hexdigest()
