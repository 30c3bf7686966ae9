"""What the controllers log: an exception there is a defect, like any other."""

from collections.abc import Callable
from typing import Any

import structlog


def where(exc: BaseException) -> str:
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"({trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno})"


def listen(hear: Callable[[str, dict[str, Any]], None]) -> None:
    def drop(_logger: Any, _method: str, event: Any) -> Any:
        hear(str(event.get("event")), dict(event))
        raise structlog.DropEvent

    structlog.configure(
        processors=[drop],
        wrapper_class=structlog.make_filtering_bound_logger(40),
        cache_logger_on_first_use=False,
    )
