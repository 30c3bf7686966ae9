"""Who is never acted on."""

import pytest

from app.domain.container import Listed
from app.policies.protect import Ourselves, protection, repository
from tests.builders import compose, hex_id, listed

NOBODY = Ourselves()
HOSTS = Ourselves(container_id=hex_id(7), hosts=frozenset({"redis", "prometheus"}))


def why(
    one: Listed,
    ourselves: Ourselves = NOBODY,
    *,
    own_project: str | None = "relevo",
    patterns: tuple[str, ...] = (),
) -> str | None:
    return protection(one, ourselves, own_project=own_project, patterns=patterns, prefix="relevo")


# ---------------------------------------------------------------- ourselves


@pytest.mark.parametrize(
    ("own", "is_ours"),
    [
        pytest.param(hex_id(1), True, id="its-whole-id"),
        pytest.param(hex_id(1)[:12], True, id="as-a-host-name-has-it"),
        pytest.param(hex_id(2), False, id="another-one"),
        pytest.param(None, False, id="not-in-a-container"),
    ],
)
def test_the_container_that_we_run_in(own: str | None, is_ours: bool) -> None:
    found = why(listed(), Ourselves(container_id=own))

    assert found == ("Relevo itself runs in it" if is_ours else None)


# ---------------------------------------------------------------- the chain, by image


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("web", "web"),
        ("web:1", "web"),
        ("shop/web:1", "web"),
        ("registry.example:5000/shop/web", "web"),
        ("registry.example:5000/shop/web:1", "web"),
        ("shop/web@sha256:" + "0" * 64, "web"),
        ("registry.example:5000/shop/web:1@sha256:" + "0" * 64, "web"),
        ("", ""),
    ],
)
def test_names_an_image_without_what_is_around_it(image: str, name: str) -> None:
    assert repository(image) == name


@pytest.mark.parametrize(
    "image",
    [
        "relevo",
        "relevo:0.2.0",
        "ghcr.io/somebody/relevo@sha256:" + "0" * 64,
        "prom/prometheus:v2",
        "quay.io/prometheus/prometheus",
        "registry.example:5000/prometheus",
        "prom/alertmanager:v0.28.0",
        "grafana/grafana",
        "grafana/grafana-oss:11.0.0",
        "grafana/grafana-enterprise",
        "ghcr.io/google/cadvisor@sha256:" + "0" * 64,
        "gcr.io/cadvisor/cadvisor:v0.49.1",
        "tecnativa/docker-socket-proxy",
        "wollomatic/socket-proxy:1",
    ],
)
def test_the_chains_own_programs(image: str) -> None:
    found = why(listed(image=image))

    assert found is not None
    assert repository(image) in found


@pytest.mark.parametrize(
    "image",
    [
        "relevo-busybox:1",
        "myrelevo",
        "relevo/web",
        "prometheus/node-exporter",
        "prom/prometheus-operator",
        "redis:8",
        "grafana/loki",
        "shop:prometheus",
        "Prometheus",
    ],
)
def test_a_name_that_only_looks_like_one_of_them(image: str) -> None:
    assert why(listed(image=image)) is None


# ---------------------------------------------------------------- whom our settings lead to


@pytest.mark.parametrize(
    ("one", "own_project", "is_ours"),
    [
        pytest.param(listed("redis"), None, True, id="by-its-name"),
        pytest.param(listed("redis-1"), "relevo", False, id="not-by-part-of-it"),
        pytest.param(
            listed("relevo-redis-1", labels=compose("relevo", "redis", 1)),
            "relevo",
            True,
            id="by-its-service-in-our-own-project",
        ),
        pytest.param(
            listed("shop-redis-1", labels=compose("shop", "redis", 1)),
            "relevo",
            False,
            id="the-same-service-of-another-project-is-somebody-elses",
        ),
        pytest.param(
            listed("relevo-redis-1", labels=compose("relevo", "redis", 1)),
            None,
            False,
            id="we-are-in-no-project",
        ),
        pytest.param(
            listed("relevo-web-1", labels=compose("relevo", "web", 1)),
            "relevo",
            False,
            id="a-neighbour-whom-nothing-leads-to",
        ),
        pytest.param(
            listed("alone", labels={"com.docker.compose.project": "relevo"}),
            "relevo",
            False,
            id="without-a-service",
        ),
        pytest.param(listed("alone", labels={}), None, False, id="neither-has-a-project"),
        pytest.param(listed("Redis"), None, True, id="hosts-are-in-small-letters"),
    ],
)
def test_whom_our_settings_lead_to(one: Listed, own_project: str | None, is_ours: bool) -> None:
    found = why(one, HOSTS, own_project=own_project)

    assert found == ("Relevo's own settings lead to it" if is_ours else None)


# ---------------------------------------------------------------- the policy file


@pytest.mark.parametrize(
    ("pattern", "is_meant"),
    [
        ("web", True),
        ("we*", True),
        ("*", True),
        ("shop:1", True),
        ("shop:*", True),
        ("shop", False),
        ("eb", False),
        ("WEB", False),
        ("w[a-f]b", True),
        ("w[g-z]b", False),
        ("", False),
    ],
)
def test_patterns_are_the_shells_of_name_or_image(pattern: str, is_meant: bool) -> None:
    found = why(listed("web", image="shop:1"), patterns=("nobody", pattern))

    assert found == (f"the policy file protects {pattern!r}" if is_meant else None)


def test_anybody_else_may_be_acted_on() -> None:
    assert why(listed(), HOSTS, patterns=("db*",)) is None


def test_what_is_said_first_is_what_can_be_changed_least() -> None:
    relevo = listed("redis", 7, image="relevo:1")

    assert why(relevo, HOSTS, patterns=("*",)) == "Relevo itself runs in it"
