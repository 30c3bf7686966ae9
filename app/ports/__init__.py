"""
What the controller needs of the outside, in our words, with our errors.

Adapters implement these; tests pass in working fakes. Nothing here knows Docker's,
Redis' or Alertmanager's own words.
"""

from app.ports.clock import Clock
from app.ports.control import CaseFiles, Controls, Orders
from app.ports.engine import CloneResult, ContainerEngine
from app.ports.history import Facts, FailureWindow, History, RemediationFilter, StoreHealth
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
    Schedule,
    Taken,
)
from app.ports.sources import AlertSink, AlertSource, SampleSource
from app.ports.store import Store

__all__ = [
    "AlertSink",
    "AlertSource",
    "Aside",
    "CaseFiles",
    "Claim",
    "Claimed",
    "Clock",
    "CloneResult",
    "ContainerEngine",
    "Controls",
    "Cooldown",
    "Dossier",
    "Entry",
    "Facts",
    "FailureWindow",
    "History",
    "Inbox",
    "Limits",
    "Notice",
    "Orders",
    "Records",
    "RemediationFilter",
    "Reply",
    "SampleSource",
    "Schedule",
    "Store",
    "StoreHealth",
    "Taken",
]
