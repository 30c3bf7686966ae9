"""What a process loads when it starts, told apart by name: times differ between machines."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
#: Loads what a command loads, as the command does, and tells what there is then.
_LOADED: Final = """
import json, sys
sys.modules["rich"] = None
from app.cli import command, processes
command.cli.get_command(None, sys.argv[1])
with processes._starting():
    __import__(sys.argv[2])
print(json.dumps(sorted(name for name, module in sys.modules.items() if module is not None)))
"""
#: Of nothing that is there only for people who type commands.
_FOR_PEOPLE: Final = ("app.cli.connect", "app.cli.show", "app.cli.doctor", "app.cli.client")
#: What is not loaded until somebody asks for it.
_LATER: Final = {
    "app.main": (*_FOR_PEOPLE, "jinja2", "pydantic.v1", "app.adapters.gate.words", "app.collector"),
    "app.collector": (
        *_FOR_PEOPLE,
        *("fastapi", "starlette", "uvicorn", "httpx", "redis", "jinja2", "opentelemetry", "rich"),
        *("app.adapters.gate.words", "app.controller", "app.main"),
    ),
    "app.gate": (
        *_FOR_PEOPLE,
        *("fastapi", "starlette", "uvicorn", "httpx", "redis", "jinja2", "opentelemetry", "rich"),
        *("app.controller", "app.main", "prometheus_client"),
    ),
}


def loaded(command: str, module: str) -> set[str]:
    """What is loaded once a process could begin to open things."""
    done = subprocess.run(
        # Libraries of the development tools are taken up where they are found, such as rich by
        # structlog: they are kept from being found, as in the image there are none.
        [sys.executable, "-c", _LOADED, command, module],
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("command", "module"),
    [("serve", "app.main"), ("collect", "app.collector"), ("gate", "app.gate")],
)
def test_a_process_loads_nothing_of_what_it_may_never_need(command: str, module: str) -> None:
    there = loaded(command, module)

    assert module in there
    assert sorted(there.intersection(_LATER[module])) == []


def test_the_health_check_loads_no_server() -> None:
    there = loaded("healthcheck", "app.cli.healthcheck")

    assert sorted(there.intersection((*_FOR_PEOPLE, "fastapi", "redis", "jinja2"))) == []
