"""What is free and what is needed: the arithmetic, as tables."""

from typing import Any

import pytest

from app.adapters.engine.headroom import (
    Host,
    Present,
    is_limited,
    memory_of,
    present,
    room,
)
from app.domain.usage import Room

MB = 1 << 20


def reading(
    *, cpu_s: tuple[float, float] = (10.0, 10.5), took: str = "01", **changes: Any
) -> dict[str, Any]:
    """Return the engine's two readings, a second apart."""
    before, after = (int(seconds * 1e9) for seconds in cpu_s)
    return {
        "preread": "2026-11-22T03:00:00.5Z",
        "read": f"2026-11-22T03:00:{took}.5Z",
        "precpu_stats": {"cpu_usage": {"total_usage": before}},
        "cpu_stats": {"cpu_usage": {"total_usage": after}},
        "memory_stats": {"usage": 100 * MB, "stats": {"total_inactive_file": 30 * MB}},
        **changes,
    }


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        pytest.param(reading(), Present(cpus=0.5, memory=70 * MB), id="half-a-core"),
        pytest.param(
            reading(cpu_s=(0.0, 6.0), took="02"), Present(cpus=3.0, memory=70 * MB), id="three"
        ),
        pytest.param(
            reading(cpu_s=(10.0, 0.2)), Present(memory=70 * MB), id="started-anew-in-between"
        ),
        pytest.param(reading(took="00"), Present(memory=70 * MB), id="no-time-in-between"),
        pytest.param(
            reading(preread="0001-01-01T00:00:00Z"), Present(memory=70 * MB), id="only-one-reading"
        ),
        pytest.param(
            reading(precpu_stats=None), Present(cpus=10.5, memory=70 * MB), id="counted-from-zero"
        ),
        pytest.param(
            reading(memory_stats={}, cpu_stats={}), Present(), id="the-kernel-counts-nothing"
        ),
        pytest.param(reading(read="0001-01-01T00:00:00Z"), None, id="does-not-run"),
        pytest.param({}, None, id="empty"),
    ],
)
def test_reads_what_a_container_uses_at_present(
    stats: dict[str, Any], expected: Present | None
) -> None:
    assert present(stats) == expected


def measured(**changes: Any) -> Room:
    given: dict[str, Any] = {
        "memory": 1000 * MB,
        "cpus": 4.0,
        "source": {"HostConfig": {}},
        "source_uses": Present(cpus=0.25, memory=50 * MB),
        "used": [Present(cpus=0.25, memory=50 * MB), Present(cpus=1.0, memory=200 * MB)],
        "host": None,
    }
    return room(**(given | changes))


@pytest.mark.parametrize(
    ("changes", "memory", "cpus"),
    [
        pytest.param({}, 750, 2.75, id="what-containers-leave"),
        pytest.param({"used": []}, 1000, 4.0, id="nothing-runs"),
        pytest.param({"used": [Present(cpus=9.0, memory=2000 * MB)]}, 0, 0.0, id="never-below-0"),
        pytest.param({"host": Host(available_memory=300 * MB)}, 300, 2.75, id="a-full-host"),
        pytest.param({"host": Host(available_memory=900 * MB)}, 750, 2.75, id="one-that-sees-more"),
    ],
)
def test_says_what_is_free(changes: dict[str, Any], memory: int, cpus: float) -> None:
    found = measured(**changes)

    assert (found.free_memory, found.free_cpus) == (memory * MB, cpus)
    assert (found.memory, found.cpus) == (1000 * MB, 4.0)


@pytest.mark.parametrize(
    ("limits", "memory", "cpus", "limited"),
    [
        pytest.param({}, 50, 0.25, False, id="none-so-its-use"),
        pytest.param({"Memory": 300 * MB}, 300, 0.25, False, id="memory"),
        pytest.param({"NanoCpus": 1_500_000_000}, 50, 1.5, False, id="cpus"),
        pytest.param(
            {"CpuQuota": 50_000, "CpuPeriod": 25_000, "Memory": MB}, 1, 2.0, True, id="both"
        ),
        pytest.param({"CpuQuota": -1, "Memory": -1}, 50, 0.25, False, id="minus-one-is-none"),
    ],
)
def test_says_what_another_one_needs(
    limits: dict[str, Any], memory: int, cpus: float, limited: bool
) -> None:
    found = measured(source={"HostConfig": limits})

    assert (found.needs_memory, found.needs_cpus) == (memory * MB, cpus)
    assert is_limited({"HostConfig": limits}) is limited


MEMINFO = "MemTotal:       24684544 kB\nMemFree:  1 kB\nMemAvailable:   20000000 kB\nHugePages: 0\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(MEMINFO, (24684544 << 10, 20000000 << 10), id="as-linux-writes-it"),
        pytest.param("MemTotal: 1 kB\n", None, id="before-linux-3.14"),
        pytest.param("MemTotal: x kB\nMemAvailable: 1 MB\n", None, id="other-words"),
        pytest.param("", None, id="not-there"),
    ],
)
def test_reads_the_hosts_memory(text: str, expected: tuple[int, int] | None) -> None:
    assert memory_of(text) == expected
