"""One container as a row: what it does, why, what comes next, and whether relief is possible."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.controller.board import Fleet, Line
from app.controller.desk import TargetView
from app.controller.overview import StatusView
from app.domain.control import Halt
from app.domain.decision import Reason
from app.domain.duration import format_duration
from app.domain.fidelity import FidelityReport
from app.domain.remediation import Remediation, State
from app.policies.announce_words import ENDINGS
from app.policies.match import policy_named
from app.policies.plain_words import STATES, fix, words
from app.policies.spec import Mode, Rulebook
from app.web.strip import UNKNOWN, Strip, strip

#: The ill first: what needs a person, what is about to be touched, what is being watched.
_RANK: Final[Mapping[str, int]] = {
    State.QUARANTINED: 0,
    State.ACTING: 1,
    State.WAITING: 2,
    State.HELD: 3,
    State.VERIFYING: 4,
    State.SETTLING: 5,
    State.COOLDOWN: 6,
    UNKNOWN: 7,
    State.OK: 8,
}

#: Goes on "can, by ": how traffic reaches a clone.
TRAFFIC: Final[Mapping[str, str]] = {
    "alias": "its network alias, for whoever looks the name up anew",
    "labels": "labels that a balancer reads by itself",
    "host_port": "a port of the host, which somebody has to be told of",
    "none": "nothing that comes in: only what it fetches itself is shared",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """Whether another instance could be made."""

    #: None: nobody can say now.
    can: bool | None
    #: A few words, and more of them.
    brief: str
    said: str
    #: What a person can do about it; empty: nothing, or nothing is needed.
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """See the module."""

    target: str
    #: Without the engine's name: that stands above.
    slot: str
    #: Where it is not the slot's.
    container: str | None
    state: str
    #: The state in words, and the reason's word and words; None where there is none.
    state_said: str
    reason: str | None
    why: str | None
    #: What is planned, and when; with what stands in its way at that time, if anything.
    next_action: str | None
    next_at: datetime | None
    next_said: str
    blocked: str | None
    #: As "2 of 3"; None where it is not known.
    failures: int | None
    max_failed: int | None
    window: str
    instances: int | None
    max_instances: int | None
    desired: int | None
    relief: Relief
    hold: Halt | None
    observes: bool
    rank: int
    strip: Strip
    remediation: str | None


def rows(fleet: Fleet, book: Rulebook, *, prefix: str) -> tuple[Row, ...]:
    """Make all rows, ill ones first, what is due soonest first among these."""
    told: dict[str, list[Remediation]] = {}
    for story in fleet.past.stories:
        told.setdefault(story.target, []).append(story)
    made = [_row(line, fleet, book, told.get(line.target, ()), prefix) for line in fleet.lines]
    return tuple(sorted(made, key=_order))


def relief(view: TargetView | None, *, now: datetime, prefix: str) -> Relief:
    """Tell whether another instance could be made, or why not and what would change it."""
    if view is None:
        return Relief(can=None, brief="not known", said="store or engine does not answer")
    report, count = view.readiness, view.headcount
    if report is None:
        return Relief(can=None, brief="not known", said="the engine cannot say now")
    if report.is_refused:
        return _refused(report, prefix)
    if count.instances >= view.max_instances:
        return Relief(
            can=False,
            brief="at its maximum",
            said=f"there are {count.instances} instances of at most {view.max_instances}",
            fix=fix("at_max", prefix=prefix),
        )
    said = f"traffic reaches another instance by {TRAFFIC.get(report.traffic, report.traffic)}"
    if view.cooling_until is not None and view.cooling_until > now:
        left = format_duration(timedelta(seconds=round((view.cooling_until - now).total_seconds())))
        return Relief(can=True, brief=f"after its cooldown, {left}", said=said)
    return Relief(can=True, brief=f"by {report.traffic.replace('_', ' ')}", said=said)


def hold_of(line: Line, status: StatusView) -> Halt | None:
    """Find a line's hold, also where no more than that is known of it."""
    return line.view.hold if line.view is not None else status.holds.get(line.target)


def in_the_way(fleet_pause: Halt | None, view: TargetView | None, hold: Halt | None) -> str | None:
    """Say what keeps a planned action from being taken, of what people have said."""
    if hold is not None:
        return f"held by {hold.author}"
    if fleet_pause is not None:
        return "Relevo is paused"
    if view is not None and view.mode is Mode.OBSERVE:
        return "only observed: nothing is done"
    return None


def _refused(report: FidelityReport, prefix: str) -> Relief:
    first = report.refusals[0]
    word = first.reason or ""
    ended = ENDINGS.get(word)
    why = ended.why.rpartition(": ")[2] if ended is not None else first.detail
    more = len(report.refusals) - 1
    return Relief(
        can=False,
        brief=word.replace("_", " ") or "refused",
        said=why + (f", and {more} more" if more else ""),
        fix=ended.fix.replace("{prefix}", prefix) if ended is not None else "",
    )


def _row(
    line: Line, fleet: Fleet, book: Rulebook, stories: Iterable[Remediation], prefix: str
) -> Row:
    view, record = line.view, line.remediation
    slot = line.target.partition(":")[2]
    state: str = record.state if record is not None else State.OK
    if view is None and record is None:
        state = UNKNOWN
    policy = policy_named(book, view.policy) if view is not None else None
    hold = hold_of(line, fleet.status)
    planned = record.next_action if record is not None else None
    reason = record.reason if record is not None else None
    return Row(
        target=line.target,
        slot=slot,
        container=line.container if line.container != slot else None,
        state=state,
        state_said=STATES.get(state, "store or engine does not answer: what it does is not known"),
        reason=reason,
        why=words(reason) if reason is not None else None,
        next_action=planned,
        next_at=record.next_at if record is not None and planned is not None else None,
        next_said=_next(state, reason, planned),
        blocked=in_the_way(fleet.status.pause, view, hold) if planned is not None else None,
        failures=view.failures if view is not None else None,
        max_failed=policy.restart.max_failed if policy is not None else None,
        window=format_duration(policy.restart.window) if policy is not None else "",
        instances=view.headcount.instances if view is not None else None,
        max_instances=view.max_instances if view is not None else None,
        desired=view.headcount.desired if view is not None else None,
        relief=relief(view, now=fleet.now, prefix=prefix),
        hold=hold,
        observes=view is not None and view.mode is Mode.OBSERVE,
        rank=_RANK.get(state, 7) if hold is None or state != State.OK else _RANK[State.HELD],
        strip=strip(stories, now=fleet.now, born=line.born, since=fleet.past.since),
        remediation=record.id if record is not None else None,
    )


def _next(state: str, reason: str | None, planned: str | None) -> str:
    """Say what comes next, where it is no action with a time."""
    if planned is not None:
        return str(planned).replace("_", " ")
    match reason:
        case Reason.HOLD:
            return "nothing while it is held"
        case Reason.PAUSE:
            return "nothing until Relevo is resumed"
        case Reason.OBSERVE:
            return "nothing: it is only watched"
        case _:
            pass
    match state:
        case State.OK:
            return ""
        case "unknown":
            return "not known"
        case State.QUARANTINED:
            return "nothing, until its alerts are gone or a person releases it"
        case State.VERIFYING | State.SETTLING | State.COOLDOWN:
            return "its verdict"
        case State.ACTING:
            return "its outcome"
        case _:
            return "looked at again in some seconds"


def _order(row: Row) -> tuple[int, float, str]:
    return row.rank, row.next_at.timestamp() if row.next_at is not None else float("inf"), row.slot
