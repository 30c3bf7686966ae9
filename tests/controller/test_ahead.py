"""What is claimed and has not begun: how many, which, and until when."""

import pytest

from app.controller.ahead import Ahead
from app.ports import Claim

PARALLEL = 4
#: Whoever dies leaves no more of them to be counted as lost.
MOST_WAITING = 500
SURE = 20.0


def claims(*names: str, fence: int = 1) -> list[Claim]:
    return [Claim(target=name, fence=fence) for name in names]


def many(number: int, *, fence: int = 1) -> list[Claim]:
    return claims(*(f"{fence}-{n}" for n in range(number)), fence=fence)


def put(ahead: Ahead, some: list[Claim], *, is_full: bool = True, running: int = 0) -> None:
    ahead.outdate(some)
    ahead.put(some, is_full=is_full, running=running, until=SURE)


def take_all(ahead: Ahead) -> list[str]:
    found = []
    while ahead.waiting:
        found.append(ahead.take()[0].target)
    return found


@pytest.mark.parametrize("running", range(PARALLEL + 1))
def test_at_first_no_more_are_asked_for_than_may_run(running: int) -> None:
    assert Ahead(PARALLEL).room(running) == PARALLEL - running


def test_nothing_is_asked_for_while_claimed_ones_wait_and_nothing_was_learned() -> None:
    ahead = Ahead(PARALLEL)
    ahead.room(0)
    put(ahead, many(PARALLEL))
    ahead.take()

    assert ahead.room(1) == 0


def test_who_is_done_before_the_next_are_claimed_is_given_more_ahead() -> None:
    ahead = Ahead(PARALLEL)
    asked = []
    for fence in range(12):
        asked.append(ahead.room(0))
        put(ahead, many(asked[-1], fence=fence))
        take_all(ahead)

    assert asked[:2] == [PARALLEL, 17 * PARALLEL]
    assert asked[2:] == [MOST_WAITING + PARALLEL] * 10
    assert ahead.most == MOST_WAITING


def test_steps_that_take_long_are_claimed_as_they_begin() -> None:
    """One ends, one is claimed: whoever dies leaves no more behind than were under way."""
    ahead = Ahead(PARALLEL)
    put(ahead, many(ahead.room(0)))
    take_all(ahead)
    for fence in range(9):
        assert ahead.room(PARALLEL) == 0
        assert ahead.room(PARALLEL - 1) == 1
        put(ahead, many(1, fence=fence), running=PARALLEL - 1)
        take_all(ahead)

    assert ahead.most == 0


def test_what_waits_while_more_are_asked_for_teaches_to_ask_for_fewer() -> None:
    ahead = Ahead(PARALLEL)
    for fence in range(3):
        put(ahead, many(ahead.room(0), fence=fence))
        take_all(ahead)
    put(ahead, many(ahead.room(0), fence=9))
    learned = ahead.most
    # From now on, steps take long.
    for _ in range(PARALLEL):
        ahead.take()
    while len(ahead.waiting) > ahead.most // 2:
        ahead.take()
    put(ahead, many(ahead.room(PARALLEL), fence=10), running=PARALLEL)

    assert ahead.most == learned // 2


def test_where_nothing_more_is_due_nothing_is_claimed_ahead() -> None:
    ahead = Ahead(PARALLEL)
    for fence in range(3):
        put(ahead, many(ahead.room(0), fence=fence))
        take_all(ahead)
    ahead.room(0)
    put(ahead, many(3, fence=9), is_full=False)
    take_all(ahead)

    assert (ahead.most, ahead.has_more, ahead.room(0)) == (0, False, PARALLEL)


def test_they_begin_in_the_order_in_which_they_were_claimed() -> None:
    ahead = Ahead(PARALLEL)
    put(ahead, claims("d", "a"))
    put(ahead, claims("c", "b"))

    assert take_all(ahead) == ["d", "a", "c", "b"]


def test_of_two_claims_of_one_target_the_older_never_begins() -> None:
    ahead = Ahead(PARALLEL)
    (old,) = claims("a", fence=1)
    (new,) = claims("a", fence=2)
    put(ahead, [old])
    put(ahead, [new])

    assert ahead.drop([old]) == []
    assert ahead.take() == (new, SURE)
    assert not ahead.waiting


def test_only_those_that_still_wait_are_sure_for_longer() -> None:
    ahead = Ahead(PARALLEL)
    first, second, third = claims("a", "b", "c")
    put(ahead, [first, second, third])
    ahead.take()
    (again,) = claims("b", fence=2)
    put(ahead, [again])

    ahead.extend([first, second, third], until=2 * SURE)

    assert [ahead.take() for _ in range(2)] == [(third, 2 * SURE), (again, SURE)]
    assert not ahead.waiting


def test_what_is_dropped_is_told_and_waits_no_more() -> None:
    ahead = Ahead(PARALLEL)
    first, second = claims("a", "b")
    put(ahead, [first, second])

    assert ahead.drop([second, *claims("other")]) == [second]
    assert ahead.clear() == [first]
    assert ahead.clear() == []
