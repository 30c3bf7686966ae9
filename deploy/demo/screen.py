"""What the visitor sees: plain lines, and one line of progress that is rewritten in place."""

import os
import shutil
import sys
import textwrap
import time
from typing import TextIO

#: Every line fits a plain terminal.
WIDTH = 100
#: Without a terminal (a log file, CI) a progress line this often is enough.
SPARSE_S = 20.0
#: Room for "  123.4 s  " before what happened.
_STAMP = 11


class Screen:
    """
    Writes lines, and keeps the progress line below them.

    Without a terminal nothing is rewritten and nothing is coloured; with NO_COLOR neither.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._tty = self._out.isatty()
        self._colour = self._tty and not os.environ.get("NO_COLOR")
        self._progress = ""
        self._last_output = time.monotonic()

    def line(self, text: str = "") -> None:
        """Write one line."""
        self._clear()
        self._out.write(text + "\n")
        self._draw()
        self._last_output = time.monotonic()

    def text(self, text: str, *, style: str = "") -> None:
        """Write a paragraph."""
        for part in textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False):
            self.line(self.styled(part, style))

    def event(self, seconds: float, text: str, *, style: str = "") -> None:
        """Write one line of the timeline, wrapped below itself where it is long."""
        indent = " " * (len(text) - len(text.lstrip()))
        lines = textwrap.wrap(
            text, WIDTH - _STAMP, subsequent_indent=indent, break_on_hyphens=False
        )
        for index, part in enumerate(lines):
            stamp = f"{seconds:7.1f} s" if index == 0 else " " * 9
            self.line(f"{self.styled(stamp, 'dim')}  {self.styled(part, style)}")

    def progress(self, text: str) -> None:
        """Show what is being waited for."""
        if self._tty:
            self._clear()
            self._progress = text
            self._draw()
        elif text and time.monotonic() - self._last_output > SPARSE_S:
            self.line(text)

    def styled(self, text: str, style: str) -> str:
        """Colour a text, where colours are welcome."""
        codes = {"bold": "1", "dim": "2", "good": "32", "bad": "1;31", "act": "36", "alert": "33"}
        if not self._colour or style not in codes:
            return text
        return f"\x1b[{codes[style]}m{text}\x1b[0m"

    def _clear(self) -> None:
        if self._tty and self._progress:
            self._out.write("\r\x1b[K")

    def _draw(self) -> None:
        if self._tty and self._progress:
            columns = min(shutil.get_terminal_size((WIDTH, 24)).columns - 1, WIDTH)
            self._out.write(self._progress[:columns])
        self._out.flush()
