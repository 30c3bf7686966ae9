"""Strangers' text says something, and does nothing."""

import pytest

from app.web.text import plain


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        pytest.param("web-1", 10, "web-1", id="plain"),
        pytest.param("", 10, "", id="empty"),
        pytest.param("añil-東京-שלום", 20, "añil-東京-שלום", id="letters-of-any-script"),
        pytest.param("1234567890", 10, "1234567890", id="just-as-long"),
        pytest.param("12345678901", 10, "123456789…", id="one-too-long"),
        pytest.param("a\nb\tc", 10, "a b c", id="on-one-line"),
        pytest.param("a\x1b[31m", 20, "a\\u001b[31m", id="escape-sequence"),
        pytest.param("a\u202eb", 20, "a\\u202eb", id="turned-around"),
        pytest.param("a\u2066b\u200fc", 20, "a\\u2066b\\u200fc", id="isolates-and-marks"),
        pytest.param("a\u2028b", 20, "a\\u2028b", id="line-separator"),
        pytest.param("a\ud800b", 20, "a\\ud800b", id="lone-surrogate"),
        pytest.param("a\x00b", 20, "a\\u0000b", id="nul"),
        pytest.param("a\u200bb\ufeffc", 20, "a\\u200bb\\ufeffc", id="no-width"),
        pytest.param("a\u00adb\u2060c", 20, "a\\u00adb\\u2060c", id="soft-hyphen-and-joiner"),
        pytest.param("a\U000e0041", 20, "a\\U000e0041", id="tag-characters"),
        pytest.param("a\U000e0101", 20, "a\\U000e0101", id="hidden-in-variations"),
        pytest.param("\u3164\u2800", 20, "\\u3164\\u2800", id="letters-that-are-blank"),
        pytest.param("a\u00a0b\u3000c", 20, "a b c", id="spaces-of-any-width"),
        pytest.param("\u2714\ufe0f", 20, "\u2714\ufe0f", id="a-sign-in-colour"),
        pytest.param("<b>&\"'", 20, "<b>&\"'", id="escaping-is-the-templates"),
    ],
)
def test_is_shown_so(text: str, most: int, shown: str) -> None:
    assert plain(text, most) == shown
