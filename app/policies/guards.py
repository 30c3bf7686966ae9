"""What forbids an action, whatever the ladder says (semantics, sections 4 and 9)."""

from dataclasses import replace
from datetime import datetime, timedelta

from app.domain.container import Container, Health, RunState
from app.domain.control import Brake, Halt
from app.domain.decision import Hold, Reason, Refuse
from app.domain.observation import EngineView, GuardView, Observation
from app.domain.remediation import Action, Trigger
from app.policies.spec import BrakeRules, Guards, Policy

_HOUR = timedelta(hours=1)


def hold(
    seen: Observation,
    action: Action,
    policy: Policy,
    rules: Guards,
    *,
    now: datetime,
    is_down_by_us: bool = False,
) -> Hold | None:
    """
    Tell what forbids an action that Relevo would take of its own accord; None: nothing.

    :param is_down_by_us: it has stopped since our own restart, so that there is nobody to wait for
    """
    guards = seen.guards
    poll_at = now + policy.verify.poll
    if guards.protected is not None:
        return Hold(poll_at, Reason.PROTECTED, guards.protected)
    unfit = None if _is_only_cloned(seen, action) else not_fit(seen)
    if unfit is not None and not (is_down_by_us and unfit is Reason.NOT_RUNNING):
        return Hold(poll_at, unfit, guards.human if unfit is Reason.HUMAN else None)
    grace = guards.start_grace_until
    if action is Action.RESTART and grace is not None and now < grace:
        return Hold(grace, Reason.START_GRACE)
    for halt, reason in ((guards.hold, Reason.HOLD), (guards.pause, Reason.PAUSE)):
        if halt is not None and not halt.is_over(now):
            return Hold(min(poll_at, halt.until or poll_at), reason, _said(halt))
    if rules.brake.freeze and is_braked(guards, rules.brake):
        return Hold(poll_at, Reason.BRAKE, f"{_failing(guards)} targets had a failed restart")
    deploy = guards.deploy_until
    if deploy is not None and now < deploy:
        return Hold(min(poll_at, deploy), Reason.DEPLOY)
    if action is Action.RESTART and _takes_the_last_one(seen):
        return Hold(poll_at, Reason.MIN_HEALTHY, "no other instance of its group serves")
    return None


def refusal(seen: Observation, action: Action, rules: Guards, *, now: datetime) -> Refuse | None:
    """
    Tell what forbids an action that an operator orders; None: nothing.

    Pause, brake, deploy and the alerts do not stop a person; another person's hold does, and so
    does what protects the containers. The budget is asked as the intent is written.
    """
    if seen.view is EngineView.GONE or seen.container is None:
        return Refuse(Reason.NO_SUCH_TARGET, "the container is gone")
    if seen.guards.protected is not None:
        return Refuse(Reason.PROTECTED, seen.guards.protected)
    if not seen.opted_in:
        return Refuse(Reason.NOT_OPTED_IN, "the container has not opted in")
    held = seen.guards.hold
    if held is not None and not held.is_over(now):
        return Refuse(Reason.HOLD, _said(held))
    if seen.observe_only:
        return Refuse(Reason.OBSERVE, "observe mode: Relevo does nothing to containers")
    if seen.is_replaced and action is Action.RESTART:
        return Refuse(Reason.REPLACED, "a clone serves in its place: scale in, and it comes back")
    unfit = None if _is_only_cloned(seen, action) else not_fit(seen)
    if unfit is Reason.PAUSED_CONTAINER:
        return Refuse(unfit, "it is paused: docker unpause it first")
    if unfit is not None:
        is_down = seen.container.state in (RunState.EXITED, RunState.CREATED)
        fix = ": docker start it first" if is_down else ""
        return Refuse(unfit, f"it is {seen.container.state}{fix}")
    if action is Action.RESTART:
        if _takes_the_last_one(seen):
            return Refuse(Reason.MIN_HEALTHY, "no other instance of its group serves")
        return None
    group = seen.group
    if group.refusal is not None:
        return Refuse(group.refusal.reason, group.refusal.detail)
    # The half-made clone of the very attempt that asks does not stand in its own way.
    own = 1 if group.fresh_clone is not None else 0
    instances, clones = group.instances - own, seen.guards.clones - own
    if instances >= group.max_instances:
        return Refuse(
            Reason.AT_MAX, f"{instances} of {group.max_instances} instances exist already"
        )
    if clones >= rules.max_clones:
        return Refuse(Reason.MAX_CLONES, f"{clones} of {rules.max_clones} clones exist already")
    return None


def start_grace_until(container: Container, policy: Policy, *, now: datetime) -> datetime | None:
    """
    Tell until when a container has only just been started; None where that is over.

    Its health check's start period counts while that has not passed. A start that lies in the
    future, by a clock that is not ours, is taken for one of now.
    """
    grace = policy.restart.start_grace
    if container.health is Health.STARTING and container.health_check is not None:
        grace = max(grace, container.health_check.start_period)
    if grace <= timedelta(0):
        return None
    started = _moment(container.started_at)
    if started is None or started > now + grace:
        return None  # by a clock that is wrong: not for ever
    until = min(started, now) + grace
    return until if until > now else None


def not_fit(seen: Observation) -> Reason | None:
    """Tell why a container must be left as it is: a restart would start or unpause it."""
    container = seen.container
    if container is None or container.is_running:
        return None
    if container.state is RunState.PAUSED:
        return Reason.PAUSED_CONTAINER
    return Reason.HUMAN if seen.guards.human is not None else Reason.NOT_RUNNING


def _is_only_cloned(seen: Observation, action: Action) -> bool:
    """Tell whether nothing is done to it: we have stopped it ourselves, and need another clone."""
    return seen.is_replaced and action is Action.SCALE_OUT


def brake_limit(rules: BrakeRules, targets: int) -> float:
    """Tell how many failing targets are still believable."""
    return max(rules.targets, rules.share * targets)


def is_braked(guards: GuardView, rules: BrakeRules) -> bool:
    """Tell whether too much fails at once: now, or lately and not over yet."""
    if guards.brake.engaged_at is not None:
        return True
    return guards.failing > brake_limit(rules, guards.targets)


def next_brake(
    brake: Brake, *, failing: int, targets: int, rules: BrakeRules, now: datetime
) -> Brake:
    """Engage the brake, or thaw it: when at most one still fails, and not too soon."""
    if not rules.freeze:
        return replace(brake, engaged_at=None, failing=0)
    if brake.engaged_at is None:
        if failing > brake_limit(rules, targets):
            return replace(brake, engaged_at=now, failing=failing)
        return brake
    if failing <= 1 and now - brake.engaged_at >= rules.thaw:
        return replace(brake, engaged_at=None, failing=0)
    return brake


def burst_span(rules: Guards) -> timedelta:
    """Tell in which time `burst` actions may follow each other: as long as they last per hour."""
    return _HOUR * rules.burst / rules.per_hour


def spacing(policy: Policy, trigger: Trigger) -> timedelta:
    """
    Tell how far apart actions begin: what falls due together starts one at a time.

    A second where a look takes its turn every 15 s; a person's order need not queue.
    """
    return timedelta(0) if trigger is Trigger.MANUAL else policy.verify.poll / 15


def out_of_group(instances: int) -> int:
    """Tell how many instances of a group may be out by our hand at once."""
    return max(1, instances // 3)


def budget_left(charged: tuple[datetime, ...], rules: Guards, *, now: datetime) -> tuple[int, int]:
    """Tell how many actions are left: in a row, and within the hour."""
    lately = sum(at > now - burst_span(rules) for at in charged)
    hour = sum(at > now - _HOUR for at in charged)
    return max(0, rules.burst - lately), max(0, rules.per_hour - hour)


def _takes_the_last_one(seen: Observation) -> bool:
    """Tell whether nobody would serve while this one restarts, although somebody could."""
    guards = seen.guards
    if guards.others == 0 or guards.serving_others > 0:
        return False
    # One that does not serve either way takes nothing away from anybody.
    return seen.container is not None and seen.container.is_serving


def _failing(guards: GuardView) -> int:
    """Tell how many made it brake: now, or when it began."""
    return max(guards.failing, guards.brake.failing)


def _moment(text: str) -> datetime | None:
    """Read one of the engine's times, which have nine digits of a second; None for none."""
    head, _, fraction = text.rstrip("Z").partition(".")
    try:
        return datetime.fromisoformat(f"{head}.{fraction[:6]:0<6}+00:00")
    except ValueError:
        return None


def _said(halt: Halt) -> str:
    return f"{halt.author}: {halt.reason}"
