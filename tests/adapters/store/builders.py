"""Values for the store's tests: nouns with overrides, times in seconds after `START`."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.activity import Activity, ActivityKind, ActivityStatus, Replacement
from app.domain.alert import Alert, AlertStatus
from app.domain.audit import AuditEntry, AuditKind
from app.domain.casefile import CaseFile, HealthProbe
from app.domain.control import Halt, Order, OrderKind
from app.domain.decision import Outcome, Reason, Verdict
from app.domain.message import Annotation, Message, MessageKind
from app.domain.remediation import Action, Attempt, LogEntry, Remediation, State
from app.ports import Aside, Claim, Dossier, Entry, Limits, Notice, Reply, Store

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
WINDOW = timedelta(hours=1)
WEB = "host:web"
GROUP = "host:web-group"
_MS = timedelta(milliseconds=1)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def just_before(moment: datetime) -> datetime:
    return moment - _MS


def alert(fingerprint: str = "f1", *, starts: float = 0, resolved: bool = False) -> Alert:
    return Alert(
        fingerprint=fingerprint,
        status=AlertStatus.RESOLVED if resolved else AlertStatus.FIRING,
        labels={"alertname": "ContainerCpuHigh", "name": "web"},
        alert_annotations={"summary": "çpu | 97 %", "relevo_settle": "240"},
        starts_at=at(starts),
        ends_at=at(starts + 60) if resolved else None,
    )


def notice(
    fingerprint: str = "f1",
    *,
    target: str = WEB,
    starts: float = 0,
    resolved: bool = False,
    listed: bool = False,
    due: datetime | None = None,
) -> Notice:
    return Notice(
        target=target,
        alert=alert(fingerprint, starts=starts, resolved=resolved),
        listed=listed,
        due=due,
    )


def attempt(number: int = 1, **overrides: Any) -> Attempt:
    values: dict[str, Any] = {
        "id": f"r1:{number}",
        "action": Action.RESTART,
        "reason": Reason.FIRST_NEED,
        "container_id": "c" * 64,
        "started_before": "2026-03-01T11:00:00.123456789Z",
        "intent_at": at(60),
    }
    return Attempt(**(values | overrides))


def remediation(remediation_id: str = "r1", *, opened: float = 0, **overrides: Any) -> Remediation:
    values: dict[str, Any] = {
        "id": remediation_id,
        "target": WEB,
        "group": GROUP,
        "container": "web",
        "incarnation": "sha256:1",
        "policy": "default",
        "state": State.WAITING,
        "reason": Reason.FIRST_NEED,
        "opened_at": at(opened) + timedelta(microseconds=7),
        "alerts": ("ContainerCpuHigh",),
        "needed_since": at(opened),
        "planned_started_at": "2026-03-01T11:00:00.123456789Z",
        "attempts": (attempt(),),
        "log": (LogEntry(at=at(opened), decision="wait", reason=Reason.FIRST_NEED),),
    }
    return Remediation(**(values | overrides))


def closed(remediation_id: str = "r1", *, opened: float = 0, **overrides: Any) -> Remediation:
    over = {
        "state": State.CLOSED,
        "reason": Reason.SETTLED,
        "outcome": Outcome.RECOVERED,
        "closed_at": at(opened + 600),
    }
    return remediation(remediation_id, opened=opened, **(over | overrides))


def activity(
    activity_id: str = "a1", *, started: float = 0, group: str = GROUP, **overrides: Any
) -> Activity:
    values: dict[str, Any] = {
        "id": activity_id,
        "group": group,
        "kind": ActivityKind.SCALE_OUT,
        "cause": "three failed restarts within an hour",
        "status": ActivityStatus.IN_PROGRESS,
        "container": None,
        "started_at": at(started),
    }
    return Activity(**(values | overrides))


def leaving(activity_id: str = "in1", **overrides: Any) -> Activity:
    """A scale-in that has begun."""
    values: dict[str, Any] = {
        "kind": ActivityKind.SCALE_IN,
        "cause": "quiet since 11:30 | läuft",
        "container": "web_new",
        "container_id": "d" * 64,
        "target": WEB,
        "reason": Reason.QUIET,
    }
    return activity(activity_id, **(values | overrides))


def left(activity_id: str = "in1", *, ended: float = 30, **overrides: Any) -> Activity:
    """The same, ended."""
    over = {"status": ActivityStatus.SUCCESSFUL, "finished_at": at(ended)}
    return leaving(activity_id, **(over | overrides))


def limits(attempt_id: str = "r1:1", **overrides: Any) -> Limits:
    """Bounds that nobody reaches, where not overridden."""
    values: dict[str, Any] = {
        "attempt_id": attempt_id,
        "concurrent": 1000,
        "spacing": timedelta(0),
        "waiting_since": None,
        "forget_after": timedelta(seconds=45),
        "burst": 1000,
        "burst_span": timedelta(minutes=6),
        "per_hour": 1000,
        "hour": timedelta(hours=1),
        "group": None,
        "out_of_group": 1,
        "out_for": timedelta(minutes=10),
    }
    return Limits(**(values | overrides))


def order(number: int = 1, **overrides: Any) -> Order:
    values: dict[str, Any] = {
        "id": f"r1:{number}",
        "kind": OrderKind.RESTART,
        "remediation": "r1",
        "reason": "läuft heiß",
        "author": "ops",
        "at": at(number),
    }
    return Order(**(values | overrides))


def reply(key: str = "k1", answer: str = '{"attempt": "r1:1"}') -> Reply:
    return Reply(key=key, digest="sha256:1", answer=answer)


def halt(*, since: float = 0, until: float | None = None) -> Halt:
    return Halt(
        reason="Wartung | Strom",
        author="ops",
        since=at(since),
        until=None if until is None else at(until),
    )


def casefile(**overrides: Any) -> CaseFile:
    values: dict[str, Any] = {
        "container_id": "c" * 64,
        "container": "web",
        "taken_at": at(60),
        "state": "running",
        "started_at": "2026-03-01T11:00:00.123456789Z",
        "exit_code": 0,
        "oom_killed": False,
        "restart_count": 2,
        "logs": ("first | line", "zweite Zeile: ü"),
        "process_titles": ("PID", "CMD"),
        "processes": (("1", "web --serve"), ("7", "sh")),
        "stats": {"memory_bytes": 1e9, "cpu_seconds": 12.25},
        "health_log": (HealthProbe(started_at="2026-03-01T11:59:00Z", exit_code=1, output="no"),),
        "missing": ("the engine gave no processes in time.",),
        "is_cut": True,
    }
    return CaseFile(**(values | overrides))


def aside(number: int = 0, *, seconds: float = 0) -> Aside:
    return Aside(
        at=at(seconds), reason="set_aside", detail=f"no. {number}", excerpt='{"labels": 1}'
    )


def message(number: int = 1, **overrides: Any) -> Message:
    values: dict[str, Any] = {
        "kind": MessageKind.ANNOTATION,
        "id": f"attempt:r1.{number}",
        "payload": Annotation(
            starts_at=at(60),
            ends_at=None,
            text=f"<b>restart</b> web | läuft heiß {number}",
            tags=("relevo", "action:restart", f"attempt:r1.{number}"),
        ),
    }
    return Message(**(values | overrides))


def outcome(number: int = 1) -> AuditEntry:
    return AuditEntry(
        at=at(number),
        kind=AuditKind.OUTCOME,
        target=WEB,
        attempt=f"r1:{number}",
        verdict=Verdict.RECOVERED,
        detail="quiet | läuft\nwieder",
    )


async def claimed(store: Store, seconds: float = 0, *, target: str = WEB) -> Claim:
    """Let an alert of a target arrive and its step be claimed."""
    await store.inbox.accept([notice(target=target, listed=True)], (), now=at(seconds))
    return await claim_of(store, seconds, target=target)


async def claim_of(store: Store, seconds: float, *, target: str = WEB) -> Claim:
    """Claim what is due; `target` must be all of it."""
    (claim,) = (await store.schedule.claim(now=at(seconds), lease=LEASE, limit=10)).claims
    assert claim.target == target
    return claim


async def due(store: Store, seconds: float, *, limit: int = 100) -> list[str]:
    """Claim all that is due, and name it."""
    found = await store.schedule.claim(now=at(seconds), lease=LEASE, limit=limit)
    return [claim.target for claim in found.claims]


async def read(store: Store, seconds: float, *, target: str = WEB) -> Dossier:
    """Read what the store knows of a target, which is of `GROUP`."""
    return await store.records.read(
        target, group=GROUP, now=at(seconds), window=WINDOW, brake_window=WINDOW
    )


async def step(store: Store, seconds: float, entry: Entry, *, target: str = WEB) -> None:
    """Let news arrive, and one step leave `entry` behind."""
    claim = await claimed(store, seconds, target=target)
    await store.records.note(claim, entry, now=at(seconds))


async def failed(store: Store, attempt_id: str, seconds: float, *, target: str = WEB) -> None:
    """Let an attempt be a failed restart."""
    entry = Entry(remediation=None, due=None, failed_attempt=attempt_id, window=WINDOW)
    await step(store, seconds, entry, target=target)


def off_duty(activity_id: str = "off1", *, ended: float = 30, **overrides: Any) -> Activity:
    """A source that has been isolated."""
    values: dict[str, Any] = {
        "kind": ActivityKind.ISOLATE,
        "container": "web",
        "container_id": "e" * 64,
        "reason": Reason.REPLACED,
        "replacement": Replacement(
            clone_id="d" * 64, started_at="start-1", networks='{"net":{"Aliases":["läuft"]}}'
        ),
    }
    return left(activity_id, ended=ended, **(values | overrides))


def back_on_duty(activity_id: str = "back1", **overrides: Any) -> Activity:
    """The same source, brought back."""
    return off_duty(activity_id, **({"kind": ActivityKind.BRING_BACK} | overrides))
