"""The policy file as the gate reads it while somebody writes it."""

import asyncio
from pathlib import Path

import pytest

from app.adapters.gate.book import Book
from app.errors import BadConfiguration

OPEN = "version: 1\nguards: {burst: 7}\n"
CLOSED = "version: 1\nguards: {protected: [web]}\n"


async def test_half_a_file_is_not_taken(tmp_path: Path) -> None:
    """Emptied, and then written: in between it is a file that protects nobody."""
    file = tmp_path / "policies.yml"
    file.write_text(CLOSED)
    book = Book(file)

    file.write_text("")
    # As long as a slow writer takes: it may have been read by then.
    asyncio.get_running_loop().call_later(0.1, file.write_text, CLOSED + "# and more\n")

    assert (await book.current()).guards.protected == ("web",)
    assert (await book.current()).guards.protected == ("web",)


async def test_what_rests_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "policies.yml"
    file.write_text(OPEN)
    book = Book(file)
    file.write_text(CLOSED)

    assert (await book.current()).guards.protected == ("web",)


@pytest.mark.parametrize("change", [lambda file: file.unlink(), lambda file: file.write_text("[")])
async def test_one_that_is_gone_or_wrong_leaves_the_one_before(
    tmp_path: Path, change: object
) -> None:
    file = tmp_path / "policies.yml"
    file.write_text(CLOSED)
    book = Book(file)
    assert callable(change)
    change(file)

    assert (await book.current()).guards.protected == ("web",)
    with pytest.raises(BadConfiguration):
        Book(file)
