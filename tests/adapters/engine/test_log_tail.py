"""The last lines of a log, out of the stream in which the engine gives them."""

import struct
import time

import pytest

from app.adapters.engine.log_tail import LINES, LogTail


def framed(*pieces: tuple[int, bytes]) -> bytes:
    """Text as the engine frames it: (stream, text)."""
    return b"".join(struct.pack(">BxxxL", stream, len(text)) + text for stream, text in pieces)


def tail(stream: bytes, *, size: int = 1 << 16) -> LogTail:
    """Read a stream in pieces of `size` bytes."""
    read = LogTail()
    for begin in range(0, len(stream), size):
        read.feed(stream[begin : begin + size])
    return read


@pytest.mark.parametrize("size", [1, 3, 7, 8, 9, 1000])
@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(b"", (), id="empty"),
        pytest.param(framed((1, b"one\n"), (2, b"two\n")), ("one", "two"), id="both-streams"),
        pytest.param(
            framed((1, b"be"), (2, b"oops\n"), (1, b"gun\n")), ("oops", "begun"), id="in-parts"
        ),
        pytest.param(framed((1, b"a\nb\n\nc")), ("a", "b", "", "c"), id="many-in-one"),
        pytest.param(framed((1, b"")) + framed((1, b"x\n")), ("x",), id="empty-frame"),
        pytest.param(framed((3, b"cannot read\n")), ("cannot read",), id="the-engines-own"),
        pytest.param(framed((1, b"whole\n"), (1, b"cut off\n"))[:-4], ("whole", "cut "), id="cut"),
        pytest.param(framed((1, b"whole\n")) + b"\1\0\0", ("whole",), id="half-a-header"),
        pytest.param(b"from a tty\r\nnext\r\n", ("from a tty", "next"), id="tty"),
        pytest.param(b"$ ", ("$ ",), id="tty-short"),
        pytest.param(b"x\n", ("x\n",), id="tty-shorter-than-a-header"),
        pytest.param("grüße\n".encode(), ("grüße",), id="tty-of-other-letters"),
        pytest.param(framed((1, b"\xff\xfe ok\n")), ("\ufffd\ufffd ok",), id="no-utf-8"),
        pytest.param(b"\x01\x02 binary of a tty\n", ("\x01\x02 binary of a tty",), id="binary"),
    ],
)
def test_reads_the_lines(stream: bytes, expected: tuple[str, ...], size: int) -> None:
    read = tail(stream, size=size)

    assert read.lines() == expected
    assert not read.is_cut


def test_keeps_the_last_lines() -> None:
    read = tail(framed(*((1, b"%d\n" % number) for number in range(LINES + 50))))

    assert read.lines() == tuple(map(str, range(50, LINES + 50)))


@pytest.mark.parametrize(
    ("line", "kept", "is_cut"),
    [
        pytest.param("x" * 2000, "x" * 2000, False, id="as-long-as-can-be"),
        pytest.param("x" * 2001, "x" * 2000, True, id="one-too-long"),
        pytest.param("x" * 100_000, "x" * 2000, True, id="very-long"),
        pytest.param("🐳" * 2000, "🐳" * 2000, False, id="four-bytes-each"),
        pytest.param("🐳" * 2001, "🐳" * 2000, True, id="four-bytes-each-one-too-long"),
    ],
)
def test_a_line_is_cut_at_2000_characters(line: str, kept: str, is_cut: bool) -> None:
    text = line.encode() + b"\n"
    # The engine's own pieces have 16 KiB.
    pieces = (text[begin : begin + 16384] for begin in range(0, len(text), 16384))

    for stream in (framed(*((1, piece) for piece in pieces)), text):
        read = tail(stream, size=4096)
        assert read.lines() == (kept,)
        assert read.is_cut == is_cut


def test_a_line_without_end_takes_no_memory_and_no_time() -> None:
    read = LogTail()
    began = time.process_time()
    for _ in range(1000):
        read.feed(b"y" * 65536)

    assert read.lines() == ("y" * 2000,)
    assert sum(map(len, read._begun.values())) < 10_000
    assert time.process_time() - began < 5
