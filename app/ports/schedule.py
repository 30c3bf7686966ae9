"""When each target is looked at next, and who looks."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from app.ports.records import Claim, Claimed

#: How soon a suspect is tried that has to run alone, while another one does.
NEXT_SUSPECT: Final = timedelta(milliseconds=200)


class Schedule(Protocol):
    """When each target is looked at next."""

    async def claim(
        self,
        *,
        now: datetime,
        lease: timedelta,
        limit: int,
        has_suspect: bool = False,
        here: Collection[str] = (),
    ) -> Claimed:
        """
        Lease up to `limit` due targets, the longest due first.

        A target whose lease ran out is due again. One that is leased is nobody else's. One that
        was lost is a suspect, and leased alone among its like: others wait for `NEXT_SUSPECT`.

        :param has_suspect: one waits or runs in this worker: no other is leased
        :param here: targets whose step runs in this worker, 64 or so: where such a lease ran out,
            its worker lives, and it is no suspect
        """
        ...

    async def renew(
        self, claims: Sequence[Claim], *, now: datetime, lease: timedelta
    ) -> tuple[Claim, ...]:
        """
        Hold steps until ``now + lease`` at least.

        :return: those that are ours no longer: another worker has them, or they came to an end
        """
        ...

    async def requeue(self, claim: Claim, *, due: datetime, forget_lost: bool = True) -> None:
        """
        Give a claim back although nothing was noted; one that is another's by now stays there.

        :param forget_lost: leases that ran out before are no longer counted
        """
        ...

    async def release(
        self, claims: Sequence[Claim], *, due: datetime, forget_lost: bool = False
    ) -> None:
        """
        Give back many claims, most of whose steps have not begun.

        :param forget_lost: as with `requeue`; where none has begun, what is counted stays so
        """
        ...

    async def overdue(self, *, now: datetime) -> timedelta:
        """Tell how long the longest due target has been waiting for a claim; zero for none."""
        ...

    async def nudge(self, targets: Sequence[str], *, now: datetime) -> None:
        """Make targets due now; one that is leased falls due again after its step."""
        ...
