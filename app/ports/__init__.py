"""
What the controller needs of the outside, in our words, with our errors.

Adapters implement these; tests pass in working fakes. Nothing here knows Docker's,
Redis' or Alertmanager's own words.
"""

from app.ports.audit import Audit, AuditCheck
from app.ports.clock import Clock, SettableClock
from app.ports.control import CaseFiles, Controls, Orders
from app.ports.engine import NO_END, CloneResult, ContainerEngine, Deadline
from app.ports.history import (
    Facts,
    FailureWindow,
    Glance,
    History,
    RemediationFilter,
    StoreHealth,
)
from app.ports.leadership import (
    Candidate,
    Keepsake,
    Leadership,
    Memento,
    Restored,
    Standing,
)
from app.ports.outbox import MessageSink, Outbox, Pending, Waiting
from app.ports.records import (
    Aside,
    Claim,
    Claimed,
    Cooldown,
    Dossier,
    Entry,
    Inbox,
    Limits,
    Notice,
    Records,
    Reply,
    Taken,
)
from app.ports.scaling import Scaling
from app.ports.schedule import NEXT_SUSPECT, Schedule
from app.ports.services import Services
from app.ports.sources import AlertSink, AlertSource, SampleSource, UsageSource
from app.ports.store import Store

__all__ = [
    "NEXT_SUSPECT",
    "NO_END",
    "AlertSink",
    "AlertSource",
    "Aside",
    "Audit",
    "AuditCheck",
    "Candidate",
    "CaseFiles",
    "Claim",
    "Claimed",
    "Clock",
    "CloneResult",
    "ContainerEngine",
    "Controls",
    "Cooldown",
    "Deadline",
    "Dossier",
    "Entry",
    "Facts",
    "FailureWindow",
    "Glance",
    "History",
    "Inbox",
    "Keepsake",
    "Leadership",
    "Limits",
    "Memento",
    "MessageSink",
    "Notice",
    "Orders",
    "Outbox",
    "Pending",
    "Records",
    "RemediationFilter",
    "Reply",
    "Restored",
    "SampleSource",
    "Scaling",
    "Schedule",
    "Services",
    "SettableClock",
    "Standing",
    "Store",
    "StoreHealth",
    "Taken",
    "UsageSource",
    "Waiting",
]
