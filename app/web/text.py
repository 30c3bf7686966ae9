"""Strangers' text on its way to a page: nothing in it may steer the page or its reader."""

import unicodedata
from typing import Final

#: A log line, an engine's whole answer: more of one piece of text is not read on a page.
LONGEST: Final = 2000
#: What a name is cut to in a table; its own page shows it whole.
NAME: Final = 80
#: Letters of scripts that run right to left are fine; what turns the text around them is not.
_TURNING: Final = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_UNSEEN: Final = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})


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
    if char in _TURNING or unicodedata.category(char) in _UNSEEN:
        return f"\\u{ord(char):04x}"
    return char
