"""Bugs of the ladder, of verdicts and of symptoms."""

from typing import Final

from tests.sim.bugs import (
    LADDER,
    Lua,
    Mutant,
    Py,
)

LADDER_BUGS: Final[dict[str, Mutant]] = {
    "wait_skipped": Mutant(
        (Py(f"{LADDER}:_climb", "if now < due:", "if False:"),),
        "calm",
        rules=("L2",),
    ),
    "wait_too_short": Mutant(
        (Py("app.policies.backoff:due_at", "needed_since +", "needed_since + 0.8 *"),),
        "calm",
        rules=("L2",),
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
        rules=("L1",),
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
        rules=("L3",),
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
        "held",
        "redis",
        rules=("L3",),
    ),
    "window_off_by_half": Mutant(
        (
            Py(
                "app.adapters.store.records:RedisRecords.read",
                "now_ms - span_ms(window),",
                "now_ms - span_ms(window) // 2,",
            ),
        ),
        "tried",
        "redis",
        rules=(
            "L1",
            "L2",
        ),
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
        "stubborn",
        "redis",
        rules=("L3",),
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
        rules=(
            "L1",
            "L2",
        ),
    ),
    "failures_not_consumed": Mutant(
        (Lua("note", "for i = key, #KEYS do", "for i = #KEYS + 1, #KEYS do"),),
        "stubborn",
        "redis",
        rules=("L3", "L5"),
    ),
    "no_cooldown": Mutant(
        (
            Py(
                "app.policies.relief:_relief",
                "cooling_until is not None and now < cooling_until",
                "False",
            ),
            Lua("intend", "if attempt ~= '' and until_at ~= '' then", "if false then"),
        ),
        "stubborn",
        "redis",
        rules=("L4",),
    ),
    "under_cover_again": Mutant(
        (Py("app.policies.relief:under_cover", "or _was_restarted_since(remediation)", ""),),
        "storm",
        rules=("L1",),
    ),
    "no_settle": Mutant(
        (Py("app.policies.verdict:_settling", "if now - since < settle:", "if False:"),),
        "calm",
        rules=("V1",),
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
        rules=("V1",),
    ),
    "unknown_is_absent": Mutant(
        (
            Py(
                "app.policies.symptom:_judge",
                "if asks_api and isinstance(pulled, Pulled) and pulled.dead is not None:",
                "if False:",
            ),
            # A Prometheus that is down tells nobody how old its samples are, either.
            Py(
                "app.policies.symptom:_judge",
                "if evidence.stale is not None and told_by_api and not by_notice:",
                "if False:",
            ),
        ),
        "mute",
        rules=("V2",),
    ),
    "forgotten_is_absent": Mutant(
        (
            Py(
                "app.policies.symptom:_judge",
                "if isinstance(pulled, Pulled) and pulled.forgotten:",
                "if False:",
            ),
        ),
        "blank",
        rules=("V2",),
    ),
    "acts_although_resolved": Mutant(
        (
            Py(
                f"{LADDER}:_between_attempts",
                "return _gone(seen, remediation, policy, patience, now=now)",
                "return _climb(seen, remediation, policy, rules, now=now)",
            ),
        ),
        "calm",
        rules=("H1",),
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
        rules=("S1",),
    ),
    "no_tombstone": Mutant(
        (
            Lua(
                "accept",
                "elseif tomb >= starts_ms or (status == 'resolved' and known_ms >= starts_ms) then",
                "elseif false then",
            ),
        ),
        "echo",
        "redis",
        rules=("H1",),
    ),
}
