"""
Whether the gate lets an intention through: pure, one row of a table for each no.

The controller has asked itself all of this. The gate believes none of it, and asks again with what
it has read itself a moment ago: the engine, the policy file, its own journal.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from app.domain.container import Container
from app.domain.gate import Bar, Barred, Fence, Trace, Verb
from app.policies.match import max_instances, policies_for
from app.policies.membership import Member, OptIn
from app.policies.roster import Roster
from app.policies.spec import Mode, Policy, Rulebook, ScaleOutRules

#: Who asks and who answers are on one host, and so is their clock: more is another clock, or a
#: request that lay around.
_AT_MOST_AGO_S: Final = 10.0
_AT_MOST_AHEAD_S: Final = 1.0
#: Nobody waits for longer (see `translate`).
_LONGEST_GRACE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What somebody wants done, in the words of the port."""

    verb: Verb
    #: Id of a container, or of a service.
    about: str
    attempt_id: str
    fence: Fence = field(default_factory=Fence)
    #: When it was sent, and until when it may be begun, by the host's monotonic clock.
    sent_at: float
    not_after: float
    expected_started_at: str | None = None
    stop_grace: timedelta | None = None
    rules: ScaleOutRules | None = None
    #: As a clone's label has them; None: none are spoken of.
    networks: str | None = None
    #: ``StartedAt`` of the life that is to end before it is brought back; None: it lasts.
    ends: str | None = None
    #: Replicas more than a service has; None: their number is not spoken of.
    step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the gate has read itself."""

    #: By the host's monotonic clock.
    now: float
    #: The STOP file is there.
    is_stopped: bool
    #: ``RELEVO_MODE`` of the gate.
    mode: Mode
    #: The newest fence that acted; histories that others came after; the highest of all numbers.
    fence: Fence
    old_epochs: frozenset[str]
    highest: int
    rulebook: Rulebook
    prefix: str
    roster: Roster
    #: The container; None for a service.
    seen: Container | None
    #: Who it is among all others.
    member: Member
    #: Containers on which something is under way, the one in question not among them.
    busy: frozenset[str]
    #: Clones that are being made, by the group of their source.
    making: tuple[str, ...]
    #: What the journal has of this container, and of the clone that it is.
    traces: tuple[Trace, ...]
    #: The journal says that we made it.
    is_made_by_us: bool
    #: Tokens in the bucket; the attempt may have paid already.
    tokens: float
    is_charged: bool


def barred(ask: Ask, scene: Scene) -> Barred | None:
    """Tell why an intention is not let through; None: it is."""
    return (
        _switched_off(scene)
        or too_late(ask, scene.now)
        or _overtaken(ask.fence, scene)
        or _not_ours(ask, scene)
        or _not_as_expected(ask, scene)
        or _not_by_the_rules(ask, scene)
        or _too_many(ask, scene)
        or _last_one(ask, scene)
        or _too_often(scene)
    )


def too_late(ask: Ask, now: float) -> Barred | None:
    """Tell that an intention was sent, or was to be begun, too long ago."""
    if not -_AT_MOST_AHEAD_S <= now - ask.sent_at <= _AT_MOST_AGO_S:
        return Barred(
            bar=Bar.LATE, detail=f"sent {now - ask.sent_at:.1f} s ago, or by another clock"
        )
    if not now <= ask.not_after:
        return Barred(bar=Bar.LATE, detail=f"{now - ask.not_after:.1f} s too late to begin")
    return None


def _switched_off(scene: Scene) -> Barred | None:
    if scene.is_stopped:
        return Barred(bar=Bar.STOP, detail="the STOP file is in the gate's data directory")
    if scene.mode is Mode.OBSERVE:
        return Barred(bar=Bar.OBSERVE, detail="the gate runs in observe mode")
    return None


def _overtaken(fence: Fence, scene: Scene) -> Barred | None:
    if not fence.epoch and scene.fence.epoch:
        return Barred(bar=Bar.OLD_FENCE, detail="it does not say in which tenure it acts")
    # (A store that was put back to an older history counts on from the highest that was known.)
    if (
        fence.epoch != scene.fence.epoch
        and fence.epoch in scene.old_epochs
        and fence.number <= scene.highest
    ):
        return Barred(bar=Bar.OLD_FENCE, detail="the history of its store is over")
    if fence.epoch == scene.fence.epoch and fence.number < scene.fence.number:
        return Barred(
            bar=Bar.OLD_FENCE, detail=f"tenure {fence.number} is over: {scene.fence.number} acts"
        )
    return None


def _not_ours(ask: Ask, scene: Scene) -> Barred | None:
    member = scene.member
    name = member.listed.name
    if member.protected is not None:
        return Barred(bar=Bar.PROTECTED, detail=f"{name}: {member.protected}")
    if member.is_swarm_task:
        return Barred(bar=Bar.NOT_OURS, detail=f"{name} is a task of Swarm, its service is driven")
    if ask.verb is Verb.REMOVE_CLONE:
        labels = member.listed.labels
        marks = (f"{scene.prefix}.clone-of", f"{scene.prefix}.attempt")
        if not scene.is_made_by_us and not all(labels.get(mark) for mark in marks):
            return Barred(bar=Bar.NOT_OURS, detail=f"{name} is no clone of ours")
    is_undoing = (ask.verb is Verb.REMOVE_CLONE and scene.is_made_by_us) or (
        ask.verb is Verb.BRING_BACK and any(one.verb is Verb.SET_ASIDE for one in scene.traces)
    )
    # What the journal says that we did we may always undo, whoever has opted out since.
    if member.opt_in is OptIn.NO and not is_undoing:
        return Barred(bar=Bar.NOT_OPTED_IN, detail=f"{name} has not opted in")
    if member.opt_in is OptIn.OBSERVE and not is_undoing:
        return Barred(bar=Bar.OBSERVE, detail=f"{name} is to be observed only")
    return None


def _not_as_expected(ask: Ask, scene: Scene) -> Barred | None:
    seen = scene.seen
    if ask.expected_started_at is None or seen is None:
        return None
    if seen.started_at != ask.expected_started_at:
        return Barred(
            bar=Bar.RESTARTED_MEANWHILE,
            detail=f"{seen.name} was started at {seen.started_at}, not at "
            f"{ask.expected_started_at}",
        )
    return None


def _not_by_the_rules(ask: Ask, scene: Scene) -> Barred | None:
    """Hold what was sent along against what the policy file and the engine say."""
    policies = _policies(scene)
    if all(policy.mode is Mode.OBSERVE for policy in policies):
        return Barred(bar=Bar.OBSERVE, detail="the policy file says observe")
    if ask.stop_grace is not None and scene.seen is not None:
        own = scene.seen.stop_grace
        written = (policy.restart.stop_grace for policy in policies)
        graces = [own, *(grace for grace in written if grace is not None)]
        least, most = min(graces), min(max(graces), _LONGEST_GRACE)
        if not least <= ask.stop_grace <= most:
            said = f"{ask.stop_grace.total_seconds():g} s is no stop grace of {scene.seen.name}"
            return Barred(bar=Bar.OTHER_GRACE, detail=said)
    if ask.rules is not None and not any(
        _makes_the_same(ask.rules, policy.scale_out) for policy in policies
    ):
        return Barred(bar=Bar.OTHER_RULES, detail="no policy scales it out by these rules")
    if ask.step is not None and abs(ask.step) != 1:
        return Barred(bar=Bar.OTHER_STEP, detail="a service is scaled by one replica at a time")
    if ask.networks and ask.networks not in _networks(scene):
        return Barred(
            bar=Bar.OTHER_NETWORKS,
            detail="its networks are not known: neither a clone nor the journal tells them so",
        )
    return None


def _policies(scene: Scene) -> tuple[Policy, ...]:
    return policies_for(scene.rulebook, scene.member.listed.labels, prefix=scene.prefix)


def _makes_the_same(wish: ScaleOutRules, rules: ScaleOutRules) -> bool:
    """Tell whether a clone would be the same by both: what is waited for is not the gate's."""
    if not rules.enabled:
        return False
    return (
        wish.host_ports is rules.host_ports
        and wish.shared_volumes is rules.shared_volumes
        and wish.shared_devices is rules.shared_devices
        and wish.host_network is rules.host_network
        and wish.source is rules.source
    )


def _networks(scene: Scene) -> set[str]:
    """Collect how the container's networks were: by labels of its clones, and by the journal."""
    name, prefix = scene.member.listed.name, scene.prefix
    told = {
        member.listed.labels.get(f"{prefix}.source-networks", "")
        for member in scene.roster.members
        if member.clone_of == name
    }
    return told | {one.networks for one in scene.traces}


def _too_many(ask: Ask, scene: Scene) -> Barred | None:
    if ask.verb is not Verb.CLONE and (ask.step or 0) <= 0:
        return None
    member, roster = scene.member, scene.roster
    group = str(member.group)
    made_for = f"{scene.prefix}.attempt"
    own = [
        one
        for one in roster.members
        if one.clone_of is not None and one.listed.labels.get(made_for) == ask.attempt_id
    ]
    # An attempt makes one clone, of one source: the adapter would go on with that one.
    for one in own:
        if one.clone_of != member.listed.name:
            detail = f"{ask.attempt_id} has made {one.listed.name}, of {one.clone_of}"
            return Barred(bar=Bar.DONE_ALREADY, detail=detail)
    # The half-made one of the very attempt that asks does not stand in its own way.
    others = [one for one in roster.members if one not in own]
    instances = sum(str(one.group) == group for one in others) + scene.making.count(group)
    clones = sum(one.clone_of is not None for one in others) + len(scene.making)
    labels = member.listed.labels
    most = max(max_instances(one, labels, prefix=scene.prefix) for one in _policies(scene))
    if instances >= most:
        return Barred(bar=Bar.AT_MAX, detail=f"{instances} of {most} instances exist already")
    if clones >= scene.rulebook.guards.max_clones:
        return Barred(
            bar=Bar.MAX_CLONES,
            detail=f"{clones} of {scene.rulebook.guards.max_clones} clones exist already",
        )
    return None


def _last_one(ask: Ask, scene: Scene) -> Barred | None:
    """Tell whether nobody of its group would serve, although somebody does."""
    if ask.verb not in (Verb.RESTART, Verb.SET_ASIDE, Verb.REMOVE_CLONE) and not _ends(ask, scene):
        return None
    member = scene.member
    others = [
        one
        for one in scene.roster.members
        if one.group == member.group and one.listed.id != member.listed.id
    ]
    if any(one.listed.is_serving and one.listed.id not in scene.busy for one in others):
        return None
    # One that does not serve takes nothing away; one that is alone is restarted all the same.
    is_serving = scene.seen.is_serving if scene.seen is not None else member.listed.is_serving
    if not is_serving or (ask.verb is Verb.RESTART and not others):
        return None
    return Barred(
        bar=Bar.MIN_HEALTHY, detail=f"nobody else of {member.group} serves beside {member.target}"
    )


def _ends(ask: Ask, scene: Scene) -> bool:
    """Tell whether a container is stopped before it is brought back, and maybe not started."""
    return ask.ends is not None and scene.seen is not None and ask.ends == scene.seen.started_at


def _too_often(scene: Scene) -> Barred | None:
    if scene.is_charged or scene.tokens >= 1.0:
        return None
    return Barred(bar=Bar.BUDGET, detail="the gate's bucket is empty")
