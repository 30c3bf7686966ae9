"""What an alert rule looks at, and which label of its alerts names the container."""

import pytest

from app.policies.rule_reading import container_selectors, is_about_containers, names_a_container

NAMES = ("name", "container_name", "container")
DOCKER = {"id", "name", "image", "job"}
KUBERNETES = {"id", "pod", "container", "namespace"}


@pytest.mark.parametrize(
    ("expression", "selectors"),
    [
        ("up == 0", ()),
        ('container_last_seen{name!=""}', ('container_last_seen{name!=""}',)),
        ("rate(container_cpu_usage_seconds_total[1m]) > 1", ("container_cpu_usage_seconds_total",)),
        (
            'sum by (container_label_a) (container_x{a="}"}) / container_y{}',
            ('container_x{a="}"}', "container_y{}"),
        ),
        ("relevo:container_cpu:ratio > 0.8", ("relevo:container_cpu:ratio",)),
        ('up{job="container_x"} == 0', ()),
        ("my_container_x > 1", ()),
        ("container_x > container_x", ("container_x",)),
    ],
)
def test_selectors_of_containers_are_found(expression: str, selectors: tuple[str, ...]) -> None:
    assert is_about_containers(expression) is bool(selectors)
    assert (container_selectors(expression) if selectors else ()) == selectors


@pytest.mark.parametrize(
    ("expression", "series", "names_by"),
    [
        pytest.param("container_x > 1", DOCKER, "name", id="labels of the series"),
        pytest.param("sum by (name) (container_x) > 1", DOCKER, "name", id="kept"),
        pytest.param("sum(container_x) by (instance, name)", DOCKER, "name", id="kept, after"),
        pytest.param("sum by (instance) (container_x)", DOCKER, None, id="not kept"),
        pytest.param("sum by (pod, container) (container_x)", KUBERNETES, "container", id="pod's"),
        pytest.param("sum by (container) (container_x)", DOCKER, None, id="kept, and not there"),
        pytest.param("sum(container_x) > 1", DOCKER, None, id="all in one"),
        pytest.param("sum without (cpu) (container_x) > 1", DOCKER, "name", id="without another"),
        pytest.param("sum without (name) (container_x) > 1", DOCKER, None, id="without it"),
        pytest.param("max_over_time(container_x[5m]) > 1", DOCKER, "name", id="over time"),
        pytest.param("container_x > 1", {"id"}, None, id="series without names"),
        pytest.param(
            "sum by (name, id) (container_x) / sum by (name) (container_y)",
            DOCKER,
            "name",
            id="of both sides",
        ),
    ],
)
def test_the_label_that_names_the_container(
    expression: str, series: set[str], names_by: str | None
) -> None:
    assert names_a_container(expression, series, {}, NAMES) == names_by


def test_a_label_of_the_rule_names_it_as_well() -> None:
    assert names_a_container("sum(container_x)", DOCKER, {"container_name": "web"}, NAMES) == (
        "container_name"
    )
