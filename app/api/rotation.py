"""Tokens that are exchanged while we run: those that are no longer told open nothing at once."""

from collections.abc import Iterable, Mapping

from app.api.deps import Scope, Tokens
from app.errors import BadConfiguration


class RotatingTokens(Tokens):
    """Who may do what, until somebody says otherwise. Sessions end with their token."""

    def take(self, tokens: Mapping[Scope, Iterable[str]]) -> None:
        """
        Have these count from now on, and no others.

        :raises BadConfiguration: there are none, which would open every door; nothing has changed
        """
        fresh = Tokens(tokens)
        if self.are_asked_for and not fresh.are_asked_for:
            raise BadConfiguration(
                "RELEVO_TOKEN_*: no token is left, which would let everybody in: keep one, or "
                "restart Relevo without any"
            )
        self._hashes = fresh._hashes
        self.are_asked_for = fresh.are_asked_for
