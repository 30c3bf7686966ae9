"""What the collector serves of one container, to see its names."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from app.adapters.engine.series import Sample
from app.adapters.engine.stats import Allowance, Usage
from app.adapters.engine.sweeper import Health
from app.collector import Page
from app.domain.container import EngineIdentity
from tests.builders import listed
from tests.reference.metrics import Row


def collected() -> Iterator[Row]:
    """List the collector's series: name, type, labels, meaning."""
    sample = Sample(
        container=listed(),
        usage=Usage(
            cpu_seconds=1,
            memory_bytes=1,
            working_set_bytes=1,
            received_bytes={"eth0": 1},
            sent_bytes={"eth0": 1},
        ),
        allowance=Allowance(memory_bytes=0, cpu_quota_us=1, cpu_period_us=1, started_at=1),
        cpus=1,
        seen_at=1,
    )
    host = EngineIdentity(
        name="host1", api_version=(1, 41), version="20.10", cpus=2, memory_bytes=1
    )
    swept: Any = SimpleNamespace(
        samples=lambda: (sample,), host=host, host_name="host1", health=Health(ended_at=1)
    )
    for family in Page(swept, looks_after=lambda _: True).collect():
        one = family.samples[0]
        yield one.name, family.type, tuple(one.labels), family.documentation
