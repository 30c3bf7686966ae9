"""Readings as Prometheus series: the names and labels of cAdvisor, so that its rules work here."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from app.adapters.engine.stats import Allowance, Usage
from app.domain.container import EngineIdentity, Listed

_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
# Always all of them: Prometheus takes an empty label for one that is not there.
_LABELS = (
    "engine",
    "id",
    "name",
    "image",
    "container_label_com_docker_compose_project",
    "container_label_com_docker_compose_service",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One container as one sweep saw it."""

    container: Listed
    usage: Usage
    allowance: Allowance
    #: What its label ``relevo.cpus`` says, where it says something.
    cpus: float | None
    #: Unix time at which the engine gave the reading.
    seen_at: float


def _untold(_: Listed) -> bool | None:
    return None


def container_series(
    samples: Iterable[Sample],
    *,
    engine: str,
    looks_after: Callable[[Listed], bool | None] = _untold,
) -> Iterator[Metric]:
    """
    Give the series of all containers, one family after the other.

    :param looks_after: whether Relevo may come to act on one; None: that cannot be told
    """
    cpu = _counter("container_cpu_usage_seconds", "CPU time consumed, in seconds.", "cpu")
    working_set = _gauge(
        "container_memory_working_set_bytes",
        "Memory in use without the file pages that can be reclaimed first, in bytes.",
    )
    memory = _gauge("container_memory_usage_bytes", "Memory in use, file pages included, in bytes.")
    memory_limit = _gauge(
        "container_spec_memory_limit_bytes", "Memory limit in bytes; 0 is unlimited."
    )
    quota = _gauge(
        "container_spec_cpu_quota", "CPU time per period, in microseconds; absent: unlimited."
    )
    period = _gauge("container_spec_cpu_period", "CPU period, in microseconds.")
    started = _gauge("container_start_time_seconds", "Unix time of the last start.")
    seen = _gauge("container_last_seen", "Unix time at which the container was last measured.")
    received = _counter("container_network_receive_bytes", "Bytes received.", "interface")
    sent = _counter("container_network_transmit_bytes", "Bytes sent.", "interface")
    cpus = GaugeMetricFamily(
        "relevo_container_cpus",
        "Cores that a container should get by with: its label relevo.cpus.",
        labels=("engine", "name"),
    )
    care = GaugeMetricFamily(
        "relevo_container_care",
        "1 where Relevo looks after the container, 0 where nothing opts it in; "
        "absent where that cannot be told.",
        labels=("engine", "name"),
    )
    # By name: for a moment two ids may have one, and a series that is there twice is none.
    cared: dict[str, bool] = {}
    for sample in samples:
        labels = _labels(sample.container, engine)
        used, allowed = sample.usage, sample.allowance
        for family, value in (
            (working_set, used.working_set_bytes),
            (memory, used.memory_bytes),
            (memory_limit, allowed.memory_bytes),
            (quota, allowed.cpu_quota_us),
            (period, allowed.cpu_period_us),
            (started, allowed.started_at),
            (seen, sample.seen_at),
        ):
            if value is not None:
                family.add_metric(labels, value)
        if used.cpu_seconds is not None:
            cpu.add_metric((*labels, "total"), used.cpu_seconds)
        for interface, count in used.received_bytes.items():
            received.add_metric((*labels, interface), count)
        for interface, count in used.sent_bytes.items():
            sent.add_metric((*labels, interface), count)
        if sample.cpus is not None:
            cpus.add_metric((engine, sample.container.name), sample.cpus)
        told = looks_after(sample.container)
        if told is not None:
            name = sample.container.name
            cared[name] = cared.get(name, False) or told
    for name, is_cared in cared.items():
        care.add_metric((engine, name), is_cared)
    yield from (cpu, working_set, memory, memory_limit, quota, period, started, seen)
    yield from (received, sent, cpus, care)


def machine_series(host: EngineIdentity, *, engine: str) -> Iterator[Metric]:
    """Give the series of the engine's host."""
    cores = GaugeMetricFamily("machine_cpu_cores", "Cores of the host.", labels=("engine",))
    cores.add_metric((engine,), host.cpus)
    memory = GaugeMetricFamily(
        "machine_memory_bytes", "Memory of the host, in bytes.", labels=("engine",)
    )
    memory.add_metric((engine,), host.memory_bytes)
    yield from (cores, memory)


def _labels(container: Listed, engine: str) -> tuple[str, ...]:
    return (
        engine,
        f"/docker/{container.id}",
        container.name,
        container.image,
        container.labels.get(_PROJECT, ""),
        container.labels.get(_SERVICE, ""),
    )


def _gauge(name: str, help: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help, labels=_LABELS)


def _counter(name: str, help: str, label: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, help, labels=(*_LABELS, label))
