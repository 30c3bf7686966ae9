"""The pieces of the demo, each by itself: what they print, burn, send and end."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.demo.host import moment
from deploy.demo.screen import WIDTH, Screen
from deploy.demo.stage import end_session
from deploy.demo.story import Json, Story, both_paces, seconds
from tests.adapters.far_side import until
from tests.stack.program import Program, free_port
from tests.stack.wait import eventually

DEMO = Path(__file__).resolve().parents[2] / "deploy" / "demo"
COST_S = 0.02
BEGAN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def at(after: float) -> str:
    return (BEGAN + timedelta(seconds=after)).isoformat().replace("+00:00", "Z")


def attempt(action: str, started: float, **more: object) -> Json:
    return {
        "id": f"a{started}",
        "action": action,
        "reason": "backoff",
        "started_at": at(started),
        "finished_at": None,
        "verdict": None,
        **more,
    }


def remediation(state: str, *attempts: Json, **more: object) -> Json:
    return {
        "id": "r1",
        "state": state,
        "reason": "backoff",
        "opened_at": at(0),
        "closed_at": None,
        "outcome": None,
        "next_action": None,
        "next_action_at": None,
        "attempts": list(attempts),
        **more,
    }


# ------------------------------------------------------------------------ the timeline


def test_each_thing_is_told_once_with_its_own_time() -> None:
    story = Story("web")
    waiting = remediation("waiting", next_action="restart", next_action_at=at(3))
    failed = attempt("restart", 3, finished_at=at(12), verdict="symptom_persists", evidence="still")

    first = story.update([waiting], [], BEGAN)
    again = story.update([waiting], [], BEGAN)
    later = story.update([remediation("verifying", failed)], [], BEGAN)

    assert [event.text for event in first] == ["wait 3 s (1 min in real time) before restart 1"]
    assert again == []
    assert [(event.at, event.text) for event in later] == [
        (moment(at(3)), "restart 1 (backoff)"),
        (moment(at(12)), "  restart 1: symptom_persists, still"),
    ]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(remediation("waiting"), False, id="under-way"),
        pytest.param(remediation("closed", attempt("restart", 1)), False, id="before-scale-out"),
        pytest.param(
            remediation("cooldown", attempt("scale_out", 1)), False, id="not-relieved-yet"
        ),
        pytest.param(remediation("closed", attempt("scale_out", 1)), True, id="relieved"),
        pytest.param(remediation("quarantined"), True, id="a-person-is-needed"),
    ],
)
def test_the_story_ends_with_relief_or_a_call_for_help(told: Json, expected: bool) -> None:
    story = Story("web")
    story.update([told], [], BEGAN)

    assert story.has_ended is expected


def test_an_alert_that_comes_back_says_so() -> None:
    story = Story("web")
    alert = {
        "labels": {"alertname": "ContainerHighCPU"},
        "annotations": {"summary": "web is busy"},
        "startsAt": at(6),
    }

    told = [story.update_alerts(alerts, BEGAN) for alerts in ([alert], [alert], [], [alert])]

    assert [[event.text.partition(":")[0] for event in events] for events in told] == [
        ["ALERT ContainerHighCPU fires"],
        [],
        ["alert ContainerHighCPU is quiet"],
        ["ALERT ContainerHighCPU is back"],
    ]


def test_durations_read_as_people_say_them() -> None:
    assert seconds(timedelta(seconds=45)) == "45 s"
    assert seconds(timedelta(minutes=5)) == "5 min"
    assert both_paces(timedelta(seconds=29.9)) == "30 s (10 min in real time)"


# ------------------------------------------------------------------------ the screen


def test_without_a_terminal_nothing_is_rewritten_or_coloured() -> None:
    out = io.StringIO()
    screen = Screen(out)

    screen.progress("   3 s  waiting")
    screen.event(12.3, "  restart 1: " + "word " * 40, style="bad")

    lines = out.getvalue().splitlines()
    assert len(lines) > 1
    assert all(len(line) <= WIDTH for line in lines)
    assert "\r" not in out.getvalue()
    assert "\x1b" not in out.getvalue()


# ------------------------------------------------------------------------ the patients


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[str]:
    """The sick service, healthy for once: on loopback, without a limit."""
    port = free_port()
    program = Program(
        "service",
        [sys.executable, DEMO / "service.py"],
        log=tmp_path / "service.log",
        env=os.environ | {"PORT": str(port), "HOST": "127.0.0.1", "COST_MS": f"{COST_S * 1000:g}"},
    )
    await program.start()
    try:
        url = f"http://127.0.0.1:{port}"

        async def answers() -> bool:
            return "instance" in json.dumps(await probe(url))

        await eventually(answers, within=20, what="the service answers")
        yield url
    finally:
        await program.stop()


async def client(url: str, *argv: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(DEMO / "client.py"), url, *argv), stdout=subprocess.PIPE
    )


async def probe(url: str) -> dict[str, Json]:
    process = await client(url, "--probe")
    out, _ = await process.communicate()
    found: dict[str, Json] = json.loads(out)
    return found


async def test_customers_send_their_rate_and_the_service_counts(service: str) -> None:
    process = await client(service, "--rate", "20")
    assert process.stdout is not None
    served: list[int] = []
    async with asyncio.timeout(30):
        while sum(served) < 60:
            report = json.loads(await process.stdout.readline())
            served.append(sum(report["answered"].values()))
    process.terminate()
    await process.communicate()

    # At 20 a second 60 take three seconds; a machine that stalled may catch up for one second.
    assert len(served) >= 2
    assert max(served) <= 42
    ((address, answer),) = (await probe(service)).items()
    assert address == "127.0.0.1"
    assert answer["served"] >= 60


async def test_a_name_without_an_address_is_no_crash() -> None:
    assert await probe("http://no-such-name.invalid:8000") == {}


# ------------------------------------------------------------------------ the end


def is_over(process: int) -> bool:
    """Gone, or dead and not yet asked after."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return "State:\tZ" in status


def test_ends_all_that_a_script_has_started() -> None:
    script = "trap '' TERM; sleep 60 & echo $!; wait"
    process = subprocess.Popen(
        ["bash", "-c", script], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())

    end_session(process, polite_s=0.6)

    process.stdout.close()
    assert process.returncode is not None
    # Killed, which takes the kernel a moment; whoever inherited it may not have looked yet.
    until(lambda: is_over(child), what=lambda: f"process {child} is over")
