"""What goes over the containers' networks, and what they work: the same for all who measure."""

from binascii import crc32
from typing import Final

#: A container is busy, or quiet, for so long at a time.
_PHASE_S: Final = 8.0
#: Of ten phases so many are busy.
_BUSY_OF_TEN: Final = 6
_BUSY_BYTES: Final = 20_000.0
#: Somebody keeps a connection open.
_QUIET_BYTES: Final = 60.0
_CORES: Final = 0.4
#: One clone in so many gets nothing to do.
_LEFT_OUT: Final = 8


class Traffic:
    """See the module. Nothing is drawn: a measurement more changes nothing."""

    def __init__(self) -> None:
        #: Container -> phases that were added up, and their bytes.
        self._sums: dict[str, tuple[int, float]] = {}

    def network_bytes(self, container_id: str, now: float) -> int:
        """Tell what went over a container's networks until now."""
        phase = int(now // _PHASE_S)
        number, total = self._sums.get(container_id, (0, 0.0))
        if number > phase:
            number, total = 0, 0.0
        while number < phase:
            total += _PHASE_S * self._rate(container_id, number)
            number += 1
        self._sums[container_id] = (number, total)
        return int(total + (now - phase * _PHASE_S) * self._rate(container_id, phase))

    def cpu_seconds(self, container_id: str, now: float) -> float:
        """Tell what a container has worked until now, in seconds of one core."""
        return now * (0.001 if is_left_out(container_id) else _CORES)

    def was_quiet(self, container_id: str, since: float, now: float) -> bool:
        """Tell whether there was a moment without traffic, of about a second."""
        phase = int(since // _PHASE_S)
        while phase * _PHASE_S < now:
            begins, ends = phase * _PHASE_S, (phase + 1) * _PHASE_S
            if not self.is_busy(container_id, phase) and min(ends, now) - max(begins, since) > 0.9:
                return True
            phase += 1
        return False

    def _rate(self, container_id: str, phase: int) -> float:
        return _BUSY_BYTES if self.is_busy(container_id, phase) else _QUIET_BYTES

    @staticmethod
    def is_busy(container_id: str, phase: int) -> bool:
        """Tell whether somebody waits for answers of it."""
        drawn = crc32(f"{container_id}/{phase}".encode()) % 10
        return drawn < _BUSY_OF_TEN and not is_left_out(container_id)


def is_left_out(container_id: str) -> bool:
    """Tell whether nobody sends anything to a container: a clone that nothing reaches."""
    # The originals' ids are small numbers, and all of them have work.
    return int(container_id, 16) > 1000 and crc32(container_id.encode()) % _LEFT_OUT == 0
