"""What happened, line by line: a rolling hash of all of it, and the last lines in words."""

import hashlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

_KEPT = 400
#: Hashing many lines at once costs less than one by one; the hash is the same.
_HASHED_AT = 500


class Clock(Protocol):
    """Whoever knows the time, in seconds."""

    now: float


class Trace:
    """Hashes every line; keeps the last ones, or all that are about something."""

    def __init__(self, clock: Clock, *, tell: Callable[[str], None] | None) -> None:
        self._clock = clock
        self._hash = hashlib.blake2b(digest_size=16)
        self._last: deque[str] = deque(maxlen=_KEPT)
        self._tell = tell
        #: Lines that are not in the hash yet.
        self._fresh: list[str] = []
        self._absorbed = 0
        self._at, self._written = -1.0, ""

    def add(self, who: str, what: str, detail: object = "") -> None:
        """Write one line."""
        now = self._clock.now
        if now != self._at:
            self._at, self._written = now, f"{now:.3f}"
            if len(self._fresh) >= _HASHED_AT:
                self._absorb()
        line = f"{self._written} {who} {what} {detail}"
        self._fresh.append(line)
        if self._tell is not None:
            self._tell(line)

    @property
    def lines(self) -> int:
        """How many there are."""
        return self._absorbed + len(self._fresh)

    def last(self, number: int = 50) -> list[str]:
        """The last lines."""
        return [*self._last, *self._fresh][-number:]

    def _absorb(self) -> None:
        self._hash.update("".join(self._fresh).encode())
        self._last.extend(self._fresh)
        self._absorbed += len(self._fresh)
        self._fresh.clear()

    @property
    def digest(self) -> str:
        """Of all lines so far."""
        self._absorb()
        return self._hash.hexdigest()
