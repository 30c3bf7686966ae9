"""Logs: one line per decision, with stable keys, as logfmt or JSON."""

import logging
import sys
from typing import Any

import structlog


def configure_logging(style: str) -> None:
    """
    Send all logs, ours and our libraries', to standard error.

    :param style: ``logfmt`` or ``json``
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    render: list[structlog.typing.Processor]
    if style == "json":
        render = [structlog.processors.JSONRenderer()]
    else:
        logfmt = structlog.processors.LogfmtRenderer(
            key_order=["ts", "level", "event"], drop_missing=True, bool_as_flag=False
        )
        render = [_visible, logfmt]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # httpx says a line per request, which is a line per look.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _visible(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Write out what a terminal would obey: names and messages of others are logged."""
    return {
        key: value if value is None or isinstance(value, bool) else _written_out(str(value))
        for key, value in event.items()
    }


def _written_out(text: str) -> str:
    # The renderer itself escapes line feeds.
    return "".join(
        char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text
    )
