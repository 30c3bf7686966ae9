"""
The real parts that tests need: found, or skipped by name, or insisted on.

``RELEVO_TEST_REQUIRE=docker,redis,…`` turns the skip of a missing part into a failure.
"""

import os
import shutil
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

#: Part -> names of the program that is it, the preferred one first.
_PROGRAMS = {
    "docker": ("docker",),
    "docker-compose": ("docker-compose",),
    "docker-compose-v2": ("docker-compose-v2",),
    "redis": ("redis-server", "valkey-server"),
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "amtool": ("amtool",),
    "node-exporter": ("prometheus-node-exporter", "node_exporter"),
    "busybox": ("busybox",),
    "haproxy": ("haproxy",),
    "nginx": ("nginx",),
    "caddy": ("caddy",),
    "wrk": ("wrk",),
    "chromium": ("chromium",),
}
_INSTALL = Path(__file__).resolve().parents[1] / "deploy" / "airgap" / "programs.sh"
#: Where Debian puts servers, which is not on everybody's PATH.
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
#: Where Compose v2 is as a part of `docker`; the file runs by itself as well.
_PLUGINS = os.pathsep.join(
    f"{folder}/docker/cli-plugins" for folder in ("/usr/local/lib", "/usr/libexec", "/usr/lib")
)


@cache
def _found(part: str) -> str | None:
    for name in _PROGRAMS[part]:
        path = shutil.which(name, path=_PATH)
        if path is not None and (part != "docker" or _engine_answers(path)):
            return path
    return shutil.which("docker-compose", path=_PLUGINS) if part == "docker-compose-v2" else None


def _engine_answers(docker: str) -> bool:
    answer = subprocess.run(
        [docker, "version", "--format", "{{.Server.Version}}"],
        capture_output=True,
        timeout=20,
        check=False,
    )
    return answer.returncode == 0


def require(part: str) -> str:
    """Return the path of a part's program; skip the test by the part's name where it is missing."""
    path = _found(part)
    if path is None:
        missing(part)
    return path


def obtain(part: str) -> str:
    """Install a part's program where that can be done; then as `require`."""
    if _found(part) is None:
        # A root on Debian with a mirror gets it; all others are told by name what is missing.
        with suppress(subprocess.TimeoutExpired):
            subprocess.run([_INSTALL, part], capture_output=True, timeout=240, check=False)
        _found.cache_clear()
    return require(part)


def missing(part: str, why: str = "") -> NoReturn:
    """Skip the test by the name of what is missing; fail it where that is insisted on."""
    required = os.environ.get("RELEVO_TEST_REQUIRE", "").split(",")
    # promtool and amtool come with their servers, and are insisted on with them.
    family = {"promtool": "prometheus", "amtool": "alertmanager", "docker-compose": "docker"}
    said = f"missing part: {part}" + (f": {why}" if why else "")
    if part in required or family.get(part) in required:
        pytest.fail(f"{said} (RELEVO_TEST_REQUIRE insists on it)", pytrace=False)
    pytest.skip(said)
