"""What a clone may share of the source's files and devices, and what it must not lack."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from app.domain.fidelity import Fate
from app.policies.clone_layer import MAX_LOOKS, to_look_at
from app.policies.clone_source import LayerChange
from app.policies.spec import Sharing
from tests.policies.clone_builders import (
    ANONYMOUS,
    added,
    bind,
    compose,
    deleted,
    fate,
    line,
    modified,
    plan,
    reasons,
    source,
    volume,
)

STATELESS = {"relevo.stateless": "true"}
#: Go's os.FileMode of a folder and of a symbolic link.
FOLDER, LINK = 1 << 31 | 0o555, 1 << 27 | 0o777


# ---------------------------------------------------------------- volumes


@pytest.mark.parametrize(
    ("mount", "labels", "sharing", "expected"),
    [
        pytest.param(volume("data"), {}, Sharing.REFUSE, "shared_volume", id="named"),
        pytest.param(volume("data"), {}, Sharing.ALLOW, Fate.SAME, id="named-allowed"),
        pytest.param(
            volume("data"), STATELESS, Sharing.REFUSE, "shared_volume", id="named-stateless"
        ),
        pytest.param(
            volume("data", writable=False), {}, Sharing.REFUSE, Fate.SAME, id="named-read-only"
        ),
        pytest.param(bind(), {}, Sharing.REFUSE, "shared_volume", id="bind"),
        pytest.param(bind(), {}, Sharing.ALLOW, Fate.SAME, id="bind-allowed"),
        pytest.param(bind(writable=False), {}, Sharing.REFUSE, Fate.SAME, id="bind-read-only"),
        pytest.param(
            volume(ANONYMOUS), {}, Sharing.ALLOW, "data_in_anonymous_volume", id="anonymous"
        ),
        pytest.param(
            volume(ANONYMOUS), STATELESS, Sharing.REFUSE, Fate.CHANGED, id="anonymous-stateless"
        ),
        pytest.param(
            volume(ANONYMOUS, writable=False),
            {},
            Sharing.REFUSE,
            Fate.CHANGED,
            id="anonymous-read-only",
        ),
        pytest.param(
            volume(ANONYMOUS[:-1]), {}, Sharing.REFUSE, "shared_volume", id="one-digit-short"
        ),
        pytest.param(
            {"Type": "tmpfs", "Destination": "/data", "RW": True},
            {},
            Sharing.REFUSE,
            Fate.SAME,
            id="tmpfs",
        ),
        pytest.param(
            {"Type": "image", "Destination": "/data", "RW": False},
            {},
            Sharing.REFUSE,
            Fate.SAME,
            id="image",
        ),
    ],
)
def test_a_mount(
    mount: dict[str, Any], labels: dict[str, str], sharing: Sharing, expected: Fate | str
) -> None:
    made = plan(source(mounts=[mount], labels=labels), shared_volumes=sharing)

    item = line(made, "Mounts./data")
    assert expected in (item.fate, item.reason)
    assert made.report.is_refused is (item.fate is Fate.REFUSED)


@pytest.mark.parametrize("value", ["false", "TRUE", "yes", ""])
def test_only_the_word_true_makes_it_stateless(value: str) -> None:
    made = plan(source(mounts=[volume(ANONYMOUS)], labels={"relevo.stateless": value}))

    assert reasons(made) == {"data_in_anonymous_volume"}


def test_an_anonymous_volume_that_compose_carried_over_is_not_shared() -> None:
    made = plan(
        source(
            labels=STATELESS,
            mounts=[volume(ANONYMOUS), volume("e" * 64, "/given"), bind("/conf", writable=False)],
            host_config={
                "Binds": [f"{ANONYMOUS}:/data:rw", f"{'e' * 64}:/given:rw", "/srv:/conf:ro"]
            },
            config={"Volumes": {"/given": {}}},
            image={"Volumes": {"/given": {}}},
        )
    )

    assert made.body["HostConfig"]["Binds"] == ["/srv:/conf:ro"]
    assert made.body["Volumes"] == {"/data": {}}


def test_an_anonymous_volume_named_in_a_mount_is_not_shared() -> None:
    mounts = [
        {"Type": "volume", "Source": ANONYMOUS, "Target": "/data"},
        {"Type": "bind", "Source": "/srv", "Target": "/conf", "ReadOnly": True},
    ]
    made = plan(
        source(labels=STATELESS, mounts=[volume(ANONYMOUS)], host_config={"Mounts": mounts})
    )

    assert made.body["HostConfig"]["Mounts"] == [{"Type": "volume", "Target": "/data"}, mounts[1]]


@pytest.mark.parametrize(
    ("lender", "sharing", "expected"),
    [
        pytest.param("db", Sharing.REFUSE, {"shared_volume"}, id="writable"),
        pytest.param("db:rw", Sharing.REFUSE, {"shared_volume"}, id="writable-said"),
        pytest.param("db:ro", Sharing.REFUSE, set(), id="read-only"),
        pytest.param("db", Sharing.ALLOW, set(), id="allowed"),
    ],
)
def test_volumes_lent_by_another_container(
    lender: str, sharing: Sharing, expected: set[str]
) -> None:
    made = plan(
        source(host_config={"VolumesFrom": [lender]}, mounts=[volume(ANONYMOUS)]),
        shared_volumes=sharing,
    )

    assert reasons(made) == expected
    assert made.body["HostConfig"]["VolumesFrom"] == [lender]


@pytest.mark.parametrize("asked_for", ["/data", "/data/", "/srv/../data"])
@pytest.mark.parametrize("by", ["Binds", "Mounts", "Volumes"])
def test_a_writable_folder_beside_a_lent_one_is_judged_as_its_own(by: str, asked_for: str) -> None:
    host_config: dict[str, Any] = {"VolumesFrom": ["db:ro"]}
    config: dict[str, Any] = {}
    if by == "Binds":
        host_config["Binds"] = [f"/srv:{asked_for}"]
    elif by == "Mounts":
        host_config["Mounts"] = [{"Type": "bind", "Source": "/srv", "Target": asked_for}]
    else:
        config["Volumes"] = {asked_for: {}}
    made = plan(source(config=config, host_config=host_config, mounts=[bind()]))

    assert reasons(made) == {"shared_volume"}


@pytest.mark.parametrize(
    ("mode", "process_label", "expected"),
    [
        pytest.param("ro,Z", "system_u:system_r:container_t:s0:c1,c2", True, id="its-own-alone"),
        pytest.param("ro,z", "system_u:system_r:container_t:s0:c1,c2", False, id="for-all"),
        pytest.param("ro", "system_u:system_r:container_t:s0:c1,c2", False, id="as-it-is"),
        pytest.param("ro,Z", "", False, id="no-selinux-here"),
    ],
)
@pytest.mark.parametrize("sharing", Sharing)
def test_files_that_selinux_keeps_for_the_source(
    mode: str, process_label: str, expected: bool, sharing: Sharing
) -> None:
    seen = source(mounts=[bind(writable=False) | {"Mode": mode}])
    seen = replace(seen, container={**seen.container, "ProcessLabel": process_label})

    assert reasons(plan(seen, shared_volumes=sharing)) == ({"shared_volume"} if expected else set())


def test_an_own_volume_beside_a_lent_one_is_judged_as_its_own() -> None:
    made = plan(
        source(
            host_config={"VolumesFrom": ["db:ro"]},
            config={"Volumes": {"/data": {}}},
            mounts=[volume(ANONYMOUS)],
        )
    )

    assert reasons(made) == {"data_in_anonymous_volume"}


# ---------------------------------------------------------------- devices


@pytest.mark.parametrize(
    ("host_config", "env"),
    [
        pytest.param({"Devices": [{"PathOnHost": "/dev/ttyUSB0"}]}, [], id="device"),
        pytest.param({"DeviceRequests": [{"Driver": "nvidia", "Count": -1}]}, [], id="gpus"),
        pytest.param({"Runtime": "nvidia"}, ["NVIDIA_VISIBLE_DEVICES=all"], id="gpu-by-runtime"),
    ],
)
def test_devices_are_shared_only_where_the_policy_says_so(
    host_config: dict[str, Any], env: list[str]
) -> None:
    made = source(host_config=host_config, config={"Env": env})

    assert reasons(plan(made)) == {"shared_device"}
    assert reasons(plan(made, shared_devices=Sharing.ALLOW)) == set()


@pytest.mark.parametrize("env", [[], ["NVIDIA_VISIBLE_DEVICES=void"]])
def test_the_runtime_of_gpus_alone_is_no_gpu(env: list[str]) -> None:
    made = plan(source(host_config={"Runtime": "nvidia"}, config={"Env": env}))

    assert not made.report.is_refused


# ---------------------------------------------------------------- the writable layer


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param([], id="untouched"),
        pytest.param(
            [
                modified("/app"),
                added("/app/__pycache__"),
                added("/app/__pycache__/main.cpython-311.pyc"),
                modified("/tmp"),
                added("/tmp/upload-1"),
                modified("/root"),
                added("/root/.cache"),
                added("/root/.cache/pip"),
            ],
            id="python-service",
        ),
        pytest.param(
            [
                modified("/etc"),
                modified("/etc/nginx"),
                modified("/etc/nginx/conf.d"),
                modified("/etc/nginx/conf.d/default.conf"),
                modified("/run"),
                added("/run/nginx.pid"),
                modified("/var"),
                modified("/var/cache"),
                modified("/var/cache/nginx"),
                added("/var/cache/nginx/client_temp"),
            ],
            id="nginx",
        ),
        pytest.param(
            [
                modified("/usr"),
                modified("/usr/local"),
                modified("/usr/local/tomcat"),
                modified("/usr/local/tomcat/logs"),
                added("/usr/local/tomcat/logs/catalina.2026-11-22.log"),
                modified("/usr/local/tomcat/temp"),
                added("/usr/local/tomcat/temp/safeToDelete.tmp"),
            ],
            id="tomcat",
        ),
        pytest.param([added("/home/node/.npm"), added("/home/node/.npm/_logs")], id="node"),
        pytest.param([modified("/app/index.html")], id="a-template-filled-in"),
        pytest.param([deleted("/app/orders.db")], id="deleted"),
        pytest.param([added("/usr/lib/python3/dist-packages/x/y.py")], id="installed-at-start"),
    ],
)
def test_ordinary_containers_can_be_cloned(changes: Sequence[LayerChange]) -> None:
    assert reasons(plan(source(changes=changes))) == set()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(added("/app/uploads/cat.png"), id="an-upload"),
        pytest.param(added("/data/dump.rdb"), id="a-dump"),
        pytest.param(added("/app/orders.db"), id="a-new-database"),
        pytest.param(modified("/app/orders.sqlite3"), id="a-database-of-the-image"),
        pytest.param(added("/var/lib/mysql/ibdata1"), id="a-servers-data"),
        pytest.param(added("/usr/share/nginx/html/index.html"), id="content"),
        pytest.param(added("/home/app/notes.txt"), id="a-file-at-home"),
        pytest.param(added("/tmpfiles"), id="not-quite-scratch"),
    ],
)
def test_data_in_the_layer_forbids_a_clone(change: LayerChange) -> None:
    made = plan(source(changes=[change]))

    assert reasons(made) == {"data_in_layer"}
    assert change.path in line(made, "Layer").detail
    assert "relevo.stateless=true" in line(made, "Layer").detail
    assert reasons(plan(source(changes=[change], labels=STATELESS))) == set()


def test_names_a_few_paths_and_counts_the_rest() -> None:
    made = plan(source(changes=[added(f"/data/{n}") for n in range(8)]))

    assert "/data/4 and 3 more" in line(made, "Layer").detail


@pytest.mark.parametrize(
    "source_with_a_mount",
    [
        pytest.param(
            source(mounts=[bind("/data/db", writable=False)], changes=[added("/data")]), id="above"
        ),
        pytest.param(
            source(mounts=[bind("/data", writable=False)], changes=[added("/data")]), id="itself"
        ),
        pytest.param(
            source(host_config={"Tmpfs": {"/data": ""}}, changes=[added("/data/x")]), id="tmpfs"
        ),
        pytest.param(
            source(config={"WorkingDir": "/srv/app"}, changes=[added("/srv/app")]), id="workdir"
        ),
        pytest.param(
            source(host_config={"Init": True}, changes=[added("/sbin/docker-init")]), id="init"
        ),
    ],
)
def test_what_the_engine_mounts_or_makes_is_not_the_layers(source_with_a_mount: Any) -> None:
    assert reasons(plan(source_with_a_mount)) == set()


# ---------------------------------------------------------------- files that Compose copies


@pytest.mark.parametrize(
    ("change", "is_copied"),
    [
        pytest.param(added("/run/secrets/token"), True, id="secret"),
        pytest.param(added("/settings"), True, id="config-at-its-default-place"),
        pytest.param(modified("/etc/nginx.conf", mode=0o444), True, id="config-over-the-images"),
        pytest.param(added("/etc/app/x.yml", mode=0o444), True, id="config-in-a-place-of-its-own"),
        pytest.param(added("/settings", mode=0o400), True, id="config-for-its-owner-only"),
        pytest.param(modified("/etc/nginx.conf", mode=0o644), False, id="filled-in-by-its-start"),
        pytest.param(added("/etc/ssl/link", mode=LINK), False, id="a-link"),
        pytest.param(added("/etc/machine-id", mode=0o444), False, id="read-only-by-nature"),
        pytest.param(added("/tmp/x", mode=0o444), False, id="scratch"),
        pytest.param(deleted("/settings"), False, id="deleted"),
    ],
)
def test_files_that_compose_copied_forbid_a_clone(change: LayerChange, is_copied: bool) -> None:
    made = plan(source(labels=compose() | STATELESS, changes=[change]))

    assert reasons(made) == ({"compose_configs"} if is_copied else set())


@pytest.mark.parametrize(
    "labels",
    [pytest.param({}, id="no-compose"), pytest.param(compose(version="1.29.2"), id="compose-1")],
)
def test_only_compose_2_copies_files(labels: dict[str, str]) -> None:
    changes = [added("/run/secrets/token"), modified("/etc/nginx.conf", mode=0o444)]

    assert reasons(plan(source(labels=labels, changes=changes))) == set()


def test_an_empty_folder_in_the_root_is_no_config() -> None:
    made = plan(source(labels=compose(), changes=[added("/inbox", mode=FOLDER)]))

    assert reasons(made) == {"data_in_layer"}


def test_configs_and_data_are_told_in_one_report() -> None:
    made = plan(source(labels=compose(), changes=[added("/run/secrets/t"), added("/data/x")]))

    assert reasons(made) == {"compose_configs", "data_in_layer"}


def test_looks_only_at_what_compose_could_have_copied() -> None:
    changes = [
        modified("/etc"),
        modified("/etc/nginx.conf"),
        added("/settings"),
        added("/tmp/x"),
        added("/app/__pycache__/x.pyc"),
        deleted("/gone"),
    ]

    assert to_look_at(source(labels=compose(), changes=changes)) == (
        "/etc/nginx.conf",
        "/settings",
    )
    assert to_look_at(source(changes=changes)) == ()


def test_looks_at_a_bounded_number_of_files() -> None:
    changes = [added(f"/data/{n}") for n in range(MAX_LOOKS + 1)]

    assert len(to_look_at(source(labels=compose(), changes=changes))) == MAX_LOOKS


def test_the_fix_for_a_fresh_volume_is_a_label() -> None:
    made = plan(source(mounts=[volume(ANONYMOUS)]), prefix="acme")

    assert "acme.stateless=true" in line(made, "Mounts./data").detail
    assert fate(made, "Mounts./data") is Fate.REFUSED
