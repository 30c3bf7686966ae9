"""Names that are safe in a URL path, a key and a metric."""

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.target import GroupId, TargetId, is_safe_name


@pytest.mark.parametrize(
    "name",
    ["web", "shop-web-1", "a", "9", "A.b_c-d", "web_new2", "x" * 255],
)
def test_dockers_own_names_are_safe(name: str) -> None:
    assert is_safe_name(name)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="nothing"),
        pytest.param("x" * 256, id="one-too-long"),
        pytest.param(".", id="here"),
        pytest.param("..", id="the-folder-above"),
        pytest.param("-web", id="an-option"),
        pytest.param("_web", id="an-underscore-first"),
        pytest.param("a/b", id="a-slash"),
        pytest.param("a:b", id="our-own-separator"),
        pytest.param("a b", id="a-blank"),
        pytest.param("web\n", id="a-line-end-at-the-end"),
        pytest.param("a\x00", id="nul"),
        pytest.param("wéb", id="a-letter-beyond-ascii"),
        pytest.param("web٣", id="a-digit-beyond-ascii"),
        pytest.param("a%2fb", id="an-escape"),
    ],
)
def test_other_names_are_not(name: str) -> None:
    assert not is_safe_name(name)
    with pytest.raises(ValueError, match="letters, digits"):
        TargetId("host1", name)
    with pytest.raises(ValueError, match="letters, digits"):
        TargetId(name, "web")


@pytest.mark.parametrize(
    "text", ["", "web", ":", "host1:", ":web", "host1:web:1", "host1:web ", "host1:../web"]
)
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"engine:slot|letters, digits"):
        TargetId.parse(text)


SAFE = st.from_regex(re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}"), fullmatch=True)


@given(engine=SAFE, slot=SAFE)
def test_a_target_reads_back_and_needs_no_quoting(engine: str, slot: str) -> None:
    target = TargetId(engine, slot)

    assert TargetId.parse(str(target)) == target
    assert quote(str(target), safe=":") == str(target)


def test_targets_sort_by_engine_then_slot() -> None:
    targets = [TargetId("b", "a"), TargetId("a", "b"), TargetId("a", "a")]

    assert [str(one) for one in sorted(targets)] == ["a:a", "a:b", "b:a"]


def test_a_group_is_written_with_its_engine() -> None:
    assert str(GroupId("host1", "shop/web")) == "host1:shop/web"
