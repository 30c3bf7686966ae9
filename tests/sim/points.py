"""The named points at which a controller process may be killed, or fall asleep."""

from typing import Final

#: Those at which a clone is leaving come after all others.
#: ``<``: before the call leaves the process; ``>``: its answer has come, and nobody has seen it.
#: Those of the engine in between happen while the daemon is at it.
LEAVES: Final = (
    "scaling.under_way>",
    "scaling.begin<",
    "scaling.begin>",
    "engine.used>",
    "engine.disconnect.send<",
    "engine.disconnect.send>",
    "engine.stop.send>",
    "engine.remove.send<",
    "engine.remove.send>",
    "scaling.end<",
    "scaling.end>",
)
KILLS: Final = (
    "webhook<",
    "inbox.accept<",
    "inbox.accept>",
    "webhook>",
    "schedule.claim<",
    "schedule.claim>",
    "records.read<",
    "records.read>",
    "engine.inspect<",
    "engine.inspect>",
    "records.intend<",
    "records.intend>",
    "engine.evidence>",
    "casefiles.keep>",
    "controls.pause>",
    "controls.holds>",
    "engine.restart.send<",
    "engine.restart.stopping",
    "engine.restart.started",
    "engine.restart.send>",
    "engine.start.send<",
    "engine.start.started",
    "engine.create.send<",
    "engine.create.send>",
    "engine.connect>",
    "engine.clone_start.send<",
    "engine.clone_start.started",
    "engine.clone_start.send>",
    "records.note<",
    "records.note>",
    "schedule.requeue<",
    "schedule.requeue>",
    "schedule.renew>",
    "leadership.lead<",
    "leadership.lead>",
    "leadership.found<",
    "leadership.found>",
    "leadership.resign<",
    "memento.save<",
    "memento.save>",
    "alertmanager.listing>",
    "alertmanager.post<",
    "alertmanager.post>",
    "orders.place<",
    "orders.place>",
    "history.remediations>",
    *LEAVES,
)


def profile_of(point: str) -> str:
    """Name the profile that passes a point often."""
    return "tides" if point in LEAVES else "points"
