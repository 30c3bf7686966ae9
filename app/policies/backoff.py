"""How long to wait before the next restart."""

from datetime import UTC, datetime, timedelta
from zlib import crc32

from app.policies.spec import Policy, Rulebook

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def due_at(target: str, needed_since: datetime, failures: int, policy: Policy) -> datetime:
    """
    Tell when the next restart is due.

    Jitter is drawn from the target's name and the moment that the wait counts from: targets that
    fall ill together do not move in step, and yet every look at the same wait, also after a
    restart of Relevo, finds the same end of it.
    """
    delay = delay_before(failures, policy)
    if policy.restart.jitter > 0:
        wait = f"{target}|{(needed_since - _EPOCH) // _MS}"
        delay += delay * policy.restart.jitter * (crc32(wait.encode()) / 2**32)
    return needed_since + delay


def delay_before(failures: int, policy: Policy) -> timedelta:
    """Tell the wait before the next restart, without jitter; the last of the list repeats."""
    delays = policy.restart.delays
    return delays[min(failures, len(delays) - 1)] if delays else timedelta(0)


def longest_wait(book: Rulebook) -> timedelta:
    """Tell the longest wait of all policies, its jitter included."""
    policies = (book.defaults, *(policy for _, policy in book.policies))
    return max(
        (
            delay * (1 + policy.restart.jitter)
            for policy in policies
            for delay in policy.restart.delays
        ),
        default=timedelta(0),
    )
