"""Steps that have ended their worker before: each runs alone among its like."""

from collections.abc import Container, Iterable

from app.ports import Claim


class Suspects:
    """Knows which wait or run here: meanwhile the store leases no other (see `Schedule.claim`)."""

    def __init__(self) -> None:
        self._targets: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._targets)

    def see(self, claims: Iterable[Claim], *, at: Container[str]) -> None:
        """
        Take what was claimed.

        :param at: targets whose step runs here: such a lease ran out under a worker that lives
        """
        self._targets.update(one.target for one in claims if one.lost and one.target not in at)

    def forget(self, claims: Iterable[Claim]) -> None:
        """Take what does not wait, nor run, any more."""
        if self._targets:
            self._targets.difference_update(one.target for one in claims)
