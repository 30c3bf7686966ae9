"""`make demo`, as a newcomer sees it: to its end, and nothing is left behind."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import jsonschema
import pytest
from ruamel.yaml import YAML

from tests.parts import require
from tests.stack.containers import docker
from tests.stack.locked_live import look
from tests.stack.wait import eventually

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.timeout(420)]

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "deploy" / "demo"
_NAMES = ("relevo-demo", "demo-shop")
_LABEL = "com.docker.compose.project"

#: Up in 15 to 35 s, the story takes 95 s, down in 5; the demo's own limits end it before this.
DEMO_ENDS_WITHIN = 390.0


@pytest.fixture(autouse=True)
def _parts() -> None:
    for part in ("docker", "docker-compose"):
        require(part)


async def standing() -> set[str]:
    """Everything on the engine that belongs to some demo: its project, kind and name."""
    found: set[str] = set()
    for kind, column in (("container", "Names"), ("network", "Name"), ("volume", "Name")):
        every = ["--all"] if kind == "container" else []
        shown = f'{{{{.Label "{_LABEL}"}}}} {kind} {{{{.{column}}}}}'
        lines = (await docker(kind, "ls", *every, "--format", shown)).splitlines()
        found |= {line for line in lines if line.startswith(_NAMES)}
    return found


async def left_behind(said: str) -> set[str]:
    """What is left of a demo, by the projects that it says it has taken down."""
    ended = re.search(r"Everything is taken down again \((\S+) and (\S+)\)", said)
    assert ended, said
    # Another demo may be running meanwhile, on another stage.
    return {line for line in await standing() if line.split()[0] in ended.groups()}


async def start_demo() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(DEMO / "demo.py")),
        env=os.environ | {"KEEP": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=REPOSITORY,
    )


async def test_a_sick_container_is_restarted_three_times_and_relieved() -> None:
    process = await start_demo()
    assert process.stdout is not None
    said = ""
    open_doors = ["nobody has looked"]
    async with asyncio.timeout(DEMO_ENDS_WITHIN):
        async for line in process.stdout:
            said += line.decode()
            if found := re.fullmatch(r"  Relevo        (http://localhost:\d+/)\n", line.decode()):
                async with httpx.AsyncClient(follow_redirects=True) as http:
                    page = await http.get(found[1])
                assert page.status_code == 200
                assert "Log in" in page.text
            if found := re.fullmatch(
                r"  Log in with   (\S+/(relevo-demo\d*)/secrets)/\w+\n", line.decode()
            ):
                # While the story goes on: this is the stack as it is shipped.
                open_doors = await look(found[2], REPOSITORY / found[1])
        await process.wait()

    assert "\n  Relevo        http://" in said
    assert process.returncode == 0, said
    assert open_doors == []
    # What is printed is the closing check of the real things; here only that it was printed.
    assert said.count("\nok      ") == 9, said
    assert "All of it holds." in said
    assert max(len(line) for line in said.splitlines()) <= 100
    assert await left_behind(said) == set()


async def test_interrupted_it_leaves_nothing_behind() -> None:
    before = await standing()
    process = await start_demo()

    async def stands() -> bool:
        return bool(await standing() - before)

    try:
        await eventually(stands, within=90, what="the demo has started something")
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            out, _ = await process.communicate()

    assert process.returncode == 130, out.decode()
    assert await left_behind(out.decode()) == set()


def test_its_compose_file_is_valid_for_the_compose_that_is_here() -> None:
    answer = subprocess.run(
        [require("docker-compose"), "--file", DEMO / "compose.yaml", "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 0, answer.stderr


def test_its_compose_file_is_valid_for_the_newer_ones() -> None:
    specification = REPOSITORY / "tests" / "deploy" / "fixtures" / "compose-spec.json"
    document = YAML(typ="safe", pure=True).load((DEMO / "compose.yaml").read_text(encoding="utf-8"))

    jsonschema.validate(document, json.loads(specification.read_text(encoding="utf-8")))
