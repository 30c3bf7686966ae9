"""Bugs of guards, of the budget, and of how alerts are taken on."""

from typing import Final

from tests.sim.bugs import (
    ACT,
    ANY_LEADS,
    GUARDS,
    LADDER,
    LOOK,
    NO_DEADLINE,
    NO_DECISION,
    NO_LAST_HOLD,
    NO_LAST_PAUSE,
    NO_LAST_STATE,
    NO_SEAT,
    Lua,
    Mutant,
    Py,
)

GUARD_BUGS: Final[dict[str, Mutant]] = {
    "ignores_pause": Mutant(
        (
            Py(
                f"{GUARDS}:hold",
                "((guards.hold, Reason.HOLD), (guards.pause, Reason.PAUSE))",
                "((guards.hold, Reason.HOLD),)",
            ),
            NO_LAST_PAUSE,
        ),
        "people",
        rules=("I11",),
    ),
    "ignores_hold": Mutant(
        (
            Py(
                f"{GUARDS}:hold",
                "((guards.hold, Reason.HOLD), (guards.pause, Reason.PAUSE))",
                "((guards.pause, Reason.PAUSE),)",
            ),
            NO_LAST_HOLD,
        ),
        "held",
        rules=("I11",),
    ),
    "restarts_what_a_person_stopped": Mutant(
        (
            Py(f"{GUARDS}:not_fit", "container is None or container.is_running", "True"),
            NO_LAST_STATE,
            Py(LOOK, "observed.is_running and container.state is RunState.PAUSED", "False"),
            NO_DECISION,
        ),
        "stopped",
        rules=("I8",),
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
        rules=("I8",),
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
        rules=("I8",),
    ),
    "observe_mode_acts": Mutant(
        (
            Py(
                f"{LADDER}:_restart",
                "return Rehearse(Action.RESTART, reason) if seen.observe_only else step",
                "return step",
            ),
        ),
        "storm",
        rules=("I8",),
    ),
    "wrong_engine_acts": Mutant(
        (Py("app.policies.roster:whose", "if named == engine:", "if named:"),),
        "calm",
        rules=(
            "I8",
            "H1",
        ),
    ),
    "no_burst": Mutant(
        (Py(f"{ACT}:_limits", "burst=rules.burst,", "burst=999,"),), "storm", rules=("I5",)
    ),
    "no_concurrency": Mutant(
        (
            Py(f"{ACT}:_limits", "concurrent=rules.concurrent,", "concurrent=999,"),
            Py(
                f"{ACT}:_limits",
                "spacing=guards.spacing(seen.policy, attempt.trigger),",
                "spacing=timedelta(0),",
            ),
        ),
        "storm",
        rules=("I4",),
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
        rules=("I5",),
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
        rules=("I5",),
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
        rules=("I9",),
    ),
    "min_healthy_ignored": Mutant(
        (
            Py(f"{GUARDS}:_takes_the_last_one", "guards = seen.guards", "return False"),
            Py(f"{GUARDS}:out_of_group", "return max(1, instances // 3)", "return 99"),
            Py(
                f"{ACT}:_limits",
                "out_of_group=guards.out_of_group(group.instances),",
                "out_of_group=99,",
            ),
            Py(
                f"{ACT}:_limits",
                "spacing=guards.spacing(seen.policy, attempt.trigger),",
                "spacing=timedelta(0),",
            ),
        ),
        "crowd",
        rules=("I6",),
    ),
    "accepts_before_the_write": Mutant(
        (
            Py(
                "app.controller.intake:Intake._accepted",
                "return await self._inbox.accept(notices, asides, now=now)",
                "later = lambda: asyncio.create_task(self._inbox.accept(notices, asides, now=now))"
                "; asyncio.get_running_loop().call_later(2, later)"
                "; return (Taken.ACCEPTED,) * len(notices)",
            ),
        ),
        "pair",
        rules=("I1",),
    ),
    "accepts_although_it_failed": Mutant(
        (
            Py(
                "app.controller.intake:Intake._accepted",
                "raise",
                "return (Taken.ACCEPTED,) * len(notices)",
            ),
        ),
        "torn",
        rules=("I1",),
    ),
    "intent_after_action": Mutant(
        (
            Py(
                f"{ACT}:Actor._act",
                "await self._records.intend(",
                "late = lambda: self._records.intend(",
            ),
            Py(
                f"{ACT}:Actor._act",
                "with self._witness.acting(attempt.container_id):",
                "asyncio.get_running_loop().call_later(3, lambda: asyncio.ensure_future(late()))\n"
                "    with self._witness.acting(attempt.container_id):",
            ),
        ),
        "storm",
        rules=("I12",),
    ),
    "no_dedup": Mutant(
        # Left out altogether it does no harm: what is written anew is the same. So a second notice
        # of an alert is kept as a second alert, whose end nobody will tell.
        # Who can ask is told by that; so here nobody can.
        (
            Lua(
                "accept",
                "if status == 'firing' and known_ms >= starts_ms then",
                "if status == 'firing' and known_ms >= starts_ms then"
                " fingerprint = fingerprint .. '+' end if false then",
            ),
        ),
        "hearsay",
        "redis",
        rules=("H1",),
    ),
    "no_requeue": Mutant(
        (
            Py(
                "app.controller.returns:Returns.give_back",
                "await self._schedule.requeue(",
                "await asyncio.sleep(0) if True else await self._schedule.requeue(",
            ),
            Lua(
                "claim",
                "lost = redis.call('ZRANGEBYSCORE', running",
                "lost = {} or redis.call('ZRANGEBYSCORE', running",
            ),
        ),
        "torn",
        "redis",
        hours=1.0,
        rules=("I9",),
    ),
    "pull_ignored": Mutant(
        (Py("app.controller.resync:Resync.pull", "if notices:", "if False:"),),
        "deaf",
        rules=("I9",),
    ),
    "lost_steps_are_forgotten": Mutant(
        (
            Lua(
                "claim",
                "lost = redis.call('ZRANGEBYSCORE', running",
                "lost = {} or redis.call('ZRANGEBYSCORE', running",
            ),
        ),
        "deaths",
        "redis",
        rules=("I9",),
    ),
    "poison_is_never_buried": Mutant(
        (
            Py(
                "app.controller.strikes:Strikes.is_poison",
                "return claim.lost >= MOST_LOST or",
                "return False and",
            ),
        ),
        "poison",
        rules=("P1",),
    ),
    "claims_while_another_leads": Mutant(
        (NO_SEAT, ANY_LEADS, NO_DEADLINE), "deaths", "redis", rules=("I7",)
    ),
}
