"""Logs: one line per decision, with stable keys, as logfmt or JSON."""

import contextlib
import logging
import sys
from typing import Any, TextIO, cast

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
    # Ours go straight to the stream: a line is written for every notification, and the standard
    # library's way there takes longer than all else about it.
    structlog.configure(
        processors=[_in_any_case([*shared, *render])],
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Unfailing(sys.stderr))),
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
    # Found out for each line, and written in none.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # httpx says a line per request, which is a line per look.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _in_any_case(chain: list[structlog.typing.Processor]) -> structlog.typing.Processor:
    """Make one of a chain that fails nobody: what cannot be written must not end what is done."""

    def run(logger: Any, method: str, event: structlog.typing.EventDict) -> Any:
        name = event.get("event")
        try:
            return _through(chain, logger, method, event)
        except Exception as exc:  # noqa: BLE001 - a line of the log is worth no step
            said = {"event": "a line could not be written", "of": repr(name)}
            return _through(chain, logger, method, said | {"error": type(exc).__name__})

    return run


def _through(
    chain: list[structlog.typing.Processor],
    logger: Any,
    method: str,
    event: structlog.typing.EventDict,
) -> Any:
    found: Any = event
    for processor in chain:
        found = processor(logger, method, found)
    return found


class _Unfailing:
    """A stream that nobody fails by: one that is closed or full must not end what is being done."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, or not."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """Have it written out, or not."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def _visible(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Write out what a terminal would obey: names and messages of others are logged."""
    return {
        key: value if value is None or isinstance(value, bool) else _written_out(str(value))
        for key, value in event.items()
    }


def _written_out(text: str) -> str:
    # The renderer itself escapes line feeds.
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text
    )
