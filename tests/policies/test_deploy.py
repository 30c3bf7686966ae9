"""Is a deploy going on: what is new, renamed or removed around a container."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.container import Listed
from app.policies.deploy import Change, deploying_until, project_of
from tests.builders import START, at, compose, listed

HOLD = timedelta(minutes=2)
DAY = 86_400
PREFIX = "relevo"


def member(
    service: str = "web", number: int = 1, *, born: float | None = -DAY, **labels: str
) -> Listed:
    """A container of the project ``shop``, made so many seconds after `START`."""
    return listed(
        f"shop-{service}-{number}",
        labels={**compose("shop", service, number), **labels},
        created_at=None if born is None else at(born),
    )


def until(
    one: Listed,
    others: Iterable[Listed] = (),
    changes: Iterable[Change] = (),
    hold: timedelta = HOLD,
) -> datetime | None:
    return deploying_until(one, [one, *others], changes, hold=hold, prefix=PREFIX, now=START)


def change(seconds: float, project: str = "shop") -> Change:
    return Change(project=project, at=at(seconds))


CLONE = {"relevo.clone-of": "shop-web-1"}
ONE_OFF = {"com.docker.compose.oneoff": "True"}


def test_an_old_project_is_not_being_deployed() -> None:
    assert until(member(), [member("db", born=-DAY), member("cron", born=-DAY / 2)]) is None


# ---------------------------------------------------------------- removals and new names


@pytest.mark.parametrize(
    ("ago", "expected"),
    [
        pytest.param(0, at(120), id="just-now"),
        pytest.param(119.999, at(0.001), id="just-within-two-minutes"),
        pytest.param(120, None, id="exactly-two-minutes-ago"),
        pytest.param(3600, None, id="an-hour-ago"),
    ],
)
def test_a_removal_is_a_deploy(ago: float, expected: datetime | None) -> None:
    assert until(member(), changes=[change(-ago)]) == expected


def test_the_last_of_many_changes_counts() -> None:
    assert until(member(), changes=[change(-30), change(-5), change(-500)]) == at(115)


def test_an_engines_clock_ahead_of_ours_only_makes_it_longer() -> None:
    assert until(member(), changes=[change(60)]) == at(180)


# ---------------------------------------------------------------- new containers


@pytest.mark.parametrize(
    ("born", "expected"),
    [
        pytest.param(-1, at(119), id="just-made"),
        pytest.param(-119.999, at(0.001), id="just-within-two-minutes"),
        pytest.param(-120, None, id="exactly-two-minutes-old"),
    ],
)
def test_one_more_of_an_old_project_holds_all_of_it(born: float, expected: datetime | None) -> None:
    old, new = member(), member(number=2, born=born)

    assert until(old, [new]) == expected
    assert until(new, [old]) == expected


def test_rolling_on_it_is_held_until_the_last_one_is_settled() -> None:
    """web is made anew, then cron; db is as old as ever."""
    db, web, cron = member("db"), member(born=-100), member("cron", born=-10)

    for one, others in ((db, [web, cron]), (web, [db, cron]), (cron, [db, web])):
        assert until(one, others, [change(-101), change(-11)]) == at(110)


# ---------------------------------------------------------------- a project's first start


def test_at_its_first_start_only_the_young_are_held() -> None:
    first, second, third = member("db", born=-200), member(born=-100), member("cron", born=-5)

    assert until(first, [second, third]) is None
    assert until(second, [first, third]) == at(20)
    assert until(third, [first, second]) == at(115)


@pytest.mark.parametrize(
    ("gap", "is_first_start"),
    [
        pytest.param(119, True, id="shortly-after-each-other"),
        pytest.param(120, True, id="exactly-two-minutes-apart"),
        pytest.param(121, False, id="longer-apart-is-a-change-of-an-old-project"),
    ],
)
def test_a_first_start_has_no_gap(gap: float, is_first_start: bool) -> None:
    old, new = member("db", born=-gap - 1), member(born=-1)

    assert until(old, [new]) == (None if is_first_start else at(119))
    assert until(new, [old]) == at(119)


def test_the_only_container_of_a_project_is_held_while_it_is_young() -> None:
    assert until(member(born=-10)) == at(110)


def test_a_removal_is_a_deploy_at_a_first_start_too() -> None:
    """``down`` and ``up``, or a crash of the person at the keyboard."""
    assert until(member("db", born=-119), [member(born=-5)], [change(-6)]) == at(114)


# ---------------------------------------------------------------- what does not count


@pytest.mark.parametrize("labels", [CLONE, ONE_OFF], ids=["our-own-clone", "a-one-off-run"])
def test_does_not_count(labels: dict[str, str]) -> None:
    passing = member(number=9, born=-1, **labels)

    assert until(member(), [passing]) is None
    assert until(passing, [member()], [change(-1)]) is None
    assert project_of(passing.labels, prefix=PREFIX) is None


def test_the_clone_of_another_relevo_counts_as_anybody_elses_container() -> None:
    assert until(member(), [member(number=9, born=-1, **{"other.clone-of": "x"})]) == at(119)


def test_two_projects_do_not_disturb_each_other() -> None:
    blog = listed("blog-web-1", 2, labels=compose("blog", "web", 1), created_at=at(-1))

    assert until(member(), [blog], [change(-1, project="blog")]) is None
    assert until(blog, [member()], [change(-1)]) == at(119)


@pytest.mark.parametrize(
    "labels", [{}, {"com.docker.compose.project": ""}], ids=["none", "one-without-a-name"]
)
def test_a_container_without_a_project_is_never_deployed(labels: dict[str, str]) -> None:
    alone = listed("alone", labels=labels, created_at=at(-1))

    assert until(alone, [member(born=-1)], [change(-1)]) is None


def test_what_the_engine_does_not_say_is_not_made_up() -> None:
    assert until(member(born=None)) is None
    assert until(member(born=None), [member("db", born=-1)]) is None
    assert until(member(born=None), [member("db"), member("cron", born=-1)]) == at(119)
    assert until(member(), [member("db", born=None)]) is None


@pytest.mark.parametrize("hold", [timedelta(0), timedelta(seconds=-1)])
def test_no_hold_is_off(hold: timedelta) -> None:
    assert until(member(born=0), [member("db", born=-1)], [change(0)], hold=hold) is None


# ---------------------------------------------------------------- whatever happens

AGES = st.one_of(st.none(), st.integers(0, 400))


@given(
    own=AGES,
    others=st.lists(AGES, max_size=5),
    changed=st.lists(st.integers(0, 400), max_size=3),
)
def test_a_hold_ends(own: Any, others: list[Any], changed: list[int]) -> None:
    def aged(age: int | None) -> float | None:
        return None if age is None else -age

    found = until(
        member(born=aged(own)),
        [member("db", born=aged(age)) for age in others],
        [change(-age) for age in changed],
    )

    young = [age for age in (own, *others, *changed) if age is not None and age < 120]
    assert found is None or START < found <= at(120 - min(young))
    # Its own youth, and every change, hold it: whatever the others are.
    if any(age < 120 for age in (own, *changed) if age is not None):
        assert found is not None
