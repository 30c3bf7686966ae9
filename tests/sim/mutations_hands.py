"""Bugs of who acts, when, and on what: attempts, the seat, a store that lost its memory."""

from typing import Final

from tests.sim.bugs import (
    ACT,
    ANY_LEADS,
    NO_COMPARE,
    NO_DEADLINE,
    NO_DECISION,
    NO_FENCE,
    NO_FRAME,
    NO_HASTE,
    NO_LEASE,
    NO_NOTE_FENCE,
    NO_ONE_AT_IT,
    NO_RENEWAL,
    NO_RUN_ID,
    NO_SEAT,
    SEAT,
    SHORT_LEASE,
    TENURE,
    Mutant,
    Py,
    Value,
)

HANDS: Final[dict[str, Mutant]] = {
    "no_compare_anywhere": Mutant((NO_COMPARE, NO_DECISION), "people", rules=("I3",)),
    "no_compare_in_decision": Mutant((NO_DECISION,), "people", rules=("I3",)),
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
        rules=(
            "I3",
            "I2",
        ),
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
        "sluggish",
        point="engine.restart.stopping",
        rules=("I2",),
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
        rules=("I2",),
    ),
    "no_intent": Mutant(
        (
            Py(
                f"{ACT}:Actor._act",
                "await self._records.intend(",
                "await asyncio.sleep(0) if True else await self._records.intend(",
            ),
        ),
        "calm",
        rules=("I12",),
    ),
    "no_leader_check": Mutant((ANY_LEADS, NO_SEAT), "pair", "redis", rules=("I7",)),
    "no_deadline_at_request": Mutant(
        (NO_DEADLINE,),
        "points",
        point="engine.restart.send<",
        what="pause",
        seconds=45.0,
        rules=("I7",),
    ),
    "acts_too_long_after_renewal": Mutant(
        (Value(f"{SEAT}:ACTS", "timedelta(seconds=300)"), NO_HASTE),
        "points",
        point="engine.restart.send<",
        what="pause",
        seconds=45.0,
        rules=("I7",),
    ),
    "no_deadline_in_tenure": Mutant(
        (
            Py(
                f"{SEAT}:Seat.ours_until",
                "return self._renewed_at + ACTS.total_seconds()",
                "return 1e12",
            ),
            NO_HASTE,
        ),
        "points",
        point="engine.restart.send<",
        what="pause",
        seconds=45.0,
        rules=("I7",),
    ),
    "impatient_follower": Mutant(
        (Value(f"{SEAT}:TTL", "timedelta(seconds=2)"),),
        "points",
        point="engine.restart.send<",
        what="pause",
        seconds=4.0,
        rules=("I7",),
    ),
    "no_fence_no_lease": Mutant(
        (
            NO_LEASE,
            NO_FENCE,
            NO_NOTE_FENCE,
            NO_COMPARE,
            NO_DECISION,
            NO_ONE_AT_IT,
            SHORT_LEASE,
            NO_RENEWAL,
        ),
        "lag",
        "redis",
        rules=(
            "I2",
            "I3",
            "I4",
            "I12",
            "V0",
        ),
    ),
    "loss_not_noticed": Mutant(
        (
            Py(
                "app.controller.acquaintance:Acquaintance.recognizes",
                "standing.epoch != self._epoch or standing.fence < known",
                "not standing.epoch",
            ),
            NO_FRAME,
            NO_RUN_ID,
        ),
        "ruins",
        "redis",
        rules=("I10", "I12"),
    ),
    "refounds_without_hold": Mutant(
        (
            Py(f"{TENURE}:Tenure._lose", "lose(why, HOLD)", "lose(why, timedelta(0))"),
            NO_RUN_ID,
        ),
        "ruins",
        rules=("I10",),
    ),
    "no_hold_after_server_restart": Mutant(
        (NO_RUN_ID,),
        "restarts",
        rules=("I10",),
    ),
}
