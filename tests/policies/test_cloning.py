"""The clone's name, labels, process and limits; who is never cloned."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.fidelity import Fate
from app.policies.clone_config import Taken, clone_labels
from tests.policies.clone_builders import (
    CONTAINER_ID,
    IMAGE_ID,
    compose,
    fate,
    line,
    plan,
    reasons,
    source,
)


def test_an_ordinary_container_can_be_cloned() -> None:
    made = plan(source())

    assert not made.report.is_refused
    assert made.report.traffic == "alias"


# ---------------------------------------------------------------- names and labels


@pytest.mark.parametrize(
    ("name", "labels", "taken", "expected"),
    [
        pytest.param("web", {}, Taken(), "web_new", id="first"),
        pytest.param(
            "web", {}, Taken(names=frozenset({"web", "web_new"})), "web_new2", id="second"
        ),
        pytest.param(
            "web", {}, Taken(names=frozenset({"web_new", "web_new3"})), "web_new2", id="a-gap"
        ),
        pytest.param("shop-web-1", compose(), Taken(), "shop-web-2", id="compose-2"),
        pytest.param("shop_web_1", compose(), Taken(), "shop_web_2", id="compose-1"),
        pytest.param(
            "shop-web-1",
            compose(),
            Taken(numbers=frozenset({1, 4})),
            "shop-web-5",
            id="compose-after-the-highest",
        ),
        pytest.param(
            "shop-web-1",
            compose(),
            Taken(names=frozenset({"shop-web-2"}), numbers=frozenset({1})),
            "shop-web-3",
            id="compose-name-taken-by-a-stranger",
        ),
        pytest.param("front", compose(), Taken(), "shop-web-2", id="compose-with-container_name"),
        pytest.param(
            "shop-web-run-1f2e",
            {**compose(), "com.docker.compose.oneoff": "True"},
            Taken(),
            "shop-web-run-1f2e_new",
            id="compose-one-off",
        ),
    ],
)
def test_takes_the_next_free_name(
    name: str, labels: dict[str, str], taken: Taken, expected: str
) -> None:
    made = plan(source(name=name, labels=labels), taken=taken)

    assert made.name == expected


def test_a_compose_clone_says_its_own_number() -> None:
    made = plan(source(name="shop-web-1", labels=compose()), taken=Taken(numbers=frozenset({1, 2})))

    labels = made.body["Labels"]
    assert labels == {
        **compose(number=3),
        "relevo.clone-of": "shop-web-1",
        "relevo.attempt": "01JATTEMPT",
        "relevo.created-at": "2026-11-22T03:00:00Z",
    }


def test_a_number_that_is_none_counts_as_one() -> None:
    labels = compose() | {"com.docker.compose.container-number": "one"}

    assert plan(source(labels=labels)).name == "shop-web-2"


def test_the_word_that_a_container_is_about_to_be_replaced_is_not_passed_on() -> None:
    labels = compose() | {"com.docker.compose.replace": "shop-web-1"}

    assert "com.docker.compose.replace" not in plan(source(labels=labels)).body["Labels"]


def test_the_label_prefix_is_the_operators() -> None:
    made = plan(source(), prefix="acme.relevo")

    assert set(made.body["Labels"]) == {
        "acme.relevo.clone-of",
        "acme.relevo.attempt",
        "acme.relevo.created-at",
    }


def test_the_time_on_the_label_is_utc() -> None:
    at = datetime(2026, 11, 22, 5, 0, 0, 500000, tzinfo=timezone(timedelta(hours=2)))
    labels = clone_labels(source(), number=None, prefix="relevo", attempt_id="a", at=at)

    assert labels["relevo.created-at"] == "2026-11-22T03:00:00.500000Z"


# ---------------------------------------------------------------- host name


@pytest.mark.parametrize(
    ("hostname", "host_config", "expected", "told"),
    [
        pytest.param(CONTAINER_ID[:12], {}, None, Fate.CHANGED, id="the-engines-choice"),
        pytest.param("front", {}, "front", Fate.SAME, id="the-owners-choice"),
        pytest.param("vm", {"UTSMode": "host"}, None, Fate.DROPPED, id="the-hosts"),
        pytest.param("vm", {"NetworkMode": "host"}, None, Fate.DROPPED, id="host-network"),
        pytest.param(
            "db", {"NetworkMode": "container:1f2e"}, None, Fate.DROPPED, id="another-containers"
        ),
    ],
)
def test_keeps_a_host_name_that_somebody_chose(
    hostname: str, host_config: dict[str, Any], expected: str | None, told: Fate
) -> None:
    made = plan(source(config={"Hostname": hostname}, host_config=host_config))

    assert made.body.get("Hostname") == expected
    assert fate(made, "Config.Hostname") is told


def test_keeps_the_domain_name() -> None:
    made = plan(source(config={"Domainname": "shop.test"}))

    assert made.body["Domainname"] == "shop.test"
    assert fate(made, "Config.Domainname") is Fate.SAME


def test_says_that_the_domain_name_of_the_host_is_not_its_own() -> None:
    made = plan(source(config={"Domainname": "shop.test"}, host_config={"UTSMode": "host"}))

    assert "Domainname" not in made.body
    assert fate(made, "Config.Domainname") is Fate.DROPPED


# ---------------------------------------------------------------- beyond the image


def test_starts_from_the_id_of_the_running_image() -> None:
    made = plan(source())

    assert made.body["Image"] == IMAGE_ID
    assert fate(made, "Config.Image") is Fate.CHANGED


def test_says_only_what_the_image_does_not_give() -> None:
    given = {
        "Env": ["PATH=/bin", "LANG=C"],
        "Labels": {"vendor": "shop", "stage": "prod"},
        "User": "app",
        "WorkingDir": "/app",
        "StopSignal": "SIGQUIT",
        "Volumes": {"/var/www": {}},
        "ExposedPorts": {"80/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "true"]},
    }
    own = {
        **given,
        "Env": ["A=1", "PATH=/bin", "LANG=de"],
        "Volumes": {"/var/www": {}, "/extra": {}},
        "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
        "Labels": {"vendor": "shop", "stage": "test", "mine": "1"},
    }
    made = plan(source(config=own, image=given))

    assert made.body["Env"] == ["A=1", "LANG=de"]
    assert made.body["Volumes"] == {"/extra": {}}
    assert made.body["ExposedPorts"] == {"443/tcp": {}}
    assert {"vendor", "User", "WorkingDir", "StopSignal", "Healthcheck"}.isdisjoint(
        {*made.body, *made.body["Labels"]}
    )
    assert made.body["Labels"].items() >= {"stage": "test", "mine": "1"}.items()


def test_says_what_differs_from_the_image() -> None:
    own = {
        "User": "root",
        "WorkingDir": "/srv",
        "StopSignal": "SIGINT",
        "Healthcheck": {"Test": ["NONE"]},
        "StopTimeout": 3,
    }
    made = plan(source(config=own, image={"User": "app", "Healthcheck": {"Test": ["CMD", "t"]}}))

    assert made.body.items() >= own.items()


@pytest.mark.parametrize(
    ("own", "image", "expected"),
    [
        pytest.param((["e"], ["c"]), (["e"], ["c"]), {}, id="both-the-images"),
        pytest.param((None, ["c"]), (None, ["c"]), {}, id="only-a-command-and-it-is-the-images"),
        pytest.param(
            (["e"], ["x"]),
            (["e"], ["c"]),
            {"Entrypoint": ["e"], "Cmd": ["x"]},
            id="a-command-of-its-own",
        ),
        pytest.param(
            (["x"], None), (["e"], ["c"]), {"Entrypoint": ["x"], "Cmd": None}, id="its-own-entry"
        ),
        pytest.param(
            (["e"], None),
            (["e"], ["c"]),
            {"Entrypoint": ["e"], "Cmd": None},
            id="the-images-entry-without-its-command",
        ),
        pytest.param(
            (None, ["sh"]),
            (["e"], ["c"]),
            {"Entrypoint": [""], "Cmd": ["sh"]},
            id="entry-taken-away",
        ),
        pytest.param(
            (None, ["sh"]), (None, None), {"Entrypoint": None, "Cmd": ["sh"]}, id="no-entry-at-all"
        ),
        pytest.param(([], ["c"]), (None, ["c"]), {}, id="empty-is-none"),
    ],
)
def test_runs_the_same_process(
    own: tuple[Any, Any], image: tuple[Any, Any], expected: dict[str, Any]
) -> None:
    made = plan(
        source(
            config={"Entrypoint": own[0], "Cmd": own[1]},
            image={"Entrypoint": image[0], "Cmd": image[1]},
        )
    )

    assert {key: made.body[key] for key in ("Entrypoint", "Cmd") if key in made.body} == expected


def test_an_image_without_any_config_gives_nothing() -> None:
    made = plan(replace(source(), image={"Id": IMAGE_ID, "Config": None}))

    assert made.body["Env"] == ["PATH=/bin"]
    assert made.body["Cmd"] == ["serve"]


# ---------------------------------------------------------------- passed through

_LIMITS: dict[str, Any] = {
    "Memory": 33554432,
    "NanoCpus": 500000000,
    "PidsLimit": 100,
    "CapAdd": ["NET_ADMIN"],
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges"],
    "Sysctls": {"net.core.somaxconn": "1024"},
    "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}],
    "LogConfig": {"Type": "local", "Config": {"max-size": "10m"}},
    "Runtime": "runsc",
    "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
    "ReadonlyRootfs": True,
    "Tmpfs": {"/tmp": "size=64m"},
    "Dns": ["10.0.0.1"],
    "ExtraHosts": ["db:10.0.0.2"],
    "ShmSize": 67108864,
    "OomScoreAdj": 200,
    "Init": True,
}


@pytest.mark.parametrize("field", _LIMITS)
def test_passes_it_through_unchanged_and_says_so(field: str) -> None:
    made = plan(source(host_config=_LIMITS))

    assert made.body["HostConfig"][field] == _LIMITS[field]
    assert fate(made, f"HostConfig.{field}") is Fate.SAME


@given(
    field=st.from_regex(r"[A-Z][a-zA-Z]{9,20}", fullmatch=True),
    value=st.one_of(st.integers(), st.text(), st.booleans(), st.lists(st.text())),
)
def test_passes_through_what_a_newer_engine_invents(field: str, value: object) -> None:
    made = plan(source(host_config={f"{field}X": value}))

    assert made.body["HostConfig"][f"{field}X"] == value


def test_leaves_out_the_file_that_the_sources_id_was_written_to() -> None:
    made = plan(source(host_config={"ContainerIDFile": "/run/web.cid"}))

    assert "ContainerIDFile" not in made.body["HostConfig"]
    assert fate(made, "HostConfig.ContainerIDFile") is Fate.DROPPED


def test_the_report_shows_no_values_of_the_environment() -> None:
    made = plan(source(config={"Env": ["PASSWORD=hunter2"]}))

    assert fate(made, "Config.Env") is Fate.SAME
    assert not any("hunter2" in item.detail for item in made.report.items)


def test_the_report_has_one_line_for_a_field() -> None:
    made = plan(source(host_config=_LIMITS | {"AutoRemove": True}, labels=compose()))

    fields = [item.field for item in made.report.items]
    assert len(fields) == len(set(fields))


# ---------------------------------------------------------------- who is never cloned


@pytest.mark.parametrize(
    ("labels", "host_config", "reason"),
    [
        pytest.param({"relevo.clone-of": "web"}, {}, "is_clone", id="a-clone"),
        pytest.param({"com.docker.swarm.task.id": "x"}, {}, "swarm_task", id="a-task-of-swarm"),
        pytest.param({"com.docker.swarm.service.id": "x"}, {}, "swarm_task", id="its-service"),
        pytest.param({}, {"AutoRemove": True}, "auto_remove", id="one-that-removes-itself"),
    ],
)
def test_refuses(labels: dict[str, str], host_config: dict[str, Any], reason: str) -> None:
    made = plan(source(labels=labels, host_config=host_config))

    assert reasons(made) == {reason}


def test_another_operators_clone_label_means_nothing() -> None:
    assert not plan(source(labels={"acme.clone-of": "web"})).report.is_refused


def test_shows_every_reason_at_once() -> None:
    made = plan(
        source(
            labels={"relevo.clone-of": "web"},
            host_config={"AutoRemove": True, "NetworkMode": "host"},
        )
    )

    assert reasons(made) == {"is_clone", "auto_remove", "host_network"}
    assert made.body["Image"] == IMAGE_ID
    assert "clone that one" in line(made, "Config.Labels.relevo.clone-of").detail
