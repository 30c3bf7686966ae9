"""The policy file in force: one place that a reload replaces."""

from app.policies.spec import Rulebook


class Rules:
    """Holds the rulebook. Read `book` once per step or request, then use that value."""

    def __init__(self, book: Rulebook) -> None:
        self._book = book

    @property
    def book(self) -> Rulebook:
        """The rulebook in force."""
        return self._book

    def replace(self, book: Rulebook) -> None:
        """Put another rulebook in force, from the next step on."""
        self._book = book
