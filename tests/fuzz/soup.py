"""
Hostile values, made cheaply: of a random source, some hundred thousand a second.

What hypothesis makes it makes and shrinks better, a hundred times slower; both are used.
"""

import copy
import json
from random import Random
from typing import Any, Final

#: Stands in what is sent; no answer may hold it.
MARK: Final = "zq7HOSTILEzq7"
DIGITS: Final = "9" * 5000

#: Text that has meant something to some program at some time.
TEXTS: Final[tuple[str, ...]] = (
    *("", " ", "\x00", "\n", "\r\n", "\t", "\x1b[31m", "\x7f", "\ud800", "\udfff", "\ufeff"),
    *("\u202e", "\u2028", "\U0010ffff", "a\u0301" * 40, "é", "²", "١", "１", "İ", "ß", "ﬃ"),
    *("../", "..", ".", "/", "//", "\\", "prune?", "../images/prune?", "web/kill?signal=9#"),
    *("%00", "%2e%2e%2f", "%ff", "#", "?", "&", "=", ";", "|", "$(id)", "`id`", "${jndi:x}"),
    *("<script>", "{{7*7}}", "{%", "*{", "'", '"', "' OR 1=1 --", "{relevo}:x", "*", "[", "]"),
    *("null", "true", "NaN", "Infinity", "-0", "0x10", "1e999", "1_000", "0001-01-01T00:00:00Z"),
    *("2026-11-22T09:59:30Z", "9999-12-31T23:59:59Z", "-1", "P400D", "10s", "99999h", "container"),
    *("a" * 64, "a" * 63, "A" * 64, "sha256:" + "b" * 64, "web", "host1:web", "true", "observe"),
    *(MARK, MARK * 30, "x" * 300, "x" * 5000, DIGITS),
)
NUMBERS: Final[tuple[Any, ...]] = (
    *(0, 1, -1, 2, 255, 2**31, -(2**31), 2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400),
    *(0.0, -0.0, 0.5, 1e-320, 1e308, -1e308, 1.5e9, float("inf"), float("-inf"), float("nan")),
)
WORDS: Final[tuple[Any, ...]] = (None, True, False, [], {}, [[]], [{}], {"": None})
#: What bytes may become.
SNIPPETS: Final[tuple[bytes, ...]] = (
    *(b"NaN", b"-Infinity", b"1e999", b"\\ud800", b"\\u0000", b"\x00", b"\xff", b"\xed\xa0\x80"),
    *(b"[" * 200, b'{"a":' * 200, b"]", b"}", b'"', b",", b":", b"null", b"true", b"\\", b"/*"),
    *(DIGITS.encode(), b"-" + DIGITS.encode(), b"1e" + DIGITS.encode(), b"0001-01-01T00:00:00Z"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\r\n", b"\n", b"\x1b[0m"),
    *(MARK.encode(), b"|", b"||||", b"firing|", b"&a", b"*a", b"!!python/object:x", b"<<: ", b": "),
)


def text(chance: Random) -> str:
    """Some text: a notorious one, parts of several, or letters from anywhere."""
    kind = chance.random()
    if kind < 0.5:
        return chance.choice(TEXTS)
    if kind < 0.75:
        return "".join(chance.choice(TEXTS)[:80] for _ in range(chance.randrange(1, 4)))
    return "".join(
        chr(
            chance.choice(
                (chance.randrange(128), chance.randrange(0x3000), chance.randrange(0x110000))
            )
        )
        for _ in range(chance.randrange(12))
    )


def value(chance: Random, depth: int = 3) -> Any:
    """A value as JSON has them, and NaN."""
    kind = chance.random()
    if kind < 0.35:
        return text(chance)
    if kind < 0.6:
        return chance.choice(NUMBERS)
    if kind < 0.8 or depth <= 0:
        return copy.deepcopy(chance.choice(WORDS))
    if kind < 0.9:
        return [value(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {text(chance): value(chance, depth - 1) for _ in range(chance.randrange(4))}


def spoilt(chance: Random, tree: Any, changes: int = 0) -> Any:
    """Return a copy of a tree of plain values in which a place or some are not as they were."""
    changed = copy.deepcopy(tree)
    for _ in range(changes or chance.choice((1, 1, 1, 2, 4))):
        changed = _spoil_once(chance, changed)
    return changed


def _spoil_once(chance: Random, tree: Any) -> Any:
    places = list(_places(tree))
    if not places:
        return value(chance)
    node, key = chance.choice(places)
    kind = chance.random()
    if kind < 0.7:
        node[key] = value(chance)
    elif kind < 0.8:
        del node[key]
    elif isinstance(node, dict):
        node[text(chance)] = value(chance) if kind < 0.9 else node.pop(key)
    else:
        node.insert(key, copy.deepcopy(node[key]) if kind < 0.9 else value(chance))
    return tree


def _places(node: Any) -> Any:
    if isinstance(node, dict):
        for key, one in node.items():
            yield node, key
            yield from _places(one)
    elif isinstance(node, list):
        for index, one in enumerate(node):
            yield node, index
            yield from _places(one)


def mutated(chance: Random, raw: bytes, *others: bytes) -> bytes:
    """Return bytes that were something once."""
    found = bytearray(raw)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at = chance.randrange(len(found) + 1)
        kind = chance.random()
        if kind < 0.4:
            found[at : at + chance.choice((0, 0, 1, 4, 30))] = chance.choice(SNIPPETS)
        elif kind < 0.55:
            del found[at : at + chance.choice((1, 2, 8, 64))]
        elif kind < 0.7 and found:
            found[at % len(found)] = chance.randrange(256)
        elif kind < 0.8:
            found[at:at] = found[at : at + chance.randrange(1, 40)]
        elif kind < 0.9 and others:
            other = chance.choice(others)
            start = chance.randrange(len(other) + 1)
            found[at:at] = other[start : start + chance.randrange(1, 80)]
        else:
            del found[at:]
    return bytes(found)


def written(tree: Any) -> bytes:
    """JSON as lenient senders write it: NaN, and halves of surrogates as escapes."""
    return json.dumps(tree).encode()
