"""Which step is poison: it has ended its worker, or raised what nobody expected, too often."""

from typing import Final

from app.ports import Claim

#: Whoever had the step has died with it, or the step itself, this often in a row: it is poison.
MOST_LOST: Final = 2
#: Where the steps of more targets raise, it is what they share that is ill.
_MOST_POISON: Final = 3


class Strikes:
    """Counts how often in a row the step of a target has raised what nobody expected."""

    def __init__(self) -> None:
        self._raised: dict[str, int] = {}

    def add(self, target: str) -> None:
        """Take a step that raised."""
        self._raised[target] = self._raised.get(target, 0) + 1

    def over(self, target: str) -> None:
        """Take a step that did not."""
        self._raised.pop(target, None)

    def is_poison(self, claim: Claim) -> bool:
        """Tell whether it is this step that ends its worker, or raises, and not all of them do."""
        if not claim.lost and not self._raised:
            return False
        raised = sum(count >= MOST_LOST for count in self._raised.values())
        has_raised = self._raised.get(claim.target, 0) >= MOST_LOST
        return claim.lost >= MOST_LOST or (has_raised and raised <= _MOST_POISON)
