"""
Bugs to plant, each with the simulation that should find it.

A change is text for text, in a function or in a Lua script: one whose text is gone is an error,
not a bug that was caught. Several changes switch off the layers that would mask the first.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Py:
    """Of a function ``module:name`` or ``module:Class.name``: one text becomes another."""

    where: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Lua:
    """Of a script."""

    script: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Value:
    """Of a module's constant."""

    where: str
    value: str


@dataclass(frozen=True, slots=True)
class Adapter:
    """A check of the engine's adapter is left out: ``compares`` or ``checks_deadline``."""

    flag: str


Change = Py | Lua | Value | Adapter


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted bug."""

    changes: tuple[Change, ...]
    profile: str = "faults"
    backend: str = "memory"
    #: Where one point matters more than chance.
    point: str | None = None
    what: str = "kill"
    seconds: float = 0.0


_LADDER: Final = "app.policies.ladder"
_GUARDS: Final = "app.policies.guards"
_ACT: Final = "app.controller.act"
_TENURE: Final = "app.controller.tenure"
_SEAT: Final = "app.controller.seat"
_LOOK: Final = "app.controller.last_look:LastLook.changes"

NO_COMPARE: Final = Adapter("compares")
NO_DEADLINE: Final = Adapter("checks_deadline")
NO_DECISION: Final = Py(
    f"{_LADDER}:_climb",
    "if container.started_at != remediation.planned_started_at and not by_engine:",
    "if False:",
)
NO_LAST_PAUSE: Final = Py(_LOOK, "pause is not None and not pause.is_over(now)", "False")
NO_LAST_HOLD: Final = Py(_LOOK, "hold is not None and not hold.is_over(now)", "False")
NO_LAST_STATE: Final = Py(_LOOK, "observed.is_running and not container.is_running", "False")
NO_SEAT: Final = Lua("frame", "if life ~= '' and redis", "if false and redis")
ANY_LEADS: Final = Py(
    f"{_SEAT}:Seat.is_ours", "self._last.life == self._life and not self._is_left", "True"
)
NO_FENCE: Final = Lua(
    "intend", "if redis.call('HGET', leases, target) ~= fence then", "if false then"
)
NO_NOTE_FENCE: Final = Lua(
    "note", "if redis.call('HGET', leases, target) ~= fence then", "if false then"
)
NO_LEASE: Final = Lua("claim", "if not lease then", "if true then")
NO_FRAME: Final = Lua("frame", "if epoch ~= '' then", "if false then")

MUTANTS: Final[dict[str, Mutant]] = {
    # ------------------------------------------------ StartedAt, attempts, recovery
    "no_compare_anywhere": Mutant((NO_COMPARE, NO_DECISION), "people"),
    "no_compare_in_decision": Mutant((NO_DECISION,), "people"),
    "adopts_nothing": Mutant(
        (
            Py(
                "app.policies.recovery:settle",
                "if container.started_at != attempt.started_before:",
                "if False:",
            ),
            NO_COMPARE,
        ),
        "points",
        point="engine.restart.send>",
    ),
    "recovers_too_early": Mutant(
        (
            Py("app.policies.recovery:settle", "if now < over_at:", "if False:"),
            Py(
                "app.policies.recovery:settle",
                "if container.state in _STOPPED and not attempt.started_again:",
                "if False:",
            ),
            NO_COMPARE,
        ),
        "points",
        point="engine.restart.stopping",
    ),
    "new_id_on_resume": Mutant(
        (
            Py(
                "app.policies.attempts:begun",
                "replace(last, intent_at=now, error=None)",
                "replace(last, id=f'{last.id}0', intent_at=now, error=None)",
            ),
        ),
        "points",
        point="records.intend>",
    ),
    "no_intent": Mutant(
        (
            Py(
                f"{_ACT}:Actor._act",
                "await self._records.intend(",
                "await asyncio.sleep(0) if True else await self._records.intend(",
            ),
        ),
        "calm",
    ),
    # ------------------------------------------------ who leads
    "no_leader_check": Mutant((ANY_LEADS, NO_SEAT), "pair", "redis"),
    "no_deadline_at_request": Mutant(
        (NO_DEADLINE,), "points", point="engine.restart.send<", what="pause", seconds=45.0
    ),
    "acts_too_long_after_renewal": Mutant(
        (Value(f"{_SEAT}:ACTS", "timedelta(seconds=300)"),),
        "points",
        point="engine.restart.send<",
        what="pause",
        seconds=45.0,
    ),
    "no_deadline_in_tenure": Mutant(
        (
            Py(
                f"{_SEAT}:Seat.ours_until",
                "return self._renewed_at + ACTS.total_seconds()",
                "return 1e12",
            ),
        ),
        "points",
        point="engine.restart.send<",
        what="pause",
        seconds=45.0,
    ),
    "impatient_follower": Mutant((Value(f"{_SEAT}:TTL", "timedelta(seconds=2)"),), "pair"),
    "no_fence_no_lease": Mutant(
        (NO_LEASE, NO_FENCE, NO_NOTE_FENCE, NO_COMPARE, NO_DECISION), "storm", "redis"
    ),
    # ------------------------------------------------ a store that has lost its memory
    "loss_not_noticed": Mutant(
        (
            Py(
                "app.controller.acquaintance:Acquaintance.compare",
                "standing.epoch == self._epoch and standing.fence >= known",
                "standing.epoch",
            ),
            NO_FRAME,
        ),
        "store",
        "redis",
    ),
    "refounds_without_hold": Mutant(
        (Py(f"{_TENURE}:Tenure._take_in", "HOLD,", "timedelta(0),"),),
        "losses",
    ),
    "no_hold_after_server_restart": Mutant(
        (Py(f"{_TENURE}:Tenure._mind_the_server", 'self.hold("Redis was restarted")', "return"),),
        "restarts",
    ),
    # ------------------------------------------------ the ladder
    "wait_skipped": Mutant(
        (Py(f"{_LADDER}:_climb", "if scale_out is None and now < due:", "if False:"),), "calm"
    ),
    "wait_too_short": Mutant(
        (Py("app.policies.backoff:due_at", "needed_since +", "needed_since + 0.8 *"),), "calm"
    ),
    "one_failure_more": Mutant(
        (
            Py(
                "app.policies.relief:why_relief",
                "failures >= policy.restart.max_failed",
                "failures > policy.restart.max_failed",
            ),
        ),
        "storm",
    ),
    "one_failure_less": Mutant(
        (
            Py(
                "app.policies.relief:why_relief",
                "failures >= policy.restart.max_failed",
                "failures + 1 >= policy.restart.max_failed",
            ),
        ),
        "storm",
    ),
    "failures_never_age": Mutant(
        (
            Py(
                "app.adapters.store.records:RedisRecords.read",
                "now_ms - span_ms(window),",
                "0,",
            ),
            Lua("note", "redis.call('ZREMRANGEBYSCORE', failures, '-inf', edge)", "edge = edge"),
        ),
        "engine",
        "redis",
    ),
    "window_off_by_half": Mutant(
        (
            Py(
                "app.adapters.store.records:RedisRecords.read",
                "now_ms - span_ms(window),",
                "now_ms - span_ms(window) // 2,",
            ),
        ),
        "engine",
        "redis",
    ),
    "failure_counted_twice": Mutant(
        (
            Lua(
                "note",
                "redis.call('ZADD', failures, 'NX', now, failed_attempt) == 1",
                "redis.call('ZADD', failures, 'NX', now, failed_attempt, now,"
                " failed_attempt .. '+') == 2",
            ),
        ),
        "storm",
        "redis",
    ),
    "failures_not_counted": Mutant(
        (
            Lua(
                "note",
                "redis.call('ZADD', failures, 'NX', now, failed_attempt) == 1",
                "false",
            ),
        ),
        "storm",
        "redis",
    ),
    "failures_not_consumed": Mutant(
        (Lua("note", "for i = key, #KEYS do", "for i = #KEYS + 1, #KEYS do"),), "storm", "redis"
    ),
    "no_cooldown": Mutant(
        (
            Py(
                "app.policies.relief:_relief",
                "group.cooling_until is not None and now < group.cooling_until",
                "False",
            ),
            Lua("intend", "if attempt ~= '' and until_at ~= '' then", "if false then"),
        ),
        "storm",
        "redis",
    ),
    # ------------------------------------------------ verdicts and symptoms
    "no_settle": Mutant(
        (Py("app.policies.verdict:_settling", "if now - since < settle:", "if False:"),), "calm"
    ),
    "half_a_settle": Mutant(
        (
            Py(
                "app.policies.verdict:_settling",
                "if now - since < settle:",
                "if now - since < settle / 2:",
            ),
        ),
        "calm",
    ),
    "unknown_is_absent": Mutant(
        (
            Py(
                "app.policies.symptom:_judge",
                "if asks_api and isinstance(pulled, Pulled) and pulled.dead is not None:",
                "if False:",
            ),
        ),
        "chain",
    ),
    "forgotten_is_absent": Mutant(
        (
            Py(
                "app.policies.symptom:_judge",
                "if isinstance(pulled, Pulled) and pulled.forgotten:",
                "if False:",
            ),
        ),
        "chain",
    ),
    "acts_although_resolved": Mutant(
        (
            Py(
                f"{_LADDER}:_between_attempts",
                "return _gone(seen, remediation, policy, patience, now=now)",
                "return _climb(seen, remediation, policy, rules, now=now)",
            ),
        ),
        "calm",
    ),
    "ignores_silence": Mutant(
        (
            Py(
                "app.policies.symptom:_judge",
                "[a for a in pulled.on_source if a.state is ListedState.ACTIVE]",
                "list(pulled.on_source)",
            ),
        ),
        "people",
    ),
    "no_tombstone": Mutant(
        (
            Lua(
                "accept",
                "elseif tomb >= starts_ms or (status == 'resolved' and known_ms >= starts_ms) then",
                "elseif false then",
            ),
        ),
        "late",
        "redis",
    ),
    # ------------------------------------------------ guards
    "ignores_pause": Mutant(
        (
            Py(
                f"{_GUARDS}:hold",
                "((guards.hold, Reason.HOLD), (guards.pause, Reason.PAUSE))",
                "((guards.hold, Reason.HOLD),)",
            ),
            NO_LAST_PAUSE,
        ),
        "people",
    ),
    "ignores_hold": Mutant(
        (
            Py(
                f"{_GUARDS}:hold",
                "((guards.hold, Reason.HOLD), (guards.pause, Reason.PAUSE))",
                "((guards.pause, Reason.PAUSE),)",
            ),
            NO_LAST_HOLD,
        ),
        "people",
    ),
    "restarts_what_a_person_stopped": Mutant(
        (
            Py(f"{_GUARDS}:not_fit", "container is None or container.is_running", "True"),
            NO_LAST_STATE,
            Py(_LOOK, "observed.is_running and container.state is RunState.PAUSED", "False"),
            NO_DECISION,
        ),
        "people",
    ),
    "opt_in_ignored": Mutant(
        (
            Py(
                "app.policies.membership:_opt_in",
                "word = listed.labels",
                "return OptIn.ENFORCE\n    word = listed.labels",
            ),
        ),
        "calm",
    ),
    "protection_ignored": Mutant(
        (
            Py(
                "app.policies.protect:protection",
                'if one.labels.get(f"{prefix}.protected"',
                'return None\n    if one.labels.get(f"{prefix}.protected"',
            ),
        ),
        "calm",
    ),
    "observe_mode_acts": Mutant(
        (
            Py(
                f"{_LADDER}:_climb",
                "    if seen.observe_only:\n        return Rehearse",
                "    if False:\n        return Rehearse",
            ),
        ),
        "storm",
    ),
    "wrong_engine_acts": Mutant(
        (Py("app.policies.roster:whose", "if named == engine:", "if named:"),), "calm"
    ),
    "no_burst": Mutant((Py(f"{_ACT}:_limits", "burst=rules.burst,", "burst=999,"),), "storm"),
    "no_concurrency": Mutant(
        (
            Py(f"{_ACT}:_limits", "concurrent=rules.concurrent,", "concurrent=999,"),
            Py(
                f"{_ACT}:_limits",
                "spacing=guards.spacing(seen.policy, attempt.trigger),",
                "spacing=timedelta(0),",
            ),
        ),
        "storm",
    ),
    "charge_missing": Mutant(
        (
            Lua(
                "budget",
                "redis.call('ZADD', keys.charges, 'NX', ms(now), limits.attempt)",
                "now = now",
            ),
        ),
        "storm",
        "redis",
    ),
    "double_charge": Mutant(
        (
            Lua(
                "budget",
                "redis.call('ZADD', keys.charges, 'NX', ms(now), limits.attempt)",
                "redis.call('ZADD', keys.charges, ms(now), limits.attempt .. '+' .. ms(now))",
            ),
        ),
        "points",
        "redis",
        point="records.intend>",
    ),
    "slot_never_freed": Mutant(
        (
            Py(
                "app.controller.note:Notebook.action",
                "freed=attempt.id if",
                "freed=None and attempt.id if",
            ),
            Lua("budget", "ms(limits.slot_end), limits.attempt", "ms(now + 1e10), limits.attempt"),
            Lua("note", "if freed ~= '' then", "if false then"),
        ),
        "storm",
        "redis",
    ),
    "min_healthy_ignored": Mutant(
        (
            Py(f"{_GUARDS}:_takes_the_last_one", "guards = seen.guards", "return False"),
            Py(f"{_GUARDS}:out_of_group", "return max(1, instances // 3)", "return 99"),
            Py(
                f"{_ACT}:_limits",
                "out_of_group=guards.out_of_group(group.instances),",
                "out_of_group=99,",
            ),
            Py(
                f"{_ACT}:_limits",
                "spacing=guards.spacing(seen.policy, attempt.trigger),",
                "spacing=timedelta(0),",
            ),
        ),
        "storm",
    ),
    # ------------------------------------------------ alerts
    "accepts_before_the_write": Mutant(
        (
            Py(
                "app.controller.intake:Intake._accepted",
                "return await self._inbox.accept(notices, asides, now=now)",
                "asyncio.create_task(self._inbox.accept(notices, asides, now=now)); return ()",
            ),
        ),
        "store",
    ),
    "pull_ignored": Mutant(
        (Py("app.controller.resync:Resync.pull", "if notices:", "if False:"),), "chain"
    ),
    "step_not_repeated": Mutant(
        (
            Lua(
                "claim",
                "lost = redis.call('ZRANGEBYSCORE', running",
                "lost = {} or redis.call('ZRANGEBYSCORE', running",
            ),
            Py(
                "app.controller.worker:Worker._give_back",
                "await self._schedule.requeue(",
                "await asyncio.sleep(0) if True else await self._schedule.requeue(",
            ),
        ),
        "deaths",
        "redis",
    ),
    "claims_while_another_leads": Mutant((NO_SEAT, ANY_LEADS, NO_DEADLINE), "deaths", "redis"),
}
