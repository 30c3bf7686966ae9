"""
A policy's timeline in virtual time: what Relevo would do, and when.

The decisions are the ladder's own, asked look by look about a container that does not exist;
none of its rules is written down here a second time. The container stands alone on its engine,
acts are done in no time, it has no health check, and nothing but the budget forbids an action.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from app.domain.decision import (
    Close,
    Conclude,
    Confirm,
    Decision,
    Escalate,
    Hold,
    Idle,
    Reason,
    Rehearse,
    Relapse,
    Restart,
    ScaleOut,
    Wait,
    Watch,
)
from app.domain.duration import format_duration
from app.domain.observation import Observation
from app.policies.ladder import next_step
from app.policies.simulate_world import START, Doings, Trouble, World
from app.policies.spec import Guards, Patience, Policy
from app.policies.story import decision_name

#: A trouble that flaps returns this long after it had settled.
FLAPS_AFTER: Final = timedelta(minutes=5)
#: Longer than any ladder that its policy does not stretch.
_DAY: Final = timedelta(hours=24)
#: By then a story without end has repeated itself.
_STEPS: Final = 40
#: A second's work: a policy that waits for weeks and looks every second is cut short.
_LOOKS: Final = 20_000
#: Changes nothing, or is told with what comes after it.
_SILENT: Final = (Wait, Watch, Idle)
#: Said of the last step of a story that would go on.
AND_SO_ON: Final = "… and so on"


class Scenario(StrEnum):
    """How a trouble answers what is done about it."""

    #: Nothing helps.
    PERSISTS = "persists"
    #: The second restart helps.
    SECOND_RESTART = "second_restart"
    #: Everything helps, and not for long.
    FLAPS = "flaps"
    #: No restart helps, another instance does.
    LOAD = "load"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happens: an action, a verdict, a hold, an end."""

    #: Since the first notice of the alert.
    at: timedelta
    #: The decision (``restart``, ``scale_out``, ``escalate``, …); of a verdict, its own word.
    what: str
    reason: Reason
    #: For people.
    detail: str


def simulate(policy: Policy, scenario: Scenario, *, guards: Guards = Guards()) -> tuple[Step, ...]:  # noqa: B008 - frozen
    """Tell what becomes of a container that falls ill; a story without end is cut short."""
    return timeline(policy, TROUBLES[scenario], guards=guards)


def timeline(policy: Policy, trouble: Trouble, *, guards: Guards = Guards()) -> tuple[Step, ...]:  # noqa: B008 - frozen
    """
    Unfold the story of any trouble.

    It may take a second where a policy never ends: call it in a thread.
    """
    most = max(_STEPS, 4 * policy.restart.max_failed)
    until = START + _DAY + policy.restart.window + max(policy.restart.delays, default=_DAY)
    # A verdict comes at its deadline however often one looks before.
    often = max(policy.verify.poll, policy.verify.deadline / 200)
    policy = replace(policy, verify=replace(policy.verify, poll=often))
    world, patience = World(policy, trouble, guards, until=until), Patience()
    steps: list[Step] = []
    for _ in range(_LOOKS):
        now = world.due
        if now is None:
            return tuple(steps)
        if now > until:
            break
        seen = world.observe(now)
        decision = next_step(seen, policy, patience, now=now, rules=guards)
        decision = world.permitted(decision, now=now)
        step = _step(decision, seen, policy, now=now)
        if step is not None and not (steps and _is_repeated(decision, step, steps[-1])):
            if len(steps) == most:
                break
            steps.append(step)
        if isinstance(decision, Escalate):
            return tuple(steps)  # from here on it is a person's business
        world.carry_out(decision, seen, now=now)
    if steps:
        steps[-1] = replace(steps[-1], detail=f"{steps[-1].detail} {AND_SO_ON}".lstrip())
    return tuple(steps)


def _step(decision: Decision, seen: Observation, policy: Policy, *, now: datetime) -> Step | None:
    if isinstance(decision, _SILENT):
        return None
    what = decision.verdict if isinstance(decision, Conclude) else decision_name(decision)
    detail = _detail(decision, seen, policy, now=now)
    return Step(at=now - START, what=str(what), reason=decision.reason, detail=detail)


def _is_repeated(decision: Decision, step: Step, last: Step) -> bool:
    """Tell whether a hold only goes on."""
    return isinstance(decision, Hold) and (step.what, step.reason) == (last.what, last.reason)


def _detail(decision: Decision, seen: Observation, policy: Policy, *, now: datetime) -> str:
    group = seen.group
    match decision:
        case Restart(reason=Reason.UNDER_COVER):
            return "a clone serves beside it; this one does not count"
        case Restart(detail=said):
            told = (
                f"{_waited(seen, now=now)}; failed restarts in the window: {seen.failures} "
                f"of {policy.restart.max_failed}"
            )
            return told if said is None else f"{told}; {said}"
        case ScaleOut(reason=reason):
            told = f"to {group.instances + 1} instances of at most {group.max_instances}"
            return f"{told}, before the restart" if reason is Reason.COVER else told
        case Confirm():
            if _is_cover(seen):
                return "the clone is up; no failure is forgotten for it"
            cooldown = format_duration(policy.scale_out.cooldown)
            return f"the clone is up and counts; cooldown {cooldown}"
        case Rehearse(action=action):
            return f"observe mode: would {action} now"
        case Relapse():
            return "what had recovered is ill again: that restart has failed after all"
        case Conclude(evidence=said) | Escalate(detail=said):
            return said
        case Close(outcome=outcome):
            return f"outcome: {outcome}"
        case Hold(detail=said):
            return said or ""
        case _:
            return ""


def _is_cover(seen: Observation) -> bool:
    attempt = seen.remediation.open_attempt if seen.remediation is not None else None
    return attempt is not None and attempt.reason is Reason.COVER


def _waited(seen: Observation, *, now: datetime) -> str:
    record = seen.remediation
    if record is None:
        return "at once"
    is_first = all(one.reason is Reason.COVER for one in record.attempts)
    since = "alert" if is_first else "last verdict"
    return f"{format_duration(now - record.needed_since)} after the {since}"


def _persists(_: Doings, _now: datetime) -> bool:
    return True


def _ends_with_the_second_restart(doings: Doings, _: datetime) -> bool:
    return doings.restarts < 2


def _flaps(doings: Doings, now: datetime) -> bool:
    if doings.acted_at is None:
        return True
    closed_at = doings.closed_at
    return closed_at is not None and closed_at >= doings.acted_at and now >= closed_at + FLAPS_AFTER


def _ends_with_a_clone(doings: Doings, _: datetime) -> bool:
    return doings.scale_outs == 0


#: What each scenario means: whether the alert is active, after what has been done.
TROUBLES: Final[dict[Scenario, Trouble]] = {
    Scenario.PERSISTS: _persists,
    Scenario.SECOND_RESTART: _ends_with_the_second_restart,
    Scenario.FLAPS: _flaps,
    Scenario.LOAD: _ends_with_a_clone,
}
