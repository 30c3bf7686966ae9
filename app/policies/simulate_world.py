"""The made-up world of a simulation: one container, its group, its alert, and what is kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from app.domain.container import Container, RunState
from app.domain.decision import (
    Close,
    Conclude,
    Confirm,
    Decision,
    Hold,
    Idle,
    Reason,
    Relapse,
    Restart,
    ScaleOut,
)
from app.domain.observation import (
    EngineView,
    GroupView,
    GuardView,
    Observation,
    Sickness,
    Symptom,
)
from app.domain.remediation import Action, Remediation
from app.policies import attempts, guards, story
from app.policies.spec import Guards, Mode, Policy

#: When the first notice of the alert is received.
START: Final = datetime(2000, 1, 1, tzinfo=UTC)

_TARGET: Final = "simulated:container"
_ALERT: Final = ("Simulated",)
#: While nothing is open the alert is looked for this often.
_ROUND: Final = timedelta(seconds=15)


@dataclass(slots=True)
class Doings:
    """What has been done about the trouble so far."""

    restarts: int = 0
    scale_outs: int = 0
    #: The last of them.
    acted_at: datetime | None = None
    #: When the last remediation ended.
    closed_at: datetime | None = None


#: Tells whether the alert is active at a moment, after what has been done.
Trouble = Callable[[Doings, datetime], bool]


class World:
    """Answers an observation at any moment, and does and keeps what is decided."""

    def __init__(self, policy: Policy, trouble: Trouble, rules: Guards, *, until: datetime) -> None:
        self._policy = policy
        self._trouble = trouble
        self._rules = rules
        self._until = until
        self._doings = Doings()
        self._source = _container("container", 1, START - timedelta(days=1))
        self._clones: tuple[Container, ...] = ()
        self._ill_since: datetime | None = None
        self._record: Remediation | None = None
        self._previous: Remediation | None = None
        #: When each failed restart, by the id of its attempt, had its verdict.
        self._failures: dict[str, datetime] = {}
        self._cooling_until: datetime | None = None
        self._charged: tuple[datetime, ...] = ()
        #: When to look next; None: nothing happens any more.
        self.due: datetime | None = START

    def observe(self, now: datetime) -> Observation:
        """Look at the container."""
        return Observation(
            target=_TARGET,
            view=EngineView.SEEN,
            container=self._source,
            incarnation="",
            sickness=self._sickness(now),
            remediation=self._record,
            failures=sum(
                now - self._policy.restart.window < at <= now for at in self._failures.values()
            ),
            group=self._group(),
            observe_only=self._policy.mode is Mode.OBSERVE,
            opted_in=True,
            previous=self._previous,
            guards=GuardView(
                start_grace_until=guards.start_grace_until(self._source, self._policy, now=now),
                others=len(self._clones),
                serving_others=len(self._clones),
                clones=len(self._clones),
            ),
        )

    def permitted(self, decision: Decision, *, now: datetime) -> Decision:
        """Hold an action for which there is no budget left; it is asked for as one is begun."""
        if not isinstance(decision, Restart | ScaleOut):
            return decision
        if 0 in guards.budget_left(self._charged, self._rules, now=now):
            return Hold(now + self._policy.verify.poll, Reason.BUDGET)
        return decision

    def carry_out(self, decision: Decision, seen: Observation, *, now: datetime) -> None:
        """Do what was decided, and keep it as the controller does."""
        record = self._record
        if record is None and story.opens(decision, seen):
            record = story.opened(seen, decision, policy=self._policy.name, now=now)
        if record is None:
            self.due = self._next_need(now) if isinstance(decision, Idle) else now
            return
        if isinstance(decision, Restart | ScaleOut):
            record = self._act(record, seen, decision, now=now)
        else:
            record = story.advanced(record, seen, decision, now=now)
            self._keep(record, decision, now=now)
        self._record, self.due = record, record.next_at
        if isinstance(decision, Close):
            self._record, self._previous = None, record
            # What only covered a restart leaves with the need for it.
            covers = {one.clone_id for one in record.attempts if attempts.only_covers(one)}
            self._clones = tuple(one for one in self._clones if one.id not in covers)
            self._doings.closed_at = now
            self.due = self._next_need(now)

    def _act(
        self, record: Remediation, seen: Observation, decision: Restart | ScaleOut, *, now: datetime
    ) -> Remediation:
        self._charged = (*self._charged, now)
        record = attempts.begun(record, seen, decision, now=now)
        self._doings.acted_at = now
        if isinstance(decision, Restart):
            self._doings.restarts += 1
            container = self._source = replace(self._source, started_at=_stamp(now))
        else:
            self._doings.scale_outs += 1
            self._cooling_until = now + self._policy.scale_out.cooldown
            number = self._doings.scale_outs + 1
            container = _container(f"container-{number}", number, now)
            self._clones = (*self._clones, container)
        record = attempts.acted(record, now=now, container=container)
        record = replace(record, next_at=now + self._policy.verify.poll)
        return story.logged(record, decision, now=now)

    def _keep(self, record: Remediation, decision: Decision, *, now: datetime) -> None:
        """Remember what outlasts the record of one remediation."""
        if isinstance(decision, Confirm):
            # The cooldown counts from here. A scale-out consumes the failures of its group; one
            # that only covers a restart does not.
            attempt = record.last_attempt
            assert attempt is not None
            if attempt.reason is not Reason.COVER:
                self._failures.clear()
            self._cooling_until = now + self._policy.scale_out.cooldown
        judged = record
        if isinstance(decision, Relapse) and record.relapse_of is not None and not record.attempts:
            assert self._previous is not None
            judged = self._previous = story.flipped(self._previous, record, now=now)
        if isinstance(decision, Conclude | Relapse):
            attempt = judged.last_attempt
            assert attempt is not None
            if attempt.is_failed_restart:
                self._failures[attempt.id] = now

    def _sickness(self, now: datetime) -> Sickness:
        if not self._trouble(self._doings, now):
            self._ill_since = None
            return Sickness(symptom=Symptom.ABSENT, resolved=True)
        self._ill_since = self._ill_since or now
        return Sickness(symptom=Symptom.ACTIVE, alerts=_ALERT, since=self._ill_since)

    def _group(self) -> GroupView:
        open_attempt = self._record.open_attempt if self._record is not None else None
        scaling_out = open_attempt is not None and open_attempt.action is Action.SCALE_OUT
        return GroupView(
            id=_TARGET,
            instances=1 + len(self._clones),
            clones=self._clones,
            originals=(_TARGET,),
            max_instances=self._policy.scale_out.max_instances,
            fresh_clone=self._clones[-1] if scaling_out and self._clones else None,
            cooling_until=self._cooling_until,
        )

    def _next_need(self, now: datetime) -> datetime | None:
        """Find when the trouble comes back; None: not in this simulation."""
        while now <= self._until:
            if self._trouble(self._doings, now):
                return now
            now += _ROUND
        return None


def _container(name: str, number: int, started_at: datetime) -> Container:
    return Container(
        id=f"{number:064x}",
        name=name,
        image="simulated",
        image_id="simulated",
        labels={},
        state=RunState.RUNNING,
        started_at=_stamp(started_at),
    )


def _stamp(at: datetime) -> str:
    """Write a moment as the engine does."""
    return at.isoformat().replace("+00:00", "Z")
