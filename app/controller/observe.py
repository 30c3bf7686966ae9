"""Gather one Observation through the ports."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from app.controller.beside import fresh_clone, measure
from app.controller.freshness import Freshness
from app.controller.picture import Picture, Pictures
from app.controller.readiness import Readiness
from app.controller.replaced import in_its_place, is_replaced
from app.controller.rules import Rules
from app.controller.surroundings import group_view, guard_view
from app.controller.witness import Witness
from app.domain.alert import KnownAlert
from app.domain.container import Container
from app.domain.control import OrderKind
from app.domain.fidelity import FidelityReport
from app.domain.observation import (
    EngineView,
    GroupView,
    GuardView,
    Observation,
    Refusal,
    Sickness,
    Symptom,
)
from app.domain.target import TargetId
from app.errors import ContainerGone, EngineRefused, EngineUnavailable
from app.policies import story
from app.policies.match import incarnation, most_careful, policy_for, policy_named
from app.policies.membership import Member, OptIn
from app.policies.namesakes import told_apart
from app.policies.roster import Roster
from app.policies.spec import Mode, Policy, Rulebook
from app.policies.symptom import Evidence, Pulled, elsewhere, newly_listed, sickness
from app.ports import ContainerEngine, Dossier, Store

_NOTHING_KNOWN: Final = Sickness(symptom=Symptom.UNKNOWN, doubt="the container cannot be looked at")

_UNTOLD: Final = Sickness(
    symptom=Symptom.UNKNOWN, doubt="no Alertmanager tells of a clone whose source is gone"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An observation, and what belongs to it but decides nothing."""

    observation: Observation
    policy: Policy
    #: The rulebook that the policy is from.
    book: Rulebook
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
        freshness: Freshness,
        store: Store,
        witness: Witness,
        *,
        rules: Rules,
        prefix: str,
        mode: Mode,
    ) -> None:
        self._engine = engine
        self._pictures = pictures
        self._readiness = readiness
        self._freshness = freshness
        self._store = store
        self._witness = witness
        self._rules = rules
        self._prefix = prefix
        self._mode = mode

    async def observe(self, target: str, *, now: datetime, wants_clone: bool = False) -> Seen:
        """
        Gather all that a decision about a target may use.

        :param wants_clone: tell whether a clone could be made, ill or not
        :raises StoreUnavailable:
        """
        look = _Look(target=target, book=self._rules.book, now=now, wants_clone=wants_clone)
        try:
            try:
                return await self._look(look, await self._pictures.take())
            except ContainerGone:
                # The listing is a moment old: its slot may have a new container by now.
                return await self._look(look, await self._pictures.take(fresh=True))
        except ContainerGone:
            view = EngineView.GONE
        except (EngineUnavailable, EngineRefused):
            view = EngineView.DOWN
        return self._without_container(look, await self._read(look, target), view)

    async def fidelity(
        self, container_id: str, policy: Policy, *, now: datetime
    ) -> FidelityReport | None:
        """Tell what a clone would share with its source; None where nobody can say now."""
        reserve = self._rules.book.guards.reserve
        return await self._readiness.full_report(container_id, policy.scale_out, reserve, now=now)

    async def _look(self, look: "_Look", picture: Picture) -> Seen:
        """Observe with the engine's help. :raises ContainerGone:, EngineUnavailable"""
        target = TargetId.parse(look.target)
        members = picture.roster.at(target)
        if not members:
            raise ContainerGone(look.target)
        member = members[0]
        dossier = await self._read(look, str(member.group))
        if len(members) > 1:
            return self._without_container(look, dossier, EngineView.AMBIGUOUS)
        container = await self._engine.inspect(member.listed.id)
        clone = await fresh_clone(
            self._engine, dossier.remediation, picture.roster, prefix=self._prefix
        )

        pulled = picture.of(target)
        known, on_clones = told_apart(
            dossier.alerts, picture.roster, target_labels=look.book.target_labels
        )
        in_group = picture.roster.group(member.group)
        is_off = await is_replaced(self._store.scaling, container, in_group, prefix=self._prefix)
        # Whoever serves in its place has the samples that matter.
        measured = in_its_place(container, in_group) if is_off else container
        evidence = Evidence(
            known=known,
            on_clones=on_clones,
            pulled=pulled,
            stale=await self._freshness.doubt(target, measured, pulled, dossier, now=look.now),
        )
        sick = sickness(evidence, now=look.now, expiry=look.book.alert_expiry)
        if member.clone_of is not None and not isinstance(pulled, Pulled):
            sick = _UNTOLD  # no notice about a clone without a source is taken on
        if is_off:
            sick = elsewhere(evidence, sick, now=look.now, expiry=look.book.alert_expiry)
        policy = self._policy(look, dossier, member, sick)
        observation = Observation(
            target=look.target,
            view=EngineView.SEEN,
            container=container,
            incarnation=incarnation(member.listed),
            sickness=sick,
            remediation=dossier.remediation,
            failures=await self._failures(look, dossier, policy),
            group=await self._group(look, picture.roster, member, policy, dossier, sick, clone),
            observe_only=most_careful(self._mode, policy.mode, member.mode) is Mode.OBSERVE,
            # A clone that has come into the slot of a removed original has no ladder.
            opted_in=member.opt_in is not OptIn.NO
            and member.clone_of is None
            and not member.is_swarm_task,
            is_replaced=is_off,
            may_open=picture.may_open,
            previous=dossier.previous,
            order=dossier.order,
            guards=guard_view(
                picture.roster,
                member,
                container,
                dossier,
                policy,
                look.book.guards,
                witness=self._witness,
                prefix=self._prefix,
                now=look.now,
            ),
        )
        return Seen(
            observation=observation,
            policy=policy,
            book=look.book,
            known=dossier.alerts,
            newly_listed=newly_listed(dossier.alerts, pulled),
        )

    async def _failures(self, look: "_Look", dossier: Dossier, policy: Policy) -> int:
        window = policy.restart.window
        if window == look.book.defaults.restart.window:
            return dossier.failures
        return await self._store.failures.count(look.target, now=look.now, window=window)

    async def _read(self, look: "_Look", group: str) -> Dossier:
        book = look.book
        dossier = await self._store.records.read(
            look.target,
            group=group,
            now=look.now,
            window=book.defaults.restart.window,
            brake_window=book.guards.brake.window,
        )
        record = story.taken_up(dossier.remediation, now=look.now)
        is_same = record is dossier.remediation
        return dossier if is_same else replace(dossier, remediation=record)

    def _without_container(self, look: "_Look", dossier: Dossier, view: EngineView) -> Seen:
        remediation = dossier.remediation
        group = remediation.group if remediation is not None else look.target
        # For a container that is gone its alerts decide nothing; of one that cannot be
        # looked at, nobody can tell.
        gone = view is EngineView.GONE
        sick = Sickness(symptom=Symptom.ABSENT) if gone else _NOTHING_KNOWN
        policy = look.book.defaults
        if remediation is not None:
            policy = policy_named(look.book, remediation.policy)
        return Seen(
            observation=Observation(
                target=look.target,
                view=view,
                container=None,
                incarnation="",
                sickness=sick,
                remediation=remediation,
                failures=dossier.failures,
                group=GroupView(id=group, instances=0, clones=(), originals=(), max_instances=0),
                opted_in=True,  # as far as is known: nothing is done to what is not seen
                previous=dossier.previous,
                order=dossier.order,
                guards=GuardView(pause=dossier.pause, hold=dossier.hold, brake=dossier.brake),
            ),
            policy=policy,
            book=look.book,
            known=dossier.alerts,
        )

    async def _group(
        self,
        look: "_Look",
        roster: Roster,
        member: Member,
        policy: Policy,
        dossier: Dossier,
        sick: Sickness,
        clone: Container | None,
    ) -> GroupView:
        order = dossier.order
        is_wanted = look.wants_clone or (order is not None and order.kind is OrderKind.SCALE_OUT)
        refusal: Refusal | None = None
        if is_wanted or sick.symptom is Symptom.ACTIVE:
            # Asked only where the answer can matter: it costs the engine four requests, and for
            # what the host has free a few seconds; of that a step is told as it acts.
            refusal = await self._readiness.refusal(
                member.listed.id,
                policy.scale_out,
                now=look.now,
                reserve=look.book.guards.reserve if look.wants_clone else None,
            )
        used = await measure(
            self._engine, dossier.remediation, member.listed.id, clone, policy, now=look.now
        )
        group = group_view(roster, member, policy, dossier, prefix=self._prefix)
        if clone is None and refusal is None and used is None:
            return group
        return replace(group, fresh_clone=clone, refusal=refusal, used=used)

    def _policy(self, look: "_Look", dossier: Dossier, member: Member, sick: Sickness) -> Policy:
        if dossier.remediation is not None:
            return policy_named(look.book, dossier.remediation.policy)
        alert = sick.alerts[0] if sick.alerts else ""
        return policy_for(look.book, member.listed.labels, alert, prefix=self._prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What one observation is about, the same from its beginning to its end."""

    target: str
    book: Rulebook
    now: datetime
    wants_clone: bool
