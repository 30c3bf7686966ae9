"""Records that are made faster are the same records."""

import dataclasses
import inspect
from datetime import timedelta
from typing import Any

import pytest

from app.controller import observe
from app.domain.target import TargetId
from app.policies.spec import Rulebook
from app.ports import Dossier, Memento
from tests.builders import container
from tests.sim.quick import quickened


def replaced() -> Any:
    """Give what the controllers' code calls ``replace`` at the moment."""
    return vars(observe)["replace"]


def arguments(cls: Any) -> list[tuple[str, object]]:
    return [(one.name, one.kind) for one in inspect.signature(cls.__init__).parameters.values()]


def test_they_take_the_same_arguments_and_only_for_a_while() -> None:
    with quickened() as quick:
        made = {cls: arguments(cls) for cls in quick}
        during = Dossier.__init__

    assert Dossier in quick
    assert Dossier.__init__ is not during
    assert replaced() is dataclasses.replace
    assert made == {cls: arguments(cls) for cls in quick}


def test_they_are_equal_and_as_frozen() -> None:
    one, book, known = container("web"), Rulebook(), Memento(instance="a")
    with quickened():
        assert one == dataclasses.replace(one) == replaced()(one)
        assert Rulebook() == book
        assert Memento(instance="a") == known
        assert Memento(instance="a").charges is not known.charges  # one of its own for each
        other = replaced()(one, name="db", stop_grace=timedelta(0))
        with pytest.raises(dataclasses.FrozenInstanceError):
            other.name = "web"

    assert other == dataclasses.replace(one, name="db", stop_grace=timedelta(0))
    assert (other.name, one.name) == ("db", "web")


def test_what_is_wrong_is_refused() -> None:
    one: Any = container("web")
    with quickened():
        with pytest.raises(TypeError, match="nobody"):
            replaced()(one, nobody=1)
        with pytest.raises(TypeError, match="instance"):
            Memento()  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="slot"):
            replaced()(TargetId("host", "web"), slot="a/b")
