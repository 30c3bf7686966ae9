"""The allow-list for a socket proxy passes what Relevo asks the engine for, and nothing else."""

import itertools
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

import pytest
from ruamel.yaml import YAML

from app.adapters.engine.endpoints import ACTS, LOOKS, is_listed
from tests.adapters.engine.hostile import HOSTILE
from tests.adapters.gate.test_hostile import METHODS, SPECIFIED
from tests.docs.pages import ROOT, blocks

PAGE: Final = "docs/socket-proxy.md"
_FLAG: Final = re.compile(r"-allow([A-Z]+)=(.+)")
_ID: Final = "0a" * 32
#: What the pinned patterns are made of, with an example each.
_PIECES: Final = (
    ("[0-9a-f]{64}", _ID),
    ("[A-Za-z0-9][A-Za-z0-9_.-]{0,254}", "shop_default"),
    ("[0-9a-z]{25}", "k7" * 12 + "x"),
)
#: Before and behind a path that is fine: some are, most are not.
_BEFORE: Final = ("", "/v1.41", "/v1.56", "/v1", "/v.1", "/v1.41/v1.41", "/", "/x", "/v1x41", "x")
_BEHIND: Final = ("", "/", "/x", "/../kill", "x", "\n", "\x00", "?x", "%2f..", "/exec", " ", "/.")


def _flags(lines: list[str]) -> dict[str, str]:
    matches = [match for line in lines if (match := _FLAG.fullmatch(line))]
    found = {match[1]: match[2] for match in matches}
    # Before 1.12 the last of several was the only one.
    assert len(found) == len(matches)
    return found


def _restarts() -> dict[str, str]:
    (block,) = [one for one in blocks("yaml") if one.page == PAGE]
    command = YAML(typ="safe", pure=True).load(block.text)["services"]["socket-proxy"]["command"]
    return _flags(command)


def _clones() -> dict[str, str]:
    (block,) = [one for one in blocks("text") if one.page == PAGE]
    lines = [line.strip().removeprefix("- '").removesuffix("'") for line in block.text.splitlines()]
    return _restarts() | _flags(lines)


def allowed(flags: dict[str, str], method: str, path: str) -> bool:
    """As the proxy does it: `^` and `$` are put around, and Go's `$` is the end of the text."""
    return method in flags and re.search(f"^{flags[method]}\\Z", path) is not None


def _examples(pattern: str) -> Iterator[str]:
    """Every alternative of a pinned pattern, written out."""
    for piece, example in _PIECES:
        pattern = pattern.replace(piece, example)
    parts = re.split(r"\(\?:([^()]+)\)", pattern)
    for chosen in itertools.product(*(part.split("|") for part in parts[1::2])):
        path = "".join(map("".join, itertools.zip_longest(parts[::2], chosen, fillvalue="")))
        assert re.fullmatch(r"[\w/:.-]+", path), path
        yield path


LOOKED: Final = [(method, path) for method, pattern in LOOKS for path in _examples(pattern)]
ACTED: Final = [(method, path) for method, pattern in ACTS for path in _examples(pattern)]


def _paths() -> set[str]:
    """What is fine, what is nearly, all of the engine's own, and names that lead elsewhere."""
    fine = {path for _, path in (*LOOKED, *ACTED)}
    near = {before + path + behind for before in _BEFORE for path in fine for behind in _BEHIND}
    theirs = {path.replace("{id}", _ID).replace("{name}", "x") for _, path in SPECIFIED}
    named = {
        f"{before}/{kind}/{name}{verb}"
        for before in ("", "/v1.41")
        for kind, verb in (("containers", "/restart"), ("networks", "/connect"), ("containers", ""))
        for name in (*HOSTILE, *map(unquote, HOSTILE))
    }
    return near | theirs | named


def test_each_thing_that_relevo_asks_for_passes() -> None:
    assert len(LOOKED) == 15
    assert len(ACTED) == 8
    for method, path in (*LOOKED, *ACTED):
        for version in ("", "/v1.41", "/v1.56"):
            assert is_listed(method, version + path)
            assert allowed(_clones(), method, version + path), (method, path)


def test_nothing_else_passes() -> None:
    flags, paths = _clones(), _paths()
    assert len(paths) > 3000
    for method in METHODS:
        differ = [path for path in paths if allowed(flags, method, path) != is_listed(method, path)]
        assert differ == [], method


def test_without_clones_two_things_can_be_done_and_all_be_looked_at() -> None:
    flags = _restarts()
    passed = [path for method, path in ACTED if allowed(flags, method, path)]
    assert sorted(path.rpartition("/")[2] for path in passed) == ["restart", "start"]
    assert all(allowed(flags, method, path) for method, path in LOOKED)
    for method in METHODS:
        for path in _paths():
            assert allowed(flags, method, path) <= is_listed(method, path), (method, path)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_gos_expressions_mean_the_same(method: str) -> None:
    """Nothing in them that Go has not, or reads otherwise than Python."""
    assert re.fullmatch(r"(?:[\w/:|.?()\[\]{},-]|\\\.)+", _clones()[method])
    assert "(?" not in _clones()[method]


def test_the_page_is_in_the_list() -> None:
    assert "(socket-proxy.md)" in (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
