"""Put another policy file in force, or keep the old one and say why."""

from collections.abc import Callable
from typing import Final

import structlog

from app.controller.rules import Rules
from app.controller.telemetry import Telemetry
from app.errors import BadConfiguration
from app.policies.spec import Rulebook
from app.ports import Clock

log: Final = structlog.get_logger("relevo.reload")


class Reloading:
    """Reads the policy file again when asked; a wrong one changes nothing."""

    def __init__(
        self,
        read: Callable[[], Rulebook],
        rules: Rules,
        telemetry: Telemetry,
        clock: Clock,
        *,
        ask: Callable[[], None],
    ) -> None:
        self._read = read
        self._rules = rules
        self._telemetry = telemetry
        self._clock = clock
        self._ask = ask
        self._took()

    def reload(self) -> None:
        """
        Read the file and put it in force, from the next step on.

        :raises BadConfiguration: it is wrong, and the old one stays in force
        """
        try:
            book = self._read()
        except BadConfiguration as exc:
            self._telemetry.reload_successful.set(0)
            log.error("policy file not taken, the old one stays in force", error=str(exc))
            raise
        self._rules.replace(book)
        self._took()
        log.info("policy file taken", policies=len(book.policies))
        self._ask()

    def quietly(self) -> str | None:
        """
        Reload for a signal, which nobody waits for the end of.

        :return: what is wrong with the file, said in the log, and by a metric; None: it is taken
        """
        try:
            self.reload()
        except BadConfiguration as exc:
            return str(exc)
        return None

    def _took(self) -> None:
        self._telemetry.reload_successful.set(1)
        self._telemetry.reload_timestamp.set(self._clock.now().timestamp())
