"""Logs: what docs/logs.md says of them, and lines that stay lines."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.builders import alert
from tests.controller.conftest import clock, engine, house
from tests.controller.house import House, pass_time, working
from tests.docs.pages import spans
from tests.log_lines import PAGE, keep_the_promise, promised

__all__ = ["clock", "engine", "house"]

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = 'a "quoted" word\nts=forged level=info\r\x1b[31mred\u2028\u202egnp = \\'
#: Logs as a process does, then says so much in so many words.
SPEAK = """
import sys
from app.log import configure_logging
configure_logging(sys.argv[1])
import logging, structlog
log = structlog.get_logger("relevo.decision")
log.info("decision", decision="hold", failures=2, detail=sys.argv[2], engaged=True, target=None)
logging.getLogger("uvicorn.error").warning("theirs: %s", sys.argv[2])
"""
#: Keys and values of a logfmt line.
_PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)(?: |$)')


def spoken(style: str) -> list[str]:
    """The lines that a process writes."""
    done = subprocess.run(
        [sys.executable, "-c", SPEAK, style, HOSTILE],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == b""
    return done.stderr.decode().removesuffix("\n").split("\n")


def test_a_line_of_logfmt_stays_one_whatever_is_in_it() -> None:
    ours, theirs = spoken("logfmt")

    pairs = dict(_PAIR.findall(ours))
    assert list(pairs)[:3] == ["ts", "level", "event"]
    assert _PAIR.sub("", ours) == ""
    assert (pairs["event"], pairs["failures"], pairs["engaged"]) == ("decision", "2", "true")
    assert pairs["target"] == ""
    assert pairs["detail"].startswith(r'"a \"quoted\" word\nts=forged')
    assert (ours + theirs).isprintable()
    assert 'event="theirs: a' in theirs


def test_in_json_they_are_objects_with_the_same_keys() -> None:
    ours, theirs = map(json.loads, spoken("json"))

    assert ours["detail"] == HOSTILE
    assert ours["failures"] == 2
    assert ours["engaged"] is True
    assert {"ts", "level", "event", "decision"} <= set(ours)
    assert theirs["event"] == f"theirs: {HOSTILE}"


def test_the_promise_is_read_from_the_page() -> None:
    always, container, group, sometimes = promised().values()

    assert always == ["ts", "level", "event", "decision", "reason"]
    assert container == ["target", "failures"]
    assert group == ["group"]
    assert {"until", "verdict", "evidence", "activity"} <= set(sometimes)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"colour": "red"}, id="an unknown key"),
        pytest.param({"state": 3}, id="a value that is no text"),
        pytest.param({"target": None}, id="nothing where something is promised"),
    ],
)
def test_a_line_that_breaks_the_promise_is_found(wrong: dict[str, object]) -> None:
    line = {"event": "decision", "log_level": "info", "decision": "wait", "reason": "backoff"}
    line |= {"target": "host1:web", "failures": 0}  # type: ignore[dict-item]
    keep_the_promise([line])

    with pytest.raises(AssertionError):
        keep_the_promise([line | wrong])


@pytest.mark.looptime
async def test_the_lines_that_the_page_shows_are_those_of_a_story(house: House) -> None:
    (shown,) = re.findall(r"^```text\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = [dict(_PAIR.findall(line)) for line in shown.splitlines()]

    with capture_logs() as logs:
        async with working(house):
            await house.take(alert())
            await pass_time(minutes=5)

    keep_the_promise(lines)
    said = {line["decision"]: line for line in logs if line["event"] == "decision"}
    for line in lines:
        told = {key: str(value) for key, value in said[line["decision"]].items()}
        told["level"] = told.pop("log_level")
        assert {key: value.strip('"') for key, value in line.items() if key != "ts"} == told


def said() -> set[str]:
    """The events of all calls of a logger that are told with a fixed text."""
    found = set()
    for path in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=func, args=[ast.Constant(value=str(event)), *_]):
                    # Also a level that is chosen, and a logger that knows more already.
                    if re.search(r"\b_?log(ger)?\b.*\.(info|warning|error)\b", ast.unparse(func)):
                        found.add(event)
    return found


def test_every_event_is_explained() -> None:
    explained = {
        one.text for one in spans() if one.page in ("docs/logs.md", "docs/troubleshooting.md")
    }

    events = said()

    assert len(events) > 50
    assert events <= explained


@pytest.mark.parametrize("style", ["logfmt", "json"])
def test_a_log_that_nobody_can_write_ends_nothing(style: str) -> None:
    with Path("/dev/full").open("w") as full:
        spoken = subprocess.run(
            [sys.executable, "-c", SPEAK + "print('still here')", style, "words"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=full,
            check=False,
            timeout=60,
        )

    assert b"still here" in spoken.stdout


@pytest.mark.parametrize("style", ["logfmt", "json"])
def test_a_line_that_cannot_be_written_is_told_of_and_ends_nothing(style: str) -> None:
    speak = """
class Odd:
    def __str__(self):
        raise RuntimeError("no text")
    __repr__ = __str__

log.info("odd", value=Odd())
log.info("after")
"""
    spoken = subprocess.run(
        [sys.executable, "-c", SPEAK + speak, style, "words"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    ).stderr.decode()

    assert "a line could not be written" in spoken
    assert "'odd'" in spoken
    assert "RuntimeError" in spoken
    assert "after" in spoken.splitlines()[-1]
