"""A gate of its own for tests: over any engine, and open to what the lab's tests do."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import product
from pathlib import Path

from app.adapters.gate.client import GateEngine, GateServices
from app.adapters.gate.line import GateLine, no_fence
from app.gate import open_gate
from app.settings import load_settings

#: Opts in every lab (`tests.engine_lab`), and has room for all that its tests do.
_OPEN = """\
version: 1
enable: [{name: "lab*"}]
guards: {concurrent: 100, burst: 1000, per_hour: 3600, max_clones: 500}
defaults: {scale_out: {max_instances: 100}}
policies:
"""
_GRACES = ("0s", "1s", "2s", "3s", "10s")


def lenient() -> str:
    """
    Write a policy file by which all that the tests of an engine ask for is somebody's policy.

    The gate takes a grace, or rules of a scale-out, only where a policy has them.
    """
    ways = product(
        ("auto", "refuse", "ephemeral", "drop"),
        ("refuse", "allow"),
        ("refuse", "allow"),
        ("refuse", "allow"),
        ("keep", "isolate", "stop"),
    )
    lines = [
        f"  - {{name: way-{number}, match: {{}}, scale_out: {{max_instances: 100, "
        f"host_ports: {ports}, shared_volumes: {volumes}, shared_devices: {devices}, "
        f"host_network: {network}, source: {source}}}}}\n"
        for number, (ports, volumes, devices, network, source) in enumerate(ways)
    ]
    lines += [
        f"  - {{name: grace-{grace}, match: {{}}, restart: {{stop_grace: {grace}}}}}\n"
        for grace in _GRACES
    ]
    return _OPEN + "".join(lines)


@contextmanager
def gate_folder() -> Iterator[Path]:
    """A place for socket, journal and policies: the address of a socket is short."""
    folder = Path(tempfile.mkdtemp(prefix="relevo-gate-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def a_gate(
    url: str, folder: Path, *, policies: str | None = None, users: Iterable[int] = ()
) -> AsyncIterator[Path]:
    """Run a gate within the block; answer the path of its socket."""
    file = folder / "policies.yml"
    if policies is not None or not file.exists():
        file.write_text(lenient() if policies is None else policies)
    path = folder / "gate.sock"
    settings = load_settings(
        docker_host=url,
        data_dir=folder / "data",
        policies=file,
        gate_socket=path,
        gate_users=",".join(map(str, users)),
    )
    async with open_gate(settings):
        yield path


@asynccontextmanager
async def a_line(path: Path) -> AsyncIterator[GateLine]:
    """A client's line to a gate."""
    line = GateLine(path, fence=no_fence)
    try:
        yield line
    finally:
        await line.close()


@asynccontextmanager
async def behind_a_gate(
    url: str, *, policies: str | None = None
) -> AsyncIterator[tuple[GateEngine, GateServices]]:
    """Engine and services as they are behind a gate."""
    with gate_folder() as folder:
        async with a_gate(url, folder, policies=policies) as path, a_line(path) as line:
            yield GateEngine(line), GateServices(line)
