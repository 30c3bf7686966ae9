"""A store that does not answer, below a house that goes on."""

from app.errors import StoreUnavailable
from tests.controller.house import House


class Away:
    """A part of the store that does not answer."""

    def __getattr__(self, name: str) -> object:
        async def fail(*_: object, **__: object) -> object:
            raise StoreUnavailable("connection refused")

        return fail


def lose_store(house: House) -> None:
    """Have it answer nothing from now on."""
    for part in ("records", "history", "controls", "failures", "health", "scaling"):
        object.__setattr__(house.store, part, Away())
    house.controller.board._history = Away()  # type: ignore[assignment]
