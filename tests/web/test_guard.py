"""Ways back lead to paths of ours."""

import pytest

from app.web.guard import own_path


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("/", "/"),
        ("/targets/host1:web", "/targets/host1:web"),
        ("/remediations/a?done=cancel", "/remediations/a?done=cancel"),
        (None, "/"),
        ("", "/"),
        ("targets/web", "/"),
        ("//elsewhere.example/x", "/"),
        ("///elsewhere.example", "/"),
        ("/\\elsewhere.example", "/"),
        ("\\/elsewhere.example", "/"),
        ("https://elsewhere.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/elsewhere.example", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("/a\u202eb", "/"),
        ("/login?next=/login", "/"),
        ("/logout", "/"),
        ("/" + "a" * 500, "/"),
    ],
)
def test_own_path(asked: str | None, path: str) -> None:
    assert own_path(asked) == path
