"""Clones on the real engine: what they can do, and what becomes of those that fail."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.container import Container
from app.domain.fidelity import Fate
from app.errors import CloneRefused, EngineRefused
from app.policies.spec import HostPorts, ScaleOutRules
from app.ports import CloneResult, ContainerEngine
from tests.engine_lab import ANOTHER_ATTEMPT, ATTEMPT, EngineLab, free_ports, until
from tests.parts import require

pytestmark = pytest.mark.docker

AT = datetime(2026, 11, 22, 3, 0, 0, tzinfo=UTC)
Networks = tuple[str, str, str]


async def clone(
    engine: ContainerEngine,
    source_id: str,
    *,
    attempt_id: str = ATTEMPT,
    dry_run: bool = False,
    **rules: Any,
) -> CloneResult:
    return await engine.clone(
        source_id,
        attempt_id=attempt_id,
        rules=replace(ScaleOutRules(), **rules),
        at=AT,
        dry_run=dry_run,
    )


async def made(engine: ContainerEngine, source_id: str, **more: Any) -> Container:
    result = await clone(engine, source_id, **more)
    assert result.clone is not None
    return result.clone


def identity(seen: Mapping[str, Any]) -> object:
    """Return all that a clone must not change of its source."""
    return (seen["State"], seen["NetworkSettings"], seen["HostConfig"], seen["Config"])


# ---------------------------------------------------------------- faithful


async def test_answers_under_the_same_alias_on_every_network(
    engine: ContainerEngine, lab: EngineLab, networks: Networks
) -> None:
    front, back, aux = networks
    source_id = lab.run("--network", front, "--network-alias", "web", name="web")
    lab.connect(back, source_id, "--alias", "api", "--alias", "web")
    lab.connect(aux, source_id)
    asking = lab.run("--network", front)
    lab.connect(back, asking)

    result = await clone(engine, source_id)

    assert result.clone is not None
    assert result.report.traffic == "alias"
    assert set(result.clone.networks) == {front, back, aux}
    its = lab.inspect(result.clone.id)["NetworkSettings"]["Networks"]
    theirs = lab.inspect(source_id)["NetworkSettings"]["Networks"]
    for name, aliases in ((front, {"web"}), (back, {"web", "api"}), (aux, set[str]())):
        assert set(its[name]["Aliases"]) - {result.clone.id[:12]} == aliases
    assert addresses(lab, asking, "api") == {
        its[back]["IPAddress"],
        theirs[back]["IPAddress"],
    }
    # Of the two networks that know the alias one answers, with both of its addresses.
    assert len(addresses(lab, asking, "web")) == 2
    assert addresses(lab, asking, source_id[:12]).isdisjoint(
        {its[front]["IPAddress"], its[back]["IPAddress"]}
    )


def addresses(lab: EngineLab, asking: str, name: str) -> set[str]:
    """Resolve a name from within a container."""
    answer = lab.execute(asking, "nslookup", name, "127.0.0.11")
    _, _, found = answer.partition("Name:")
    return {line.split()[-1] for line in found.splitlines() if line.strip().startswith("Address")}


async def test_drops_static_addresses_and_a_fixed_port_that_an_alias_makes_superfluous(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    network = lab.network("fixed", "--subnet", "10.213.77.0/24")
    ports = {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
        "81/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(free_ports(1))}],
    }
    # Not through the client: newer ones refuse to give an old engine a MAC address.
    source_id = await lab.make(
        "web",
        {
            "Cmd": ["sleep", "600"],
            "MacAddress": "02:42:0a:d5:4d:99",
            "HostConfig": {"NetworkMode": network, "PortBindings": ports},
            "NetworkingConfig": {
                "EndpointsConfig": {
                    network: {"Aliases": ["web"], "IPAMConfig": {"IPv4Address": "10.213.77.9"}}
                }
            },
        },
    )
    lab.do("start", source_id)

    result = await clone(engine, source_id)

    assert result.clone is not None
    dropped = {item.field for item in result.report.items if item.fate is Fate.DROPPED}
    assert dropped == {
        f"NetworkSettings.Networks.{network}.IPAMConfig",
        "Config.MacAddress",
        "HostConfig.PortBindings",
    }
    other = lab.inspect(result.clone.id)
    endpoint = other["NetworkSettings"]["Networks"][network]
    assert endpoint["IPAddress"] not in ("", "10.213.77.9")
    assert endpoint["MacAddress"] != "02:42:0a:d5:4d:99"
    assert set(other["HostConfig"]["PortBindings"]) == {"80/tcp"}


async def test_a_fixed_port_becomes_a_free_one_where_the_policy_says_so(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    port = free_ports(1)
    source_id = lab.run("-p", f"127.0.0.1:{port}:80")

    with pytest.raises(CloneRefused, match="fixed_host_port"):
        await clone(engine, source_id)
    result = await clone(engine, source_id, host_ports=HostPorts.EPHEMERAL)

    assert result.clone is not None
    assert result.report.traffic == "host_port"
    (binding,) = lab.inspect(result.clone.id)["NetworkSettings"]["Ports"]["80/tcp"]
    assert binding["HostIp"] == "127.0.0.1"
    assert binding["HostPort"] not in ("", str(port))


async def test_gives_a_fresh_volume_and_takes_it_away_again(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    lender = lab.create("-v", f"{lab.volume('conf')}:/conf:ro")
    options = ("-v", "/data", "--volumes-from", f"{lender}:ro", "--stop-timeout", "0")
    careful_id = lab.create(*options)
    source_id = lab.create("-l", "relevo.stateless=true", *options)

    with pytest.raises(CloneRefused, match="data_in_anonymous_volume"):
        await clone(engine, careful_id)
    clone_of_it = await made(engine, source_id)

    own = {m["Destination"]: m["Name"] for m in lab.inspect(source_id)["Mounts"]}
    fresh = {m["Destination"]: m["Name"] for m in lab.inspect(clone_of_it.id)["Mounts"]}
    assert fresh["/conf"] == own["/conf"] == lab.name("conf")
    assert fresh["/data"] != own["/data"]
    lab.do("start", source_id)  # the gate lets nobody remove the last one that serves
    await engine.remove_clone(clone_of_it.id, attempt_id=ATTEMPT)
    volumes = set(lab.do("volume", "ls", "-q").split())
    assert fresh["/data"] not in volumes
    assert {own["/data"], own["/conf"]} <= volumes


async def test_keeps_the_legacy_links_of_the_default_network(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    lab.run(name="db")
    source_id = lab.run("--link", f"{lab.name('db')}:database", name="web")

    clone_of_it = await made(engine, source_id)

    assert "database" in lab.execute(clone_of_it.id, "cat", "/etc/hosts")
    assert lab.inspect(clone_of_it.id)["HostConfig"]["Links"] == [
        f"/{lab.name('db')}:/{clone_of_it.name}/database"
    ]


async def test_is_called_as_compose_would_call_it(engine: ContainerEngine, lab: EngineLab) -> None:
    labels = {
        "com.docker.compose.project": lab.mark,
        "com.docker.compose.service": "web",
        "com.docker.compose.version": "2.29.1",
    }
    numbers = [("1", "web-1"), ("7", "web-7")]
    options = [part for key, value in labels.items() for part in ("-l", f"{key}={value}")]
    first, _ = [
        lab.run(*options, "-l", f"com.docker.compose.container-number={n}", name=name)
        for n, name in numbers
    ]

    clone_of_it = await made(engine, first)

    assert clone_of_it.name == lab.name("web-8")
    assert clone_of_it.labels["com.docker.compose.container-number"] == "8"


# ---------------------------------------------------------------- the writable layer


async def test_a_service_that_writes_only_scratch_can_be_cloned(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    source_id = lab.run(
        *("--workdir", "/srv/app", "-v", f"{lab.volume('x')}:/deep/down/x:ro"),
        command=(
            "sh",
            "-c",
            "mkdir -p __pycache__ /run /root/.cache; touch __pycache__/a.pyc /tmp/x /run/a.pid "
            "/root/.cache/y server.log; echo x >> /etc/app.conf; rm /etc/passwd; touch /tmp/ready;"
            " sleep 600",
        ),
    )
    await until_written(lab, source_id)

    result = await clone(engine, source_id, dry_run=True)

    assert [item.detail for item in result.report.refusals] == []


async def test_a_service_that_writes_data_into_itself_cannot(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    source_id = lab.run(
        command=("sh", "-c", "mkdir /data; echo 1 > /data/orders; touch /tmp/ready; sleep 600")
    )
    await until_written(lab, source_id)

    with pytest.raises(CloneRefused, match=r"data_in_layer: /data/orders"):
        await clone(engine, source_id)

    assert lab.ids() == {source_id}


async def test_a_config_that_compose_copied_in_is_seen_by_its_mode(
    engine: ContainerEngine, lab: EngineLab
) -> None:
    command = ("sh", "-c", "echo x > /etc/app.conf; chmod 444 /etc/app.conf; touch /tmp/ready; "
               "echo y > /etc/own.conf; sleep 600")  # fmt: skip
    options = ("-l", "com.docker.compose.project=shop", "-l", "com.docker.compose.version=2.29.1")
    source_id = lab.run(*options, command=command)
    await until_written(lab, source_id)

    result = await clone(engine, source_id, dry_run=True)

    (refusal,) = result.report.refusals
    assert refusal.reason == "compose_configs"
    assert refusal.detail.startswith("/etc/app.conf: ")


async def until_written(lab: EngineLab, container_id: str) -> None:
    """Wait until the container's command has written its last file."""

    async def is_ready() -> bool:
        return "/tmp/ready" in await asyncio.to_thread(lab.do, "diff", container_id)

    await until(is_ready)


# ---------------------------------------------------------------- when it fails


async def test_a_clone_that_cannot_have_its_port_is_removed_and_the_source_untouched(
    engine: ContainerEngine, lab: EngineLab, networks: Networks
) -> None:
    # A range is the engine's choice; here source and a stranger have taken all of it.
    first = free_ports(2)
    published = ("-p", f"127.0.0.1:{first}-{first + 1}:80")
    source_id = lab.run("--network", networks[0], *published, name="web")
    lab.connect(networks[1], source_id)
    stranger_id = lab.run(*published)
    before = lab.inspect(source_id)

    with pytest.raises(EngineRefused, match="all ports are allocated") as caught:
        await clone(engine, source_id)

    assert caught.value.status == 500
    assert lab.ids() == {source_id, stranger_id}
    assert identity(lab.inspect(source_id)) == identity(before)


async def test_a_clone_whose_program_is_missing_is_removed_and_the_source_untouched(
    engine: ContainerEngine, lab: EngineLab, networks: Networks
) -> None:
    # The source runs a program that was copied into its layer, and is not in the image.
    source_id = lab.create(
        "--network", networks[0], command=("/bin/tool", "sleep", "600"), name="web"
    )
    lab.connect(networks[1], source_id)
    lab.do("cp", require("busybox"), f"{source_id}:/bin/tool")
    lab.do("start", source_id)
    before = lab.inspect(source_id)

    with pytest.raises(EngineRefused, match="/bin/tool"):
        await clone(engine, source_id)

    assert lab.ids() == {source_id}
    assert identity(lab.inspect(source_id)) == identity(before)


async def test_a_name_that_is_taken_is_passed_over(engine: ContainerEngine, lab: EngineLab) -> None:
    source_id = lab.run(name="web")
    lab.create(name="web_new")

    clone_of_it = await made(engine, source_id)

    assert clone_of_it.name == lab.name("web_new2")


async def test_adopts_the_half_made_clone_of_the_same_attempt(
    engine: ContainerEngine, lab: EngineLab, networks: Networks
) -> None:
    front, back, _ = networks
    source_id = lab.run("--network", front, "--network-alias", "web", name="web")
    lab.connect(back, source_id, "--alias", "api")
    half_made = lab.create(
        *("--network", front, "--network-alias", "web"),
        *("-l", f"relevo.clone-of={lab.name('web')}", "-l", f"relevo.attempt={ATTEMPT}"),
        name="web_new",
    )

    adopted = await made(engine, source_id)
    again = await made(engine, source_id)
    another = await made(engine, source_id, attempt_id=ANOTHER_ATTEMPT)

    assert adopted.id == again.id == half_made
    assert adopted.is_running
    assert adopted.started_at == again.started_at
    assert set(adopted.networks) == {front, back}
    assert "api" in lab.inspect(half_made)["NetworkSettings"]["Networks"][back]["Aliases"]
    assert another.id not in (source_id, half_made)


async def test_a_clone_has_no_clones(engine: ContainerEngine, lab: EngineLab) -> None:
    clone_of_it = await made(engine, lab.run())

    with pytest.raises(CloneRefused, match="is_clone"):
        await clone(engine, clone_of_it.id, attempt_id=ANOTHER_ATTEMPT)


async def test_cancelled_at_any_time_it_leaves_nothing(
    engine: ContainerEngine, lab: EngineLab, networks: Networks
) -> None:
    source_id = lab.run("--network", networks[0], name="web")
    lab.connect(networks[1], source_id)
    before = lab.inspect(source_id)

    for milliseconds in (5, 40, 100, 200):
        making = asyncio.create_task(clone(engine, source_id))
        _, pending = await asyncio.wait({making}, timeout=milliseconds / 1000)
        making.cancel()
        if pending:
            with pytest.raises(asyncio.CancelledError):
                await making
            assert lab.ids() == {source_id}

    assert identity(lab.inspect(source_id)) == identity(before)
