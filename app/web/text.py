"""Strangers' text on its way to a page: nothing in it may steer the page or its reader."""

import unicodedata
from typing import Final

#: A log line, an engine's whole answer: more of one piece of text is not read on a page.
LONGEST: Final = 2000
#: What a name is cut to in a table; its own page shows it whole.
NAME: Final = 80
#: Kinds of characters that show nothing. What has no width, tags, and what turns the text around
#: it are Cf; letters of scripts that run right to left are fine.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
#: And those of other kinds: joiners, fillers, blanks that count as letters, and selectors of a
#: variation, which can spell a message. Only of the two that color a sign is one shown as it is.
_BLANK: Final = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0D),
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    )
    for code in range(first, last + 1)
)


def plain(text: str, most: int = LONGEST) -> str:
    """
    Write text so that it only says something: on one line, cut, what is unseen written out.

    Escaping is the template's.
    """
    # Cut before looking at each character: ten thousand of them are somebody's attack.
    is_long = len(text) > most
    shown = text[: most - 1] if is_long else text
    if not shown.isprintable() or not shown.isascii():
        shown = "".join(_seen(char) for char in shown)
    return f"{shown}…" if is_long else shown


def _seen(char: str) -> str:
    if char in "\n\t\r":
        return " "
    kind = unicodedata.category(char)
    if kind == "Zs":
        return " "  # of whatever width
    if kind in _UNSEEN or char in _BLANK:
        code = ord(char)
        return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
    return char
