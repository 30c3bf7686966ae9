"""
Which alerts of its own Relevo has to post now (semantics, sections 2 and 9).

Derived from what holds, and from nothing that was said before: whoever posts them may be
killed at any moment and says the same when it is back.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from urllib.parse import quote

from app.domain.decision import Action, Reason
from app.domain.duration import format_duration
from app.domain.remediation import Attempt, LogEntry, Remediation, State
from app.policies import announce_chronic as chronic
from app.policies import announce_words as words
from app.policies.announce_facts import Announcement, NewsView, about, of_engine
from app.policies.announce_story import at_work, over
from app.policies.guards import brake_limit

#: More failing targets than this are told as one incident, as the shipped rule has it.
_MANY: Final = 3
_LOOK_AROUND: Final = (
    "Look at what they share: the host, its disk and memory, a database, a deploy."
)


def announcements(view: NewsView, *, now: datetime) -> tuple[Announcement, ...]:
    """List all that has to be told, the most important first, then the oldest."""
    in_age = sorted(view.remediations, key=lambda record: (record.opened_at, record.target))
    return (
        *_brake(view, now=now),
        *_many_failing(view),
        *(_escalated(view, one, now=now) for one in in_age if one.state is State.QUARANTINED),
        *_chronic(view, now=now),
        *_scaled_out(view, in_age, now=now),
        *at_work(view, in_age, now=now),
        *over(view, now=now),
    )


def _escalated(view: NewsView, record: Remediation, *, now: datetime) -> Announcement:
    subject = view.subjects[record.target]
    last, told = record.last_attempt, _escalation(record)
    ended = words.ending(told.reason if told is not None else None)
    name, target = subject.container, record.target
    detail = told.detail if told is not None and told.detail else last.evidence if last else None
    description = (
        f"{name} on {view.engine} is quarantined: watched, and no longer touched. "
        f"It has needed help since {words.moment(record.opened_at, now=now)}"
        f"{words.alerts(record.alerts)}."
    )
    if detail:
        description += f" Why it stopped: {words.cut(detail)}."
    fix = ended.fix.format(prefix=view.prefix)
    return about(
        view,
        "RelevoEscalated",
        target,
        subject,
        page=f"remediations/{quote(record.id, safe='')}",
        starts_at=told.at if told is not None else _last_news(record),
        summary=f"{name} needs a person: {ended.why}",
        description=description,
        relevo_did=words.did(record.attempts, now=now),
        relevo_next=(
            f"nothing: {name} stays quarantined until its alerts are gone and settled, "
            "or a person releases it"
        ),
        relevo_decide=(
            f"{fix}; then release it (relevo release {target}). To have restarts tried from the "
            f"beginning, forget its failures first (relevo reset {target})"
        ),
    )


def _scaled_out(
    view: NewsView, records: list[Remediation], *, now: datetime
) -> Iterator[Announcement]:
    for record in records:
        if record.scaled_out_at is None or record.state in (State.QUARANTINED, State.CLOSED):
            continue
        subject = view.subjects[record.target]
        policy, name = subject.policy, subject.container
        up_since = words.moment(record.scaled_out_at, now=now)
        attempt = _last_clone(record)
        clone = attempt.clone if attempt is not None and attempt.clone else "another instance"
        has_left = attempt is not None and attempt.id in view.left
        rest, cooldown = words.span(policy.scale_in.after), policy.scale_out.cooldown
        why = "it needed help"
        if attempt is not None:
            rules = policy.restart
            why = words.why_scaled(
                attempt, max_failed=rules.max_failed, window=format_duration(rules.window)
            )
        yield about(
            view,
            "RelevoScaledOut",
            record.target,
            subject,
            page=f"remediations/{quote(record.id, safe='')}",
            starts_at=record.scaled_out_at,
            summary=f"{name} was scaled out: {clone} "
            + ("has left again" if has_left else "runs beside it"),
            description=(
                f"{name} on {view.engine}: {why}{words.alerts(record.alerts)}. "
                + (
                    f"{clone} was up at {up_since}, and is gone."
                    if has_left
                    else f"{clone} has been up since {up_since}."
                )
            ),
            relevo_did=words.did(record.attempts, now=now),
            relevo_next=words.paused(view.pause, now=now)
            or words.called_off(record.called_off)
            or (
                f"restarts {name} as often as it needs that; {clone} leaves when that has helped"
                if attempt is not None and attempt.reason is Reason.COVER and not has_left
                else f"watches until {words.moment(record.scaled_out_at + cooldown, now=now)} "
                f"({words.span(cooldown)}) whether the alerts of the group end. If not: one more "
                "instance, as far as its maximum allows, then a person is asked. Once they have "
                f"been gone for {rest}, what was added leaves again"
            ),
        )


def _chronic(view: NewsView, *, now: datetime) -> Iterator[Announcement]:
    for target, times in sorted(view.recoveries.items()):
        subject = view.subjects.get(target)
        if subject is None:
            continue
        rules = subject.policy.chronic
        start = chronic.since(times, rules, now=now)
        if start is None:
            continue
        number = sum(start - rules.window < at <= start for at in times)
        name, window = subject.container, format_duration(rules.window)
        yield about(
            view,
            "RelevoChronic",
            target,
            subject,
            page=f"targets/{quote(target, safe=':')}",
            starts_at=start,
            summary=f"{name} needed {words.many(number, 'restart')} in {window}, and each helped",
            description=(
                f"Restarts cure {name} on {view.engine}, but not for long: {number} in {window}, "
                f"the last at {words.moment(start, now=now)}. A restart that helps is no failure, "
                "so this alone leads to no scale-out and to no escalation."
            ),
            relevo_did=f"{words.many(number, 'restart')} in {window}, each recovered",
            relevo_next=words.paused(view.pause, now=now)
            or (
                "restarts it again when it needs it, and says so again in "
                f"{words.span(chronic.RESTS)} at the earliest"
            ),
            relevo_decide=(
                "look for what fills up over time: memory, files, connections, a queue. "
                "The case files show the container just before each restart"
            ),
        )


def _brake(view: NewsView, *, now: datetime) -> Iterator[Announcement]:
    rules, engaged_at = view.brake_rules, view.brake.engaged_at
    limit = brake_limit(rules, view.targets)
    if engaged_at is None and (rules.freeze or view.failing <= limit):
        return
    failing = view.brake.failing or view.failing
    window = format_duration(rules.window)
    at_once = f"{words.many(failing, 'container')} with failed restarts within {window}"
    if rules.freeze and engaged_at is not None:
        summary = f"Relevo has stopped acting: {at_once}"
        did = f"froze every automatic action at {words.moment(engaged_at, now=now)}"
        then = (
            "goes on when at most one of them is left and "
            f"{words.span(rules.thaw)} have passed, or when a person resumes; "
            "what was pending is then checked again and started one at a time"
        )
        decide = (
            "look at the host first; resume when the cause is gone (relevo resume). "
            "Restarts by hand still work"
        )
    else:
        summary = f"Too much fails at once: {at_once}"
        did = "nothing is frozen: the policy file says guards.brake.action: alert"
        then = "goes on restarting and scaling out as its policies say"
        decide = "look at the host first; stop Relevo where it makes things worse (relevo pause)"
    yield of_engine(
        view,
        "RelevoBrake",
        starts_at=engaged_at,
        summary=summary,
        description=(
            f"Restarts of {failing} of {words.many(view.targets, 'container')} on {view.engine} "
            f"did not help within {window}; more than {limit:g} is hardly "
            f"the containers' own fault. {_LOOK_AROUND}"
        ),
        relevo_did=did,
        relevo_next=words.paused(view.pause, now=now) or then,
        relevo_decide=decide,
    )


def _many_failing(view: NewsView) -> Iterator[Announcement]:
    number = view.failing_targets
    if view.has_prometheus or number <= _MANY:
        return
    window = format_duration(view.brake_rules.window)
    yield of_engine(
        view,
        "RelevoManyContainersFailing",
        starts_at=None,
        summary=f"{number} containers had a failed restart within {window}",
        description=(
            f"{number} different containers on {view.engine} were restarted within {window} "
            f"and it did not help. {_LOOK_AROUND}"
        ),
    )


def _escalation(record: Remediation) -> LogEntry | None:
    """Find the decision that ended the ladder, last."""
    return next((entry for entry in reversed(record.log) if entry.decision == "escalate"), None)


def _last_news(record: Remediation) -> datetime:
    """When the ladder ended, where its log has forgotten that: the last thing that was tried."""
    last = record.last_attempt
    return (last.finished_at if last is not None else None) or record.opened_at


def _last_clone(record: Remediation) -> Attempt | None:
    """Find the scale-out that came up last."""
    for attempt in reversed(record.attempts):
        if attempt.action is Action.SCALE_OUT and attempt.clone is not None:
            return attempt
    return None
