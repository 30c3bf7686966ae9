"""examples/: valid for Compose 1.29 and today's specification, and accepted by each program."""

import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest

from tests.deploy.places import ROOT, load_yaml
from tests.parts import obtain, require

EXAMPLES = ROOT / "examples"
FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/compose.yaml"))
SCHEMA = json.loads((Path(__file__).parent / "fixtures" / "compose-spec.json").read_text())
each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)


def accepted(*argv: str | Path) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_folders_are_those_that_the_list_names() -> None:
    listed = re.findall(r"\]\(([\w-]+)/\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"))

    assert sorted(listed) == [folder.name for folder in FOLDERS]
    # A queue is the example that needs the least.
    assert listed[0] == "queue-worker"


@each
def test_valid_for_the_published_specification(folder: Path) -> None:
    content = load_yaml(folder / "compose.yaml")

    jsonschema.Draft202012Validator(SCHEMA).validate(content)
    # Compose 1.29 refuses the one, 2.x warns about the other.
    assert not {"name", "version"} & set(content)


@each
def test_valid_for_compose_1_29(folder: Path) -> None:
    accepted(require("docker-compose"), "--file", folder / "compose.yaml", "config", "--quiet")


@each
def test_somebody_is_opted_in_and_has_a_limit(folder: Path) -> None:
    services = load_yaml(folder / "compose.yaml")["services"]
    opted_in = [one for one in services.values() if "relevo.enable" in one.get("labels", {})]

    (one,) = opted_in
    assert one["cpus"] > 0
    # A fixed port of the host can be had once: not by a clone.
    assert "ports" not in one


@each
def test_every_file_that_is_mounted_is_there(folder: Path) -> None:
    services = load_yaml(folder / "compose.yaml")["services"]
    mounted = [volume.split(":")[0] for one in services.values() for volume in one["volumes"]]

    for path in mounted:
        if path.startswith("."):
            assert (folder / path).is_file(), path


@pytest.mark.parametrize(
    ("program", "options", "file"),
    [
        pytest.param("haproxy", ("-c", "-f"), "haproxy/haproxy.cfg", id="haproxy"),
        pytest.param("nginx", ("-t", "-q", "-e", "stderr", "-c"), "nginx/nginx.conf", id="nginx"),
        pytest.param(
            "caddy",
            ("validate", "--adapter", "caddyfile", "--config"),
            "caddy/Caddyfile",
            id="caddy",
        ),
    ],
)
def test_its_program_accepts_it(program: str, options: tuple[str, ...], file: str) -> None:
    accepted(obtain(program), *options, EXAMPLES / file)


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("**/*.sh")), ids=lambda path: path.name)
def test_its_scripts_are_sound(script: Path) -> None:
    accepted(require("busybox"), "sh", "-n", script)
