"""What the collector says of who is looked after."""

from collections.abc import Mapping

import pytest

from app.adapters.engine.series import Sample, container_series
from app.adapters.engine.stats import Allowance, Usage
from app.domain.container import Listed
from tests.builders import listed


def sample(one: Listed) -> Sample:
    return Sample(
        container=one,
        usage=Usage(cpu_seconds=1),
        allowance=Allowance(memory_bytes=0, cpu_quota_us=None, cpu_period_us=1, started_at=1),
        cpus=None,
        seen_at=1,
    )


def cared(*containers: Listed, told: Mapping[str, bool | None]) -> list[tuple[str, float]]:
    """Name and value of each series ``relevo_container_care``."""
    families = container_series(
        map(sample, containers), engine="host1", looks_after=lambda one: told[one.id]
    )
    (family,) = (one for one in families if one.name == "relevo_container_care")
    assert all(one.labels["engine"] == "host1" for one in family.samples)
    assert all(set(one.labels) == {"engine", "name"} for one in family.samples)
    return [(one.labels["name"], one.value) for one in family.samples]


def test_each_container_has_its_word_unless_it_cannot_be_told() -> None:
    web, api, db = listed("web", 1), listed("api", 2), listed("db", 3)
    told = {web.id: True, api.id: False, db.id: None}
    assert cared(web, api, db, told=told) == [("web", 1.0), ("api", 0.0)]


@pytest.mark.parametrize("first", [True, False])
def test_of_two_ids_with_one_name_there_is_one_series(first: bool) -> None:
    old, new = listed("web", 1), listed("web", 2)
    assert cared(old, new, told={old.id: first, new.id: not first}) == [("web", 1.0)]


def test_by_default_nothing_is_told() -> None:
    families = list(container_series([sample(listed())], engine="host1"))
    (family,) = (one for one in families if one.name == "relevo_container_care")
    assert family.samples == []
