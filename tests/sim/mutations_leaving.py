"""Bugs of how clones leave: who, when, how many, and what becomes of a departure."""

from typing import Final

from tests.sim.bugs import (
    DEPARTURES,
    NO_DEADLINE,
    NO_LABEL,
    SCALE_IN,
    SCALING,
    Lua,
    Mutant,
    Py,
)

_LOOK: Final = "app.controller.lookout:Lookout"
_DEPARTURE: Final = "app.controller.departure:Departure"

#: Nobody may be left because of it, whatever else has gone wrong.
_ANY_RECORD: Final = Py(
    f"{SCALE_IN}:_is_ours", "clone.protected is not None or clone.recorded is None", "False"
)
_NO_GRACE: Final = Py(f"{SCALE_IN}:_is_ours", "now >= clone.known_since + GRACE", "True")
_AT_ONCE: Final = (
    Py(f"{SCALING}._start", "if group in self._running:", "if False:"),
    Py(f"{SCALING}._round", "if str(group) not in self._running:", "if True:"),
)
_OLDEST_FIRST: Final = Py(f"{SCALE_IN}:_newest_first", "reverse=True", "reverse=False")
_NO_REST: Final = Py(f"{SCALE_IN}:unrest", "if rests and now < max(rests)", "if False")

LEAVING_BUGS: Final[dict[str, Mutant]] = {
    "last_that_serves_leaves": Mutant(
        (Py(f"{SCALE_IN}:last_instance", "if any(", "if True or any("),),
        "tides",
        rules=("D2",),
    ),
    # Clones are younger than what they were made from: while the newest goes first, an original
    # that is taken for one of them is never chosen before the last of them has gone.
    "originals_leave": Mutant(
        (
            Py(f"{_LOOK}.look", "if member.clone_of is not None:", "if True:"),
            _OLDEST_FIRST,
            _NO_GRACE,
            _ANY_RECORD,
            NO_LABEL,
        ),
        "ebb",
        rules=("D1",),
    ),
    "leaves_without_a_record": Mutant((_NO_GRACE,), "tides", rules=("D1",)),
    "copies_leave": Mutant(
        (Py(f"{_LOOK}._clone", "recorded = None", "recorded = True"),), "tides", rules=("D1",)
    ),
    "somebody_elses_leave": Mutant(
        (Py(f"{_LOOK}._may_be_forgotten", "listed.created_at <= begun_at + GRACE", "True"),),
        "tides",
        rules=("D1",),
    ),
    "oldest_leaves_first": Mutant((_OLDEST_FIRST,), "ebb", rules=("D6",)),
    "quiet_is_not_waited_for": Mutant(
        (Py(f"{SCALE_IN}:unrest", "if now < since + rules.after:", "if False:"),),
        "ebb",
        rules=("D4",),
    ),
    "leaves_although_needed": Mutant(
        (Py(f"{SCALE_IN}:is_needed", "return crowd.is_open or any(", "return False and any("),),
        "stubborn",
        rules=("D4",),
    ),
    "leaves_beside_a_sick_original": Mutant(
        (
            Py(f"{SCALE_IN}:_ill", "if not one.is_serving", "if False"),
            Py(f"{SCALE_IN}:last_instance", "if any(", "if True or any("),
        ),
        "tides",
        rules=("D4", "D2"),
    ),
    "all_leave_in_a_row": Mutant((_NO_REST,), "ebb", rules=("D5",)),
    "two_leave_at_once": Mutant(
        (
            Py("tests.memory_scaling:MemoryScaling.begin", "if other is not None:", "if False:"),
            *_AT_ONCE,
        ),
        "ebb",
        rules=("D3",),
    ),
    "two_leave_at_once_of_a_real_redis": Mutant(
        (Lua("leave", "if other then", "if false then"), *_AT_ONCE), "ebb", "redis", rules=("D3",)
    ),
    "leaves_while_paused": Mutant(
        (
            Py(
                f"{SCALE_IN}:_guarded",
                "((guard.hold, Reason.HOLD), (guard.pause, Reason.PAUSE))",
                "((guard.hold, Reason.HOLD),)",
            ),
        ),
        "ebb",
        rules=("D7",),
    ),
    "leaves_on_hold": Mutant(
        (
            Py(
                f"{SCALE_IN}:_guarded",
                "((guard.hold, Reason.HOLD), (guard.pause, Reason.PAUSE))",
                "((guard.pause, Reason.PAUSE),)",
            ),
        ),
        "ebb",
        rules=("D7",),
    ),
    "is_not_drained": Mutant(
        (
            Py(
                f"{DEPARTURES}:is_drained",
                "activity.reason is Reason.CLONE_DOWN or now - activity.started_at >= drain",
                "True",
            ),
        ),
        "ebb",
        rules=("D8",),
    ),
    "drain_has_no_end": Mutant(
        (
            Py(f"{DEPARTURES}:is_drained", "now - activity.started_at >= drain", "False"),
            Py(f"{DEPARTURES}:is_quiet", "if before is None", "if True"),
        ),
        "ebb",
        rules=("D9",),
    ),
    "forgets_what_is_under_way": Mutant(
        (
            Py(f"{SCALING}._round", "for activity in under_way:", "for activity in ():"),
            Py(
                f"{SCALING}._begin",
                "self._start(begun)",
                "begun.id == activity.id and self._start(begun)",
            ),
        ),
        "tides",
        point="scaling.begin>",
        rules=("D9",),
    ),
    "no_intent_to_leave": Mutant(
        (
            Py(
                f"{_DEPARTURE}.begin",
                "begun = await self._store.scaling.begin(",
                "begun = activity if True else await self._store.scaling.begin(",
            ),
        ),
        "ebb",
        rules=("D0", "I12"),
    ),
    "refused_and_called_gone": Mutant(
        (
            Py(
                f"{_DEPARTURE}._through",
                "return self._ended(activity, ActivityStatus.FAILED, str(exc))",
                "return self._ended(activity, ActivityStatus.SUCCESSFUL, str(exc))",
            ),
        ),
        "shoal",
        rules=("D10",),
    ),
    "its_end_is_not_told": Mutant(
        (
            Py(
                "tests.memory_scaling:MemoryScaling.end",
                "store.audit.write([told], now=now)",
                "pass",
            ),
        ),
        "ebb",
        rules=("D10",),
    ),
    "removes_after_a_nap": Mutant(
        (NO_DEADLINE,),
        "tides",
        point="engine.disconnect.send<",
        what="pause",
        seconds=45.0,
        rules=("I7",),
    ),
    "what_has_ended_stays": Mutant(
        (Py(f"{SCALE_IN}:down", 'return f"it is {listed.state}"', "return None"),),
        "tides",
        rules=("D11",),
    ),
    "leaves_while_braked": Mutant(
        (Py(f"{SCALE_IN}:_guarded", "if brake.freeze and", "if False and"),),
        "spring",
        rules=("D7",),
    ),
    "nobody_leaves": Mutant(
        (Py(f"{SCALE_IN}:disquiet", "if is_needed(crowd):", "if True:"),), "ebb", rules=("D12",)
    ),
    "leaves_too_late": Mutant(
        (
            Py(
                f"{SCALE_IN}:_calm",
                "clone.made_at, crowd.closed_at,",
                "clone.made_at, crowd.closed_at and now,",
            ),
        ),
        "surge",
        hours=3.0,
        rules=("D12",),
    ),
}
