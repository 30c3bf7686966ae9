"""From the engine's JSON to readings: the pure part of the collector, as tables."""

from typing import Any

import pytest

from app.adapters.engine.stats import Allowance, Usage, allowance, declared_cpus, figures, usage


def stats(**changes: Any) -> dict[str, Any]:
    return {
        "read": "2026-11-22T15:50:28.033866999Z",
        "cpu_stats": {"cpu_usage": {"total_usage": 1_500_000_000}},
        "memory_stats": {
            "usage": 1000,
            "stats": {"inactive_file": 1, "total_inactive_file": 300},
            "limit": 2**40,
        },
        "networks": {"eth0": {"rx_bytes": 5, "tx_bytes": 7}, "eth1": {"rx_bytes": 1}},
    } | changes


def inspected(**host_config: Any) -> dict[str, Any]:
    return {"HostConfig": host_config, "State": {"StartedAt": "2026-11-22T15:50:27.123456789Z"}}


V2_MEMORY = {
    "usage": 9_000_000,
    "stats": {"anon": 5_000_000, "file": 4_000_000, "inactive_file": 3_500_000, "slab": 400_000},
    "limit": 67_108_864,
}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(
            stats(memory_stats=V2_MEMORY, networks={}),
            Usage(cpu_seconds=1.5, memory_bytes=9_000_000, working_set_bytes=5_500_000),
            id="cgroup-v2",
        ),
        pytest.param(
            stats(),
            Usage(
                cpu_seconds=1.5,
                memory_bytes=1000,
                working_set_bytes=700,
                received_bytes={"eth0": 5, "eth1": 1},
                sent_bytes={"eth0": 7},
            ),
            id="cgroup-v1-counts-its-children",
        ),
        pytest.param(
            stats(memory_stats={"usage": 10, "stats": {"total_inactive_file": 30}}, networks=None),
            Usage(cpu_seconds=1.5, memory_bytes=10, working_set_bytes=0),
            id="more-inactive-than-used",
        ),
        pytest.param(
            stats(memory_stats={"usage": 10}, networks=None, cpu_stats={}),
            Usage(memory_bytes=10, working_set_bytes=10),
            id="no-cpu-and-no-details",
        ),
        pytest.param(
            stats(cpu_stats={"cpu_usage": {"total_usage": "9"}}, memory_stats=[], networks={"": 1}),
            Usage(),
            id="nothing-that-is-a-number",
        ),
        pytest.param(stats(read="0001-01-01T00:00:00Z"), None, id="stopped"),
        pytest.param({}, None, id="empty"),
    ],
)  # fmt: skip
def test_reads_what_the_engine_says_of_usage(
    answer: dict[str, Any], expected: Usage | None
) -> None:
    assert usage(answer) == expected


DISKS = [
    {"major": 8, "minor": 0, "op": "Read", "value": 100},
    {"major": 8, "minor": 16, "op": "read", "value": 11},
    {"major": 8, "minor": 0, "op": "Write", "value": 7},
    {"major": 8, "minor": 0, "op": "Total", "value": 107},
    {"major": 8, "minor": 0, "op": "write", "value": None},
]


def test_says_what_a_container_uses_in_seconds_and_bytes() -> None:
    answer = stats(
        cpu_stats={
            "cpu_usage": {"total_usage": 1_500_000_000},
            "throttling_data": {"throttled_time": 250_000_000},
        },
        pids_stats={"current": 3},
        blkio_stats={"io_service_bytes_recursive": DISKS},
    )

    assert figures(answer) == {
        "cpu_seconds": 1.5,
        "cpu_throttled_seconds": 0.25,
        "memory_bytes": 1000.0,
        "memory_working_set_bytes": 700.0,
        "memory_limit_bytes": float(2**40),
        "pids": 3.0,
        "network_received_bytes": 6.0,
        "network_sent_bytes": 7.0,
        "disk_read_bytes": 111.0,
        "disk_written_bytes": 7.0,
    }


def test_leaves_out_what_the_engine_does_not_say() -> None:
    bare = {"read": "2026-11-22T15:50:28Z", "memory_stats": {"usage": 10}}
    odd = {"blkio_stats": {"io_service_bytes_recursive": None}, "networks": {}}

    assert figures(bare | odd) == {"memory_bytes": 10.0, "memory_working_set_bytes": 10.0}


def test_a_container_that_has_stopped_has_no_figures() -> None:
    assert figures(stats(read="0001-01-01T00:00:00Z")) is None


@pytest.mark.parametrize(
    ("host_config", "memory", "quota", "period"),
    [
        pytest.param({}, 0, None, 100_000, id="unlimited"),
        pytest.param({"Memory": 7, "NanoCpus": 1_500_000_000}, 7, 150_000, 100_000, id="cpus"),
        pytest.param({"CpuQuota": 5000, "CpuPeriod": 10_000}, 0, 5000, 10_000, id="quota"),
        pytest.param({"CpuQuota": 50_000}, 0, 50_000, 100_000, id="quota-without-period"),
        pytest.param({"CpuQuota": -1, "Memory": -1}, 0, None, 100_000, id="minus-one"),
        pytest.param({"CpuQuota": 0, "NanoCpus": 0, "CpuPeriod": 0}, 0, None, 100_000, id="zeros"),
        pytest.param({"Memory": None, "NanoCpus": None}, 0, None, 100_000, id="nulls"),
    ],
)
def test_reads_what_a_container_may_use(
    host_config: dict[str, Any], memory: int, quota: float | None, period: int
) -> None:
    assert allowance(inspected(**host_config)) == Allowance(
        memory_bytes=memory,
        cpu_quota_us=quota,
        cpu_period_us=period,
        started_at=1795362627.123456,
    )


@pytest.mark.parametrize("started", ["0001-01-01T00:00:00Z", "soon", None, 7])
def test_a_start_that_is_no_time_is_left_out(started: object) -> None:
    assert allowance({"State": {"StartedAt": started}}).started_at is None


@pytest.mark.parametrize(
    ("label", "cores"), [("2", 2.0), ("0.5", 0.5), (" 1 ", 1.0), ("64", 64.0), ("1e1", 10.0)]
)
def test_reads_the_cores_that_a_label_declares(label: str, cores: float) -> None:
    assert declared_cpus(label) == cores


@pytest.mark.parametrize("label", ["", "0", "-1", "nan", "inf", "-inf", "2 cores", "0x2", "1e999"])
def test_cores_are_a_positive_finite_number(label: str) -> None:
    with pytest.raises(ValueError, match=r"positive|could not convert"):
        declared_cpus(label)
