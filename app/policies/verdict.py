"""How an attempt ended, by evidence: never by the answer of the API call."""

from datetime import datetime, timedelta

from app.domain.container import Container, Health, HealthCheck, RunState
from app.domain.decision import Conclude, Reason, Verdict, Watch
from app.domain.duration import format_duration
from app.domain.observation import EngineView, Observation, Symptom
from app.domain.remediation import Attempt, Remediation
from app.policies.spec import Patience, Policy

#: A probe that is due just now may still be running.
_PROBE_MARGIN = timedelta(seconds=5)


def judge(
    seen: Observation,
    remediation: Remediation,
    attempt: Attempt,
    policy: Policy,
    patience: Patience,
    *,
    now: datetime,
) -> Watch | Conclude:
    """
    Judge a restart that has been carried out (`attempt.acted_at` is set).

    Answers the verdict, or when to look again.
    """
    assert attempt.acted_at is not None
    acted_at = attempt.acted_at
    if seen.view is EngineView.GONE or seen.container is None:
        return Conclude(Verdict.VANISHED, Reason.NO_SUCH_TARGET, "the container is gone")
    container = seen.container
    if container.id != attempt.container_id:
        return Conclude(Verdict.VANISHED, Reason.NEW_INCARNATION, "the container was replaced")

    if container.state is RunState.REMOVING:
        return Conclude(Verdict.VANISHED, Reason.NO_SUCH_TARGET, "it is being removed")
    if container.state is RunState.PAUSED:
        return Conclude(Verdict.HELD, Reason.PAUSED_CONTAINER, "somebody has paused it")
    failed = broken(container, attempt) or sick_by_probe(container, now=now, since=acted_at)
    if failed is not None:
        human = seen.guards.human
        if human is not None and failed.verdict is Verdict.EXITED:
            return Conclude(Verdict.HELD, Reason.HUMAN, human)
        return failed

    sick = seen.sickness
    poll_at = now + policy.verify.poll
    match sick.symptom:
        case Symptom.SUPPRESSED | Symptom.UNKNOWN:
            return nobody_can_tell(seen, remediation, policy, patience, now=now)
        case Symptom.ACTIVE:
            if remediation.absent_since is not None:
                away = format_duration(now - remediation.absent_since)
                return Conclude(
                    Verdict.SYMPTOM_PERSISTS,
                    Reason.SETTLING,
                    f"the alert went and came back within {away}, before it had settled",
                )
            deadline = acted_at + _deadline(container, policy)
            if now >= deadline:
                return Conclude(
                    Verdict.SYMPTOM_PERSISTS,
                    Reason.DEADLINE,
                    f"the alert is still active {format_duration(now - acted_at)} after the action",
                )
            return Watch(min(poll_at, deadline), Reason.DEADLINE)
        case Symptom.ABSENT:
            return _settling(seen, remediation, container, policy, now=now)


def judge_rehearsal(
    seen: Observation,
    remediation: Remediation,
    attempt: Attempt,
    policy: Policy,
    patience: Patience,
    *,
    now: datetime,
) -> Watch | Conclude:
    """Judge what became of the trouble without the action that observe mode has written down."""
    assert attempt.acted_at is not None
    container = seen.container
    if container is None or container.id != attempt.container_id:
        return _rehearsed(Reason.NO_SUCH_TARGET, "the container is gone", None)
    if container.started_at != attempt.started_before:
        return _rehearsed(Reason.RESTARTED_MEANWHILE, "somebody else restarted it", None)
    poll_at = now + policy.verify.poll
    deadline = attempt.acted_at + _deadline(container, policy)
    match seen.sickness.symptom:
        case Symptom.SUPPRESSED:
            return _rehearsed(Reason.SILENCED, "the alert was silenced meanwhile", None)
        case Symptom.UNKNOWN:
            if now - (remediation.unknown_since or now) < patience.unknown:
                return Watch(poll_at, Reason.NO_FRESH_DATA)
            return _rehearsed(Reason.UNKNOWN_TOO_LONG, "nobody could tell", None)
        case Symptom.ABSENT:
            since = remediation.absent_since or now
            settle = seen.sickness.settle or policy.verify.settle
            if now - since < settle:
                return Watch(min(poll_at, since + settle), Reason.SETTLING)
            return _rehearsed(Reason.SETTLED, "the trouble passed by itself", True)
        case Symptom.ACTIVE:
            if remediation.absent_since is None and now < deadline:
                return Watch(min(poll_at, deadline), Reason.DEADLINE)
            return _rehearsed(Reason.DEADLINE, "the trouble did not pass by itself", False)


def _rehearsed(reason: Reason, evidence: str, passed: bool | None) -> Conclude:
    return Conclude(Verdict.WOULD_HAVE, reason, f"observe mode: {evidence}", passed)


def nobody_can_tell(
    seen: Observation,
    remediation: Remediation,
    policy: Policy,
    patience: Patience,
    *,
    now: datetime,
) -> Watch | Conclude:
    """Wait for a symptom that can be told; silenced, there is none to wait for."""
    if seen.sickness.symptom is Symptom.SUPPRESSED:
        return Conclude(Verdict.CANCELLED, Reason.SILENCED, "the alert was silenced meanwhile")
    since = remediation.unknown_since or now
    if now - since < patience.unknown:
        return Watch(now + policy.verify.poll, Reason.NO_FRESH_DATA)
    return Conclude(
        Verdict.UNKNOWN,
        Reason.UNKNOWN_TOO_LONG,
        f"nobody could tell for {format_duration(now - since)}: {seen.sickness.doubt}",
    )


def _settling(
    seen: Observation,
    remediation: Remediation,
    container: Container,
    policy: Policy,
    *,
    now: datetime,
) -> Watch | Conclude:
    since = remediation.absent_since or now
    settle = seen.sickness.settle or policy.verify.settle
    if now - since < settle:
        return Watch(min(now + policy.verify.poll, since + settle), Reason.SETTLING)
    if container.health is Health.STARTING:
        return Watch(now + policy.verify.poll, Reason.SETTLING)
    return Conclude(
        Verdict.RECOVERED,
        Reason.SETTLED,
        f"the alert has stayed away for {format_duration(now - since)}",
    )


def broken(container: Container, attempt: Attempt) -> Conclude | None:
    """Tell whether the container itself did not keep running since the action."""
    if container.state is RunState.RESTARTING or container.restart_count > attempt.restarts_after:
        return Conclude(
            Verdict.CRASH_LOOP,
            Reason.NOT_RUNNING,
            f"the engine restarted it by itself (exit code {container.exit_code})",
        )
    # Docker keeps the flag after a start: of one that runs it tells of an earlier life.
    if container.oom_killed and not container.is_running:
        return Conclude(Verdict.EXITED, Reason.NOT_RUNNING, "it ran out of memory and was killed")
    if not container.is_running:
        return Conclude(
            Verdict.EXITED,
            Reason.NOT_RUNNING,
            f"it is {container.state} with exit code {container.exit_code}",
        )
    if attempt.started_after is not None and container.started_at != attempt.started_after:
        return Conclude(
            Verdict.CANCELLED, Reason.RESTARTED_MEANWHILE, "somebody else restarted it meanwhile"
        )
    return None


def sick_by_probe(container: Container, *, now: datetime, since: datetime) -> Conclude | None:
    """Tell whether the container's own health check says that it is ill."""
    if container.health is Health.UNHEALTHY:
        return Conclude(Verdict.UNHEALTHY, Reason.DEADLINE, "its health check says unhealthy")
    if container.health is Health.STARTING and container.health_check is not None:
        patient = _time_to_health(container.health_check)
        if now - since > patient:
            return Conclude(
                Verdict.UNHEALTHY,
                Reason.DEADLINE,
                f"its health check has not passed for {format_duration(now - since)}",
            )
    return None


def _time_to_health(check: HealthCheck) -> timedelta:
    return check.start_period + (check.interval + check.timeout) * check.retries + _PROBE_MARGIN


def _deadline(container: Container, policy: Policy) -> timedelta:
    """A container may take its health start period and three probes to become itself."""
    check = container.health_check
    if check is None:
        return policy.verify.deadline
    return max(policy.verify.deadline, check.start_period + 3 * check.interval)
