"""The last lines of a container's log, out of the stream in which the engine gives them. Pure."""

import struct
from collections import deque

#: How many lines are asked for and kept.
LINES = 200
#: Characters of one line.
_LINE_LENGTH = 2000
# Bytes of a line to keep: UTF-8 has four for a character; one more tells that it was cut.
_LINE_BYTES = 4 * (_LINE_LENGTH + 1)
# Of each piece, where the container has no TTY: a byte for the stream (stdout, stderr, the
# engine's own complaints), three zeros, the length.
_HEADER = struct.Struct(">B3sL")
_STREAMS = frozenset(range(4))


class LogTail:
    """
    Takes the stream piece by piece and keeps little of it, however long its lines are.

    With a TTY it is the text itself, otherwise framed; its beginning tells which.
    """

    def __init__(self) -> None:
        #: A line was longer than what was kept of it.
        self.is_cut = False
        self._is_framed: bool | None = None
        #: Not yet understood: a header, or part of one.
        self._raw = bytearray()
        #: Of the current frame.
        self._stream = 0
        self._left = 0
        #: Lines that have not ended, by stream: a long one comes in several frames.
        self._begun: dict[int, bytearray] = {}
        self._lines: deque[str] = deque(maxlen=LINES)

    def feed(self, chunk: bytes) -> None:
        """Take the next piece."""
        self._raw += chunk
        if self._is_framed is None:
            if len(self._raw) < _HEADER.size:
                return
            stream, zeros, _ = _HEADER.unpack_from(self._raw)
            self._is_framed = stream in _STREAMS and not any(zeros)
        while self._raw:
            if self._is_framed and self._left == 0:
                if len(self._raw) < _HEADER.size:
                    return
                self._stream, _, self._left = _HEADER.unpack_from(self._raw)
                del self._raw[: _HEADER.size]
                continue
            size = min(self._left, len(self._raw)) if self._is_framed else len(self._raw)
            self._take(bytes(self._raw[:size]))
            self._left -= size
            del self._raw[:size]

    def lines(self) -> tuple[str, ...]:
        """Give the lines so far, oldest first; the last one may not have ended."""
        begun = {0: self._raw} if self._is_framed is None else self._begun
        open_lines = [self._text(line) for line in begun.values() if line]
        return tuple([*self._lines, *open_lines][-LINES:])

    def _take(self, text: bytes) -> None:
        *ended, rest = text.split(b"\n")
        for piece in ended:
            self._append(piece)
            self._lines.append(self._text(self._begun.pop(self._stream)))
        self._append(rest)

    def _append(self, piece: bytes) -> None:
        line = self._begun.setdefault(self._stream, bytearray())
        line += piece[: _LINE_BYTES - len(line)]

    def _text(self, line: bytearray) -> str:
        # A TTY ends its lines with both.
        text = line.decode("utf-8", "replace").removesuffix("\r")
        if len(text) > _LINE_LENGTH:
            self.is_cut = True
        return text[:_LINE_LENGTH]
