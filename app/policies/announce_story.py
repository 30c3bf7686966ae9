"""
The first and the last word about a story: what Relevo is about to do, and how it ended.

RelevoAtWork stands beside the symptom from the first notice on, so that the first message says what
comes next. Until the story ends one alert of ours is always there (this one, RelevoScaledOut, then
RelevoEscalated): a symptom that goes and comes back with each restart is no news while it is.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote

from app.domain.decision import Action, Outcome, Reason
from app.domain.duration import format_duration
from app.domain.remediation import Remediation, State
from app.policies import announce_words as words
from app.policies.announce_facts import Announcement, NewsView, Subject, about

_DOING: Final[Mapping[Action, str]] = {
    Action.RESTART: "restarts {name}",
    Action.START: "starts {name}",
    Action.SCALE_OUT: "starts one more instance of {name}",
}

#: How a story ended: the headline, after the container's name, and what it rests on.
_ENDS: Final[Mapping[Outcome, tuple[str, str]]] = {
    Outcome.RECOVERED: (
        "is well again: a restart has helped",
        "Its alerts are gone and have stayed away.",
    ),
    Outcome.RELIEVED: (
        "is relieved: one more instance has helped",
        "The alerts of its group are gone and have stayed away.",
    ),
    Outcome.CANCELLED: ("is left alone: its alerts ended", "Nothing more was needed."),
    Outcome.VANISHED: (
        "is gone, or its alerts are",
        "Nobody said that they are resolved: the container or its alerts are no longer there.",
    ),
    Outcome.SUPERSEDED: (
        "was replaced by a new version",
        "A new image or configuration begins a new story.",
    ),
    Outcome.ESCALATED: (
        "is well again, after Relevo had given up",
        "Its alerts are gone and have stayed away.",
    ),
    Outcome.RELEASED: ("was released by a person", "Relevo looks after it again."),
}
_BY_ITSELF: Final = (
    "is well again, by itself",
    "Its alerts ended before anything was done to it.",
)


def at_work(view: NewsView, records: list[Remediation], *, now: datetime) -> Iterator[Announcement]:
    """List the stories of which nothing else is told yet."""
    for record in records:
        if record.scaled_out_at is not None or record.state in (State.QUARANTINED, State.CLOSED):
            continue
        subject = view.subjects[record.target]
        name = subject.container
        yield about(
            view,
            "RelevoAtWork",
            record.target,
            subject,
            page=_page(record),
            starts_at=record.opened_at,
            severity="info",
            summary=f"Relevo looks after {name}",
            description=(
                f"{name} on {view.engine} has needed help since "
                f"{words.moment(record.opened_at, now=now)}{words.alerts(record.alerts)}."
            ),
            relevo_did=words.did(record.attempts, now=now) if record.attempts else None,
            relevo_next=words.paused(view.pause, now=now)
            or words.called_off(record.called_off)
            or _next(record, subject, now=now),
        )


def over(view: NewsView, *, now: datetime) -> Iterator[Announcement]:
    """
    List the stories that ended a moment ago.

    Not of a target that is ill again; and not of one that was scaled out and then given up: three
    messages have been sent of that one, and a person is at work on it.
    """
    busy = {record.target for record in view.remediations}
    latest: dict[str, Remediation] = {}
    for record in view.closed:
        at, before = record.closed_at, latest.get(record.target)
        if at is None or not at <= now < at + view.over_for or record.target in busy:
            continue
        if before is None or before.closed_at is None or before.closed_at < at:
            latest[record.target] = record
    for target, record in sorted(latest.items()):
        subject, at = view.subjects.get(target), record.closed_at
        if subject is None or at is None or record.outcome is None:
            continue
        if record.scaled_out_at is not None and record.quarantined_at is not None:
            continue
        name, (how, why) = subject.container, _ending(record)
        yield about(
            view,
            "RelevoOver",
            target,
            subject,
            page=_page(record),
            starts_at=at,
            severity="info",
            summary=f"{name} {how}",
            description=(
                f"{name} on {view.engine} needed help from "
                f"{words.moment(record.opened_at, now=now)} on, for "
                f"{words.about(at - record.opened_at)}"
                f"{words.alerts(record.alerts)}. {why}"
            ),
            relevo_did=words.did(record.attempts, now=now)
            if record.attempts
            else "nothing, nothing was needed",
            relevo_next=_afterwards(record, subject),
        )


def _page(record: Remediation) -> str:
    return f"remediations/{quote(record.id, safe='')}"


def _next(record: Remediation, subject: Subject, *, now: datetime) -> str:
    name, at = subject.container, record.next_at
    match record.state:
        case State.WAITING if record.next_action is not None and at is not None:
            when = f"{words.moment(at, now=now)}, {words.span(at - record.needed_since)} after "
            when += "the last try" if record.attempts else "the first notice"
            doing = _DOING.get(record.next_action, "looks after {name}").format(name=name)
            if subject.observed:
                return f"nothing, it only observes; else: {doing} at {when}"
            return f"{doing} at {when}, unless its alerts end before"
        case State.ACTING:
            return "checks whether that helps"
        case State.VERIFYING | State.SETTLING:
            limit = subject.policy.verify.deadline
            return (
                f"watches whether its alerts end and stay away; after {words.span(limit)} at most "
                "the try has failed, and the next step comes"
            )
        case State.HELD if record.reason is not Reason.FIRST_NEED:
            return f"nothing for now ({record.reason}): its page says what it waits for"
        case _:
            return f"decides again at {words.moment(at, now=now)}" if at else "decides again soon"


def _ending(record: Remediation) -> tuple[str, str]:
    if record.outcome is Outcome.CANCELLED and not record.attempts and not record.called_off:
        return _BY_ITSELF
    return _ENDS[record.outcome or Outcome.CANCELLED]


def _afterwards(record: Remediation, subject: Subject) -> str:
    policy = subject.policy
    if record.outcome is Outcome.RELIEVED:
        return (
            "what was added leaves when no alert of the group has come for "
            f"{words.span(policy.scale_in.after)}"
        )
    window = format_duration(policy.restart.window)
    failed = sum(attempt.is_failed_restart for attempt in record.attempts)
    if failed and record.outcome is not Outcome.SUPERSEDED:
        return (
            f"nothing. Should it fall ill again, {words.many(failed, 'failed restart')} still "
            f"count, each for {window}"
        )
    return "nothing. Should it fall ill again, Relevo begins again"
