"""Adds to what a step leaves behind what is told of it: lines for the audit, and messages."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from app.domain.remediation import Remediation
from app.policies import annotation, trail
from app.ports import Entry


def _nobody() -> None:
    """Wake nobody: there is no courier."""


class Teller:
    """
    See the module.

    :param annotates: somebody takes annotations; else none are kept
    :param external_url: where people find Relevo's pages
    :param wake: called once messages are in the outbox
    """

    def __init__(
        self,
        *,
        annotates: bool = False,
        external_url: str | None = None,
        wake: Callable[[], None] = _nobody,
    ) -> None:
        self._annotates = annotates
        self._external_url = external_url
        self._wake = wake

    def told(self, entry: Entry, before: Sequence[Remediation | None], *, now: datetime) -> Entry:
        """
        Add what is to be told.

        :param before: the records of the target that the step began with
        """
        after = (*entry.amended, entry.remediation)
        messages = (
            annotation.messages(before, after, external_url=self._external_url)
            if self._annotates
            else ()
        )
        return replace(entry, audit=trail.of_step(before, after, at=now), outbox=messages)

    def written(self, entry: Entry) -> None:
        """Have what is in the outbox now delivered soon."""
        if entry.outbox:
            self._wake()
