"""The collector without a socket: it reads through the gate."""

from pathlib import Path

from app.adapters.engine.stats import EngineReader
from app.adapters.gate.line import GateLine
from app.adapters.gate.reader import GateReader
from tests.adapters.engine.fake_daemon import (
    CONTAINER_ID,
    STARTED_AT,
    FakeDaemon,
    Reply,
    inspected,
    line,
)
from tests.gate_lab import a_gate

INFO = {"Name": "host 1", "ServerVersion": "20.10", "NCPU": 4, "MemTotal": 8 << 30}
STATS = {
    "read": STARTED_AT,
    "cpu_stats": {"cpu_usage": {"total_usage": 5_000_000_000}},
    "memory_stats": {"usage": 1000, "stats": {"inactive_file": 100}},
    "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}},
}


async def test_reads_the_same_through_the_gate(daemon: FakeDaemon, folder: Path) -> None:
    daemon.knows(inspected(HostConfig={"Memory": 1 << 20, "NanoCpus": 500_000_000}))
    daemon.answer("GET /info", Reply(body=INFO))
    daemon.answer("GET /containers/json", Reply(body=[line(Labels={"relevo.cpus": "2"})]))
    daemon.answer(f"GET /containers/{CONTAINER_ID}/stats", Reply(body=STATS))
    direct = EngineReader(daemon.url)
    async with a_gate(daemon.url, folder, policies="version: 1\n") as path:
        behind = GateReader(GateLine(path))

        assert await behind.host() == await direct.host()
        assert await behind.running() == await direct.running() != ()
        assert await behind.usage(CONTAINER_ID) == await direct.usage(CONTAINER_ID)
        assert await behind.allowance(CONTAINER_ID) == await direct.allowance(CONTAINER_ID)
        assert (await behind.allowance(CONTAINER_ID)).memory_bytes == 1 << 20

        await behind.close()
    await direct.close()

    assert daemon.acts == []


async def test_one_that_went_meanwhile_has_used_nothing(daemon: FakeDaemon, folder: Path) -> None:
    daemon.answer(f"GET /containers/{CONTAINER_ID}/stats", Reply(body=None))
    async with a_gate(daemon.url, folder, policies="version: 1\n") as path:
        behind = GateReader(GateLine(path))
        assert await behind.usage(CONTAINER_ID) is None
        await behind.close()
