"""All parts of one store."""

from dataclasses import dataclass

from app.ports.audit import Audit
from app.ports.control import CaseFiles, Controls, Orders
from app.ports.history import Facts, FailureWindow, History, StoreHealth
from app.ports.leadership import Leadership
from app.ports.outbox import Outbox
from app.ports.records import Inbox, Records
from app.ports.scaling import Scaling
from app.ports.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """All parts of one store."""

    inbox: Inbox
    schedule: Schedule
    records: Records
    failures: FailureWindow
    history: History
    controls: Controls
    orders: Orders
    casefiles: CaseFiles
    facts: Facts
    health: StoreHealth
    leadership: Leadership
    outbox: Outbox
    audit: Audit
    scaling: Scaling
