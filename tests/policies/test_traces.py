"""What an attempt may do that the journal knows: never twice, and never waiting without an end."""

from datetime import timedelta
from typing import Any

import pytest

from app.domain.container import Container
from app.domain.gate import Bar, Barred, Ending, Trace, Verb
from app.policies import traces
from app.policies.bucket import tokens
from app.policies.spec import Guards
from tests.builders import container, hex_id, listed

BOOT = "b"
TAKES = timedelta(seconds=40)
SEEN = container()


def trace(ending: Ending | None = None, *, at: float = 0.0, **more: Any) -> Trace:
    values: dict[str, Any] = {
        "verb": Verb.RESTART,
        "about": hex_id(1),
        "attempt_id": "a",
        "at": at,
        "boot": BOOT,
        "takes": TAKES,
        "before": SEEN.started_at,
        "charged": True,
        "ending": ending,
    }
    return Trace(**values | more)


def again(
    own: list[Trace],
    verb: Verb = Verb.RESTART,
    *,
    now: float = 1.0,
    seen: Container | None = SEEN,
    boot: str = BOOT,
    half_made: bool = False,
) -> str:
    """Say in a word: ``act``, ``replay``, or why not."""
    clone = listed("web_new", 2) if half_made else None
    found = traces.again(own, verb, seen, half_made=clone, now=now, boot=boot)
    if isinstance(found, Barred):
        return found.bar
    return "act" if found is None else "replay"


@pytest.mark.parametrize(
    ("own", "more", "expected"),
    [
        pytest.param([], {}, "act", id="never-heard-of"),
        pytest.param([trace(Ending.DONE)], {}, Bar.DONE_ALREADY, id="done"),
        pytest.param([trace(Ending.REFUSED)], {}, Bar.DONE_ALREADY, id="refused-by-the-engine"),
        pytest.param([trace(Ending.UNDONE)], {}, "act", id="the-engine-was-not-told"),
        pytest.param([trace()], {"now": 39.9}, Bar.UNSETTLED, id="the-engine-may-be-at-it"),
        pytest.param([trace()], {"now": 40.0}, "act", id="the-engine-must-be-through"),
        pytest.param([trace()], {"boot": "next"}, "act", id="the-host-was-started-anew"),
        pytest.param([trace(at=5.0)], {"now": 1.0}, "act", id="the-clock-began-anew"),
        pytest.param([trace(), trace(at=50.0)], {"now": 99.0}, Bar.DONE_ALREADY, id="twice-lost"),
        pytest.param([trace(Ending.UNDONE)] * 50, {}, Bar.DONE_ALREADY, id="not-for-ever-either"),
    ],
)
def test_a_restart(own: list[Trace], more: dict[str, Any], expected: str) -> None:
    assert again(own, **more) == expected


@pytest.mark.parametrize(
    ("own", "more", "expected"),
    [
        pytest.param([trace(verb=Verb.CLONE)], {}, Bar.UNSETTLED, id="it-may-come-to-be"),
        pytest.param([trace(verb=Verb.CLONE)], {"half_made": True}, "act", id="it-is-there"),
        pytest.param([trace(verb=Verb.CLONE)], {"now": 40.0}, "act", id="it-never-came-to-be"),
        pytest.param(
            [trace(Ending.DONE, verb=Verb.CLONE)], {"half_made": True}, "act", id="made-and-adopted"
        ),
        pytest.param([trace(Ending.DONE, verb=Verb.CLONE)], {}, Bar.DONE_ALREADY, id="made-gone"),
        pytest.param([trace(Ending.UNDONE, verb=Verb.CLONE)], {}, "act", id="taken-away-again"),
    ],
)
def test_a_clone(own: list[Trace], more: dict[str, Any], expected: str) -> None:
    assert again(own, Verb.CLONE, **more) == expected


@pytest.mark.parametrize("verb", sorted(traces.REPEATABLE))
@pytest.mark.parametrize(
    ("ending", "expected"),
    [(None, "act"), (Ending.REFUSED, "act"), (Ending.UNDONE, "act"), (Ending.DONE, "replay")],
)
def test_what_may_be_repeated(verb: Verb, ending: Ending | None, expected: str) -> None:
    assert again([trace(ending, verb=verb)], verb) == expected


def test_a_start_is_not_repeated_once_it_is_done() -> None:
    """Somebody may have stopped it since."""
    assert again([trace(Ending.DONE, verb=Verb.START)], Verb.START) == "replay"


@pytest.mark.parametrize(
    ("one", "seen", "now", "is_in_the_way"),
    [
        pytest.param(trace(), SEEN, 1.0, True, id="under-way"),
        pytest.param(trace(), SEEN, 40.0, False, id="over"),
        pytest.param(trace(Ending.DONE), SEEN, 1.0, False, id="ended"),
        pytest.param(trace(before="earlier"), SEEN, 1.0, False, id="started-since"),
        pytest.param(trace(), None, 1.0, False, id="gone"),
        pytest.param(trace(attempt_id="b"), SEEN, 1.0, False, id="our-own"),
    ],
)
def test_another_attempt_in_the_way(
    one: Trace, seen: Container | None, now: float, is_in_the_way: bool
) -> None:
    found = traces.stands_in_the_way([one], "b", seen, now=now, boot=BOOT)

    assert (found is not None) is is_in_the_way


@pytest.mark.parametrize(
    ("one", "is_coming"),
    [
        pytest.param(trace(verb=Verb.CLONE), True, id="nobody-saw-it-end"),
        pytest.param(trace(verb=Verb.CLONE, at=-40.0), False, id="the-engine-must-be-through"),
        pytest.param(trace(Ending.DONE, verb=Verb.CLONE), False, id="made"),
        pytest.param(trace(Ending.UNDONE, verb=Verb.CLONE), False, id="taken-away-again"),
        pytest.param(trace(verb=Verb.CLONE, attempt_id="there"), False, id="it-is-there"),
        pytest.param(trace(verb=Verb.CLONE, boot="past"), False, id="before-the-host-was-started"),
        pytest.param(trace(), False, id="no-clone"),
    ],
)
def test_a_clone_that_may_come_to_be_yet(one: Trace, is_coming: bool) -> None:
    there = listed("web_new", 2, labels={"a": "there"})

    found = traces.coming([one], [there], label="a", now=0.0, boot=BOOT)

    assert found == ((one,) if is_coming else ())


@pytest.mark.parametrize(
    ("verb", "attempt_id", "about", "made_by", "is_charged"),
    [
        pytest.param(Verb.RESTART, "a", hex_id(1), None, True, id="the-same-once-more"),
        pytest.param(Verb.RESTART, "a", hex_id(2), None, False, id="on-another-container"),
        pytest.param(Verb.RESTART, "b", hex_id(1), None, False, id="another-attempt"),
        pytest.param(Verb.RESTART, "a.in", hex_id(1), None, False, id="a-name-made-longer"),
        pytest.param(Verb.START, "a", hex_id(1), None, True, id="up-again-after-its-restart"),
        pytest.param(Verb.CLONE, "a", hex_id(1), None, False, id="another-effect"),
        pytest.param(Verb.SET_ASIDE, "a", hex_id(1), None, False, id="taken-down-as-well"),
        pytest.param(Verb.REMOVE_CLONE, "c", hex_id(2), "c", True, id="its-own-clone"),
        pytest.param(Verb.REMOVE_CLONE, "c", hex_id(2), "d", False, id="a-clone-of-another"),
        pytest.param(Verb.RESTART, "c", hex_id(2), "c", False, id="its-own-clone-restarted"),
    ],
)
def test_an_attempt_pays_once_for_each_effect(
    verb: Verb, attempt_id: str, about: str, made_by: str | None, is_charged: bool
) -> None:
    found = traces.is_charged([trace()], verb, about, attempt_id, made_by=made_by)

    assert found is is_charged


def test_what_was_set_aside_is_brought_back_for_nothing() -> None:
    aside = trace(Ending.DONE, verb=Verb.SET_ASIDE)

    assert traces.is_charged([aside], Verb.BRING_BACK, hex_id(1), "a", made_by=None)


@pytest.mark.parametrize(
    ("attempt_id", "step", "is_charged"),
    [
        pytest.param("a.in", -1, True, id="taking-its-replica-back"),
        pytest.param("a.in.in", -1, False, id="once"),
        pytest.param("a.in", 1, False, id="not-one-more"),
        pytest.param("b.in", -1, False, id="nobody-has-paid"),
    ],
)
def test_a_replica_is_taken_back_for_nothing(attempt_id: str, step: int, is_charged: bool) -> None:
    """However long the name is made: what was free pays for nothing."""
    known = [trace(verb=Verb.SCALE), trace(verb=Verb.SCALE, attempt_id="a.in", charged=False)]

    found = traces.is_charged(known, Verb.SCALE, hex_id(1), attempt_id, made_by=None, step=step)

    assert found is is_charged


@pytest.mark.parametrize(
    ("charges", "now", "expected"),
    [
        pytest.param((), 0.0, 4.0, id="full"),
        pytest.param((0.0,), 0.0, 3.0, id="one-taken"),
        pytest.param((0.0,) * 4, 0.0, 0.0, id="empty"),
        pytest.param((0.0,) * 4, 119.0, 119 / 120, id="not-yet"),
        pytest.param((0.0,) * 4, 120.0, 1.0, id="one-comes-every-two-minutes"),
        pytest.param((0.0,), 10**6, 4.0, id="never-more-than-full"),
        pytest.param((5.0, 4.0), 3.0, 2.0, id="a-clock-that-goes-back-gives-nothing"),
    ],
)
def test_the_bucket(charges: tuple[float, ...], now: float, expected: float) -> None:
    assert tokens(charges, Guards(), now=now) == pytest.approx(expected)


def test_what_the_controllers_window_allows_is_never_kept_back() -> None:
    """Three in six minutes, as often as that can be, each up to four seconds later here."""
    at: list[float] = []
    for number in range(300):
        due = 0.0 if number < 3 else number // 3 * 360.0 + (0.001 if number % 3 else 0.0)
        late = 4.0 if number % 2 else 0.0
        assert tokens(at, Guards(), now=due + late) >= 1.0, number
        at.append(due + late)
