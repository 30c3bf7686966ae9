"""A clone that is being made belongs to its attempt, under whatever id somebody finds it."""

from collections import Counter

import pytest

from app.adapters.gate.sight import UnderWay
from app.domain.container import Listed
from app.domain.gate import Bar, Verb
from app.policies.roster import Roster
from tests.builders import hex_id, listed
from tests.policies.test_admission import ask

CLONE = listed("web_new", 2, labels={"relevo.clone-of": "web", "relevo.attempt": "z"})


@pytest.mark.parametrize(
    ("verb", "now", "half_made", "expected"),
    [
        pytest.param(Verb.REMOVE_CLONE, UnderWay(), None, None, id="nothing"),
        pytest.param(
            Verb.REMOVE_CLONE, UnderWay(cloning=Counter("z")), None, Bar.BUSY, id="it-is-being-made"
        ),
        pytest.param(
            Verb.RESTART, UnderWay(cloning=Counter("y")), None, None, id="another-is-being-made"
        ),
        pytest.param(
            Verb.CLONE, UnderWay(busy={hex_id(2)}), CLONE, Bar.BUSY, id="it-is-being-removed"
        ),
        pytest.param(Verb.CLONE, UnderWay(busy={hex_id(3)}), CLONE, None, id="another-is-removed"),
    ],
)
def test_what_is_being_made_is_left_to_whoever_makes_it(
    verb: Verb, now: UnderWay, half_made: Listed | None, expected: Bar | None
) -> None:
    (member,) = Roster("engine", (CLONE,), prefix="relevo").members

    found = now.holds(ask(verb, about=hex_id(2)), member, half_made, prefix="relevo")

    assert (None if found is None else found.bar) == expected
