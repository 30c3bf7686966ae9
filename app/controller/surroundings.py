"""What is around a target: its group, and what may forbid an action."""

from datetime import datetime

from app.controller.witness import Witness
from app.domain.container import Container, RunState
from app.domain.observation import GroupView, GuardView
from app.policies.deploy import deploying_until
from app.policies.guards import start_grace_until
from app.policies.match import max_instances
from app.policies.membership import Member
from app.policies.roster import Roster
from app.policies.spec import Guards, Policy
from app.ports import Dossier

#: One that has stopped is nobody to wait for; one that is being restarted, or paused, is.
_DOWN = (RunState.CREATED, RunState.EXITED, RunState.DEAD, RunState.REMOVING)


def group_view(
    roster: Roster, member: Member, policy: Policy, dossier: Dossier, *, prefix: str
) -> GroupView:
    """Describe the group of a target as the engine has it."""
    members = roster.group(member.group)
    return GroupView(
        id=str(member.group),
        instances=len(members),
        clones=tuple(m.listed for m in members if m.clone_of is not None),
        originals=tuple(sorted(str(m.target) for m in members if m.clone_of is None)),
        max_instances=max_instances(policy, member.listed.labels, prefix=prefix),
        cooling_until=dossier.cooling_until,
        left_at=dossier.left_at,
    )


def guard_view(
    roster: Roster,
    member: Member,
    container: Container,
    dossier: Dossier,
    policy: Policy,
    rules: Guards,
    *,
    witness: Witness,
    prefix: str,
    now: datetime,
) -> GuardView:
    """Gather what may forbid an action on a target."""
    others = [m.listed for m in roster.group(member.group) if m is not member]
    return GuardView(
        pause=dossier.pause,
        hold=dossier.hold,
        brake=dossier.brake,
        failing=dossier.failing,
        targets=len(roster.targets()),
        deploy_until=deploying_until(
            member.listed,
            roster.neighbours(member),
            witness.changes,
            hold=rules.deploy_hold,
            prefix=prefix,
            now=now,
        ),
        human=witness.human(container.id),
        is_blind=witness.is_blind,
        protected=member.protected,
        start_grace_until=start_grace_until(container, policy, now=now),
        others=sum(one.state not in _DOWN for one in others),
        serving_others=sum(one.is_serving for one in others),
        clones=roster.clones,
    )
