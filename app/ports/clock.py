"""The one source of "now"."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The one source of "now". Read it once per step, then pass the value on."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...
