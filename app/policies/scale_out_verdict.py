"""How a scale-out ended: the clone comes up and stays up, then it takes its share, and relieves."""

from datetime import datetime, timedelta

from app.domain.container import Container, Health
from app.domain.decision import Conclude, Confirm, Reason, Verdict, Watch
from app.domain.duration import format_duration
from app.domain.observation import Observation, Symptom
from app.domain.remediation import Attempt, Remediation, Trigger
from app.policies import traffic
from app.policies.attempts import is_up
from app.policies.spec import Patience, Policy
from app.policies.verdict import broken, nobody_can_tell, sick_by_probe


def judge_scale_out(
    seen: Observation,
    remediation: Remediation,
    attempt: Attempt,
    policy: Policy,
    patience: Patience,
    *,
    now: datetime,
) -> Watch | Conclude | Confirm:
    """Judge a scale-out whose clone was made (`attempt.acted_at` is set)."""
    clone = seen.group.fresh_clone
    if clone is None:
        return Conclude(Verdict.VANISHED, Reason.NO_SUCH_TARGET, "the clone is gone")
    if not is_up(remediation):
        return _coming_up(clone, attempt, policy, now=now)
    symptom = seen.sickness.symptom
    if symptom in (Symptom.SUPPRESSED, Symptom.UNKNOWN):
        return nobody_can_tell(seen, remediation, policy, patience, now=now)
    if symptom is Symptom.ACTIVE and attempt.reason is Reason.COVER:
        # Gone in the meantime it need not be restarted: then it has to settle, as after any.
        return Conclude(
            Verdict.RELIEVED, Reason.COVER, f"{clone.name} is up beside it: it is restarted now"
        )

    is_active = symptom is Symptom.ACTIVE and seen.sickness.on_source
    proof = traffic.prove(attempt, seen.group.used, is_active=is_active)
    # One that a person has ordered stays, whatever it is good for.
    if proof is not None and proof.verdict is not None and attempt.trigger is Trigger.AUTOMATIC:
        stays = "; it stays while nobody else of the group is healthy"
        said = proof.said + (stays if serves_alone(seen) else "")
        return Conclude(proof.verdict, Reason(proof.verdict), said)
    if symptom is Symptom.ACTIVE:
        return _still_needed(remediation, policy, now=now)
    return _relieving(seen, remediation, attempt, policy, proof, now=now)


def serves_alone(seen: Observation) -> bool:
    """Tell whether nobody but the fresh clone serves: then it stays, useless or not."""
    clone, source = seen.group.fresh_clone, seen.container
    if clone is None or not clone.is_serving or (source is not None and source.is_serving):
        return False
    return seen.guards.serving_others <= 1  # which is the clone


def _coming_up(
    clone: Container, attempt: Attempt, policy: Policy, *, now: datetime
) -> Watch | Conclude | Confirm:
    assert attempt.acted_at is not None
    failed = broken(clone, attempt) or sick_by_probe(clone, now=now, since=attempt.acted_at)
    if failed is not None:
        return failed
    warm_at = attempt.acted_at + policy.scale_out.warm_up
    if now < warm_at or clone.health is Health.STARTING:
        return Watch(
            min(now + policy.verify.poll, max(warm_at, now + timedelta(seconds=1))),
            Reason.WARM_UP,
        )
    return Confirm(Reason.WARM_UP)


def _still_needed(remediation: Remediation, policy: Policy, *, now: datetime) -> Watch | Conclude:
    assert remediation.scaled_out_at is not None
    over_at = remediation.scaled_out_at + policy.scale_out.cooldown
    if now >= over_at:
        return Conclude(
            Verdict.SYMPTOM_PERSISTS,
            Reason.STILL_NEEDED,
            f"still needed {format_duration(now - remediation.scaled_out_at)} "
            "after the clone was up",
        )
    return Watch(_next_look(remediation, policy, over_at, now=now), Reason.RELIEF)


def _relieving(
    seen: Observation,
    remediation: Remediation,
    attempt: Attempt,
    policy: Policy,
    proof: traffic.Proof | None,
    *,
    now: datetime,
) -> Watch | Conclude:
    since = remediation.absent_since or now
    settled_at = since + (seen.sickness.settle or policy.verify.settle)
    proof_at = traffic.due_at(remediation, policy)
    is_unproven = proof_at is not None and now < proof_at
    if now < settled_at or is_unproven:
        until = settled_at if now < settled_at else now + policy.verify.poll
        return Watch(_next_look(remediation, policy, until, now=now), Reason.RELIEF)
    evidence = f"no alert of the group for {format_duration(now - since)}"
    share = proof.said if proof is not None else attempt.evidence
    return Conclude(
        Verdict.RELIEVED, Reason.SETTLED, evidence if share is None else f"{evidence}; {share}"
    )


def _next_look(
    remediation: Remediation, policy: Policy, until: datetime, *, now: datetime
) -> datetime:
    """Look again soon, and exactly when the clone has to prove itself."""
    proof_at = traffic.due_at(remediation, policy)
    looks = [now + policy.verify.poll, until]
    if proof_at is not None and now < proof_at:
        looks.append(proof_at)
    return min(looks)
