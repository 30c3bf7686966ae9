"""Durations as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.duration import LONGEST, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0", timedelta(0), id="a-bare-zero-needs-no-unit"),
        pytest.param("0s", timedelta(0), id="zero-with-a-unit"),
        pytest.param("1ms", timedelta(milliseconds=1), id="milliseconds"),
        pytest.param("90s", timedelta(seconds=90), id="seconds-beyond-a-minute"),
        pytest.param("5m", timedelta(minutes=5), id="minutes-not-milliseconds"),
        pytest.param("2d", timedelta(days=2), id="days"),
        pytest.param("1w", timedelta(weeks=1), id="weeks"),
        pytest.param("1h30m", timedelta(hours=1.5), id="several-parts-add-up"),
        pytest.param("1m500ms", timedelta(seconds=60.5), id="minutes-then-milliseconds"),
        pytest.param("1.5h", timedelta(minutes=90), id="a-fraction"),
        pytest.param("  10m\n", timedelta(minutes=10), id="blanks-around-it"),
        pytest.param("366d", LONGEST, id="exactly-the-longest"),
    ],
)
def test_reads_what_people_write(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("", "is not a duration", id="nothing"),
        pytest.param("30", "is not a duration", id="no-unit"),
        pytest.param("30sec", "is not a duration", id="a-unit-nobody-knows"),
        pytest.param("5M", "is not a duration", id="capital-letters"),
        pytest.param("-5s", "is not a duration", id="negative"),
        pytest.param("1h 30m", "is not a duration", id="a-blank-inside"),
        pytest.param("1:30", "is not a duration", id="a-clock"),
        pytest.param(".5s", "is not a duration", id="nothing-before-the-point"),
        pytest.param("1e3s", "is not a duration", id="an-exponent"),
        pytest.param("infs", "is not a duration", id="infinity"),
        pytest.param("366d1ms", "longer than a year", id="just-beyond-the-longest"),
        pytest.param("9" * 400 + "w", "longer than a year", id="beyond-any-number"),
    ],
)
def test_says_what_is_wrong_with_the_rest(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_duration(text)


@given(st.text(max_size=12))
def test_never_raises_anything_else(text: str) -> None:
    try:
        read = parse_duration(text)
    except ValueError:
        return
    assert timedelta(0) <= read <= LONGEST


@given(st.integers(min_value=0, max_value=LONGEST // timedelta(milliseconds=1)))
def test_reads_back_what_it_writes(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)

    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(hours=25), "25h"),
        (timedelta(milliseconds=1500), "1s500ms"),
        (timedelta(microseconds=400), "0s"),
        (timedelta(microseconds=-400), "0s"),
        (timedelta(seconds=-90), "-1m30s"),
    ],
)
def test_writes_the_largest_units_first(duration: timedelta, expected: str) -> None:
    assert format_duration(duration) == expected
