"""The store for operators: pause, holds, the brake, orders, case files."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from app.domain.audit import AuditEntry
from app.domain.casefile import CaseFile
from app.domain.control import Brake, Halt, Order
from app.ports.records import Reply


class Controls(Protocol):
    """What stops everything, or one target; it survives restarts."""

    async def pause(self) -> Halt | None:
        """Read the pause, an expired one included."""
        ...

    async def set_pause(self, halt: Halt | None, *, told: AuditEntry | None = None) -> None:
        """Pause everything, or end the pause; with a line for the audit."""
        ...

    async def holds(self) -> Mapping[str, Halt]:
        """Read all holds by target, expired ones included."""
        ...

    async def set_hold(
        self, target: str, halt: Halt | None, *, told: AuditEntry | None = None
    ) -> None:
        """Hold one target, or end its hold; with a line for the audit."""
        ...

    async def brake(self) -> Brake:
        """Read the brake."""
        ...

    async def set_brake(self, brake: Brake) -> None:
        """Engage or release it."""
        ...


class Orders(Protocol):
    """What operators want done to targets, and what they were told."""

    async def place(
        self, target: str, order: Order, *, now: datetime, reply: Reply | None = None
    ) -> Order | Reply | None:
        """
        Keep an order and make its target due now; its reply with it, in the same write.

        None: it is placed. A Reply: the same key was used before, with this answer, and nothing
        was placed. An Order: that one is waiting for the target's next step already.
        """
        ...

    async def pending(self, target: str) -> Order | None:
        """Read the order that no step has answered yet."""
        ...

    async def replied(self, key: str) -> Reply | None:
        """Find what a request under this key was answered in the last 24 h."""
        ...

    async def reply(self, reply: Reply) -> Reply | None:
        """Keep a reply for 24 h; where the key is taken, the reply that was there first."""
        ...


class CaseFiles(Protocol):
    """Evidence from before each action, for as long as its remediation is kept."""

    async def keep(self, attempt_id: str, file: CaseFile) -> None:
        """Keep the case file of an attempt."""
        ...

    async def of(self, attempt_id: str) -> CaseFile | None:
        """Read the case file of an attempt; None where none was taken."""
        ...
