"""Gather one Observation through the ports."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.controller.picture import Picture, Pictures
from app.controller.readiness import Readiness
from app.domain.alert import KnownAlert
from app.domain.container import Container
from app.domain.observation import EngineView, GroupView, Observation, Refusal, Sickness, Symptom
from app.domain.remediation import Action, Remediation
from app.domain.target import TargetId
from app.errors import ContainerGone, EngineRefused, EngineUnavailable, SourceUnavailable
from app.policies.match import incarnation, max_instances, most_careful, policy_for, policy_named
from app.policies.roster import Found, Member, OptIn, Roster
from app.policies.spec import Mode, Patience, Policy, Rulebook
from app.policies.symptom import (
    Evidence,
    Pulled,
    Unreachable,
    newly_listed,
    sample_doubt,
    sickness,
)
from app.ports import Claim, Clock, ContainerEngine, Dossier, SampleSource, Store

_NOTHING_KNOWN: Final = Sickness(symptom=Symptom.UNKNOWN, doubt="the container cannot be looked at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An observation, and what belongs to it but decides nothing."""

    observation: Observation
    policy: Policy
    #: Alerts as they were read, so that what is over can be forgotten.
    known: tuple[KnownAlert, ...]
    #: Fingerprints that the API has listed for the first time.
    newly_listed: tuple[str, ...] = ()


class Observer:
    """Looks at one target: the store, the engine, Alertmanager, Prometheus."""

    def __init__(
        self,
        engine: ContainerEngine,
        pictures: Pictures,
        readiness: Readiness,
        samples: SampleSource | None,
        store: Store,
        clock: Clock,
        *,
        rulebook: Rulebook,
        patience: Patience,
        prefix: str,
        mode: Mode,
    ) -> None:
        self._engine = engine
        self._pictures = pictures
        self._readiness = readiness
        self._samples = samples
        self._store = store
        self._clock = clock
        self._rulebook = rulebook
        self._patience = patience
        self._prefix = prefix
        self._mode = mode
        #: Names of containers whose samples were seen once: for these, none is a doubt.
        self._measured: set[str] = set()

    async def observe(self, claim: Claim, *, now: datetime) -> Seen:
        """
        Gather all that a decision about a target may use.

        :raises StoreUnavailable:
        """
        try:
            try:
                return await self._look(claim, await self._pictures.take(), now=now)
            except ContainerGone:
                # The listing is a moment old: its slot may have a new container by now.
                return await self._look(claim, await self._pictures.take(fresh=True), now=now)
        except ContainerGone:
            view = EngineView.GONE
        except (EngineUnavailable, EngineRefused):
            view = EngineView.DOWN
        dossier = await self._read(claim, claim.target, now=now)
        return self._without_container(claim, dossier, view)

    async def _look(self, claim: Claim, picture: Picture, *, now: datetime) -> Seen:
        """Observe with the engine's help. :raises ContainerGone:, EngineUnavailable"""
        target = TargetId.parse(claim.target)
        members = picture.roster.at(target)
        if not members:
            raise ContainerGone(claim.target)
        member = members[0]
        dossier = await self._read(claim, str(member.group), now=now)
        if len(members) > 1:
            return self._without_container(claim, dossier, EngineView.AMBIGUOUS)
        container = await self._engine.inspect(member.listed.id)
        clone = await self._fresh_clone(dossier.remediation, picture.roster)

        pulled = picture.of(target)
        evidence = Evidence(
            known=dossier.alerts,
            on_clones=self._on_clones(dossier.alerts, picture.roster),
            pulled=pulled,
            stale=await self._stale(target, container, pulled, dossier, now=now),
        )
        sick = sickness(evidence, now=now, expiry=self._rulebook.alert_expiry)
        policy = self._policy(dossier, member, sick)
        observation = Observation(
            target=claim.target,
            view=EngineView.SEEN,
            container=container,
            incarnation=incarnation(member.listed),
            sickness=sick,
            remediation=dossier.remediation,
            failures=await self._failures(claim, dossier, policy, now=now),
            group=await self._group(picture.roster, member, policy, dossier, clone, sick, now=now),
            observe_only=most_careful(self._mode, policy.mode, member.mode) is Mode.OBSERVE,
            # A clone that has come into the slot of a removed original has no ladder.
            opted_in=member.opt_in is not OptIn.NO
            and member.clone_of is None
            and not member.is_swarm_task,
        )
        return Seen(
            observation=observation,
            policy=policy,
            known=dossier.alerts,
            newly_listed=newly_listed(dossier.alerts, pulled),
        )

    async def _failures(
        self, claim: Claim, dossier: Dossier, policy: Policy, *, now: datetime
    ) -> int:
        window = policy.restart.window
        if window == self._rulebook.defaults.restart.window:
            return dossier.failures
        return await self._store.failures.count(claim.target, now=now, window=window)

    async def _read(self, claim: Claim, group: str, *, now: datetime) -> Dossier:
        window = self._rulebook.defaults.restart.window
        return await self._store.records.read(claim, group=group, now=now, window=window)

    def _without_container(self, claim: Claim, dossier: Dossier, view: EngineView) -> Seen:
        remediation = dossier.remediation
        group = remediation.group if remediation is not None else claim.target
        # For a container that is gone its alerts decide nothing; of one that cannot be
        # looked at, nobody can tell.
        gone = view is EngineView.GONE
        sick = Sickness(symptom=Symptom.ABSENT) if gone else _NOTHING_KNOWN
        return Seen(
            observation=Observation(
                target=claim.target,
                view=view,
                container=None,
                incarnation="",
                sickness=sick,
                remediation=remediation,
                failures=dossier.failures,
                group=GroupView(id=group, instances=0, clones=(), originals=(), max_instances=0),
                opted_in=True,  # as far as is known: nothing is done to what is not seen
            ),
            policy=self._policy_of(remediation),
            known=dossier.alerts,
        )

    def _policy_of(self, remediation: Remediation | None) -> Policy:
        if remediation is None:
            return self._rulebook.defaults
        return policy_named(self._rulebook, remediation.policy)

    def _policy(self, dossier: Dossier, member: Member, sick: Sickness) -> Policy:
        if dossier.remediation is not None:
            return policy_named(self._rulebook, dossier.remediation.policy)
        alert = sick.alerts[0] if sick.alerts else ""
        return policy_for(self._rulebook, member.listed.labels, alert, prefix=self._prefix)

    def _on_clones(self, known: tuple[KnownAlert, ...], roster: Roster) -> frozenset[str]:
        found = set()
        for one in known:
            about = roster.resolve(one.alert.labels, target_labels=self._rulebook.target_labels)
            if isinstance(about, Found) and not about.on_source:
                found.add(one.alert.fingerprint)
        return frozenset(found)

    async def _stale(
        self,
        target: TargetId,
        container: Container,
        pulled: Pulled | Unreachable | None,
        dossier: Dossier,
        *,
        now: datetime,
    ) -> str | None:
        """Tell why the target's samples prove nothing; None when fresh or nobody measures it."""
        if self._samples is None or not isinstance(pulled, Pulled):
            return None
        if not pulled.fingerprints and not any(known.listed for known in dossier.alerts):
            return None
        try:
            newest = await self._samples.newest_sample(
                engine=target.engine, container=container.name, now=now
            )
        except SourceUnavailable as exc:
            return str(exc)
        if newest is not None:
            self._measured.add(container.name)
        elif container.name in self._measured:
            return "Prometheus has lost the samples of the container"
        # The clock is read again: the answer may be newer than this step.
        return sample_doubt(newest, now=self._clock.now(), patience=self._patience)

    async def _fresh_clone(
        self, remediation: Remediation | None, roster: Roster
    ) -> Container | None:
        attempt = remediation.open_attempt if remediation is not None else None
        if attempt is None or attempt.action is not Action.SCALE_OUT:
            return None
        clone_id = attempt.clone_id
        if clone_id is None:
            made = roster.made_by(attempt.id, self._prefix)
            clone_id = made.listed.id if made is not None else None
        if clone_id is None:
            return None
        try:
            return await self._engine.inspect(clone_id)
        except ContainerGone:
            return None

    async def _group(
        self,
        roster: Roster,
        member: Member,
        policy: Policy,
        dossier: Dossier,
        clone: Container | None,
        sick: Sickness,
        *,
        now: datetime,
    ) -> GroupView:
        members = roster.group(member.group)
        refusal: Refusal | None = None
        if sick.symptom is Symptom.ACTIVE:
            # Asked only where the answer can matter: it costs the engine four requests.
            refusal = await self._readiness.refusal(member.listed.id, policy.scale_out, now=now)
        return GroupView(
            id=str(member.group),
            instances=len(members),
            clones=tuple(m.listed for m in members if m.clone_of is not None),
            originals=tuple(sorted(str(m.target) for m in members if m.clone_of is None)),
            max_instances=max_instances(policy, member.listed.labels, prefix=self._prefix),
            fresh_clone=clone,
            cooling_until=dossier.cooling_until,
            refusal=refusal,
        )
