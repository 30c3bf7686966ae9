"""On which networks a clone is, under which names, and how traffic reaches it."""

from typing import Any

import pytest

from app.domain.fidelity import Fate
from app.policies.spec import HostPorts, Sharing
from tests.policies.clone_builders import (
    CONTAINER_ID,
    NETWORK_ID,
    compose,
    endpoint,
    fate,
    line,
    plan,
    reasons,
    source,
)

SHORT_ID = CONTAINER_ID[:12]
PLAIN = {"bridge": endpoint()}
FIXED = {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}


# ---------------------------------------------------------------- networks


def test_an_old_engine_gets_one_network_at_create_and_the_others_by_connect() -> None:
    networks = {
        "back": endpoint(aliases=["api", SHORT_ID]),
        "shop_default": endpoint(aliases=["web", SHORT_ID]),
        "aux": endpoint(NetworkID="b" * 64),
    }
    made = plan(source(networks=networks, api_version=(1, 43)))

    assert made.body["HostConfig"]["NetworkMode"] == "shop_default"
    assert made.body["NetworkingConfig"] == {
        "EndpointsConfig": {"shop_default": {"Aliases": ["web"]}}
    }
    assert [(link.name, link.id, link.endpoint) for link in made.connect] == [
        ("aux", "b" * 64, {}),
        ("back", NETWORK_ID, {"Aliases": ["api"]}),
    ]


def test_an_engine_from_api_1_44_on_gets_all_at_create() -> None:
    networks = {"back": endpoint(), "shop_default": endpoint(aliases=["web"])}
    made = plan(source(networks=networks, api_version=(1, 44)))

    assert made.connect == ()
    assert made.body["NetworkingConfig"] == {
        "EndpointsConfig": {"shop_default": {"Aliases": ["web"]}, "back": {}}
    }


def test_keeps_what_was_chosen_and_nothing_that_was_assigned() -> None:
    chosen: dict[str, Any] = {
        "Links": ["db:database"],
        "DriverOpts": {"com.docker.network.endpoint.ifname": "eth5"},
        "GwPriority": 10,
    }
    networks = {"shop_default": endpoint(aliases=["web", SHORT_ID], **chosen)}
    made = plan(source(networks=networks))

    assert made.body["NetworkingConfig"]["EndpointsConfig"] == {
        "shop_default": {**chosen, "Aliases": ["web"]}
    }


@pytest.mark.parametrize(
    ("mode", "networks", "expected"),
    [
        pytest.param("shop_default", None, "shop_default", id="by-name"),
        pytest.param(
            NETWORK_ID,
            {"aux": endpoint(NetworkID="b" * 64), "shop_default": endpoint()},
            "shop_default",
            id="by-id",
        ),
        pytest.param("default", PLAIN, "default", id="the-default-one"),
        pytest.param("bridge", PLAIN, "bridge", id="the-default-one-by-name"),
        pytest.param(
            "default", PLAIN | {"a": endpoint()}, "default", id="the-default-one-and-another"
        ),
        pytest.param("left", {"joined": endpoint()}, "joined", id="one-that-it-has-left"),
        pytest.param("none", {"none": endpoint()}, "none", id="none"),
        pytest.param("shop_default", {}, "none", id="taken-off-all-networks"),
    ],
)
def test_is_on_the_networks_where_the_source_is_now(
    mode: str, networks: dict[str, Any] | None, expected: str
) -> None:
    made = plan(source(host_config={"NetworkMode": mode}, networks=networks))

    assert made.body["HostConfig"]["NetworkMode"] == expected
    assert not made.report.is_refused
    told = {item.fate for item in made.report.items if item.field == "HostConfig.NetworkMode"}
    assert (Fate.CHANGED in told) is (expected != mode)


def test_the_default_network_gets_no_aliases() -> None:
    networks = {"bridge": endpoint(aliases=["x"])}
    made = plan(source(host_config={"NetworkMode": "default"}, networks=networks))

    assert "NetworkingConfig" not in made.body
    assert made.report.traffic == "none"


@pytest.mark.parametrize(
    ("labels", "name", "aliases", "expected"),
    [
        pytest.param({}, "web", ["web", "api", SHORT_ID], ["web", "api"], id="chosen-outside"),
        pytest.param(
            compose(), "shop-web-1", ["shop-web-1", "web"], ["web"], id="compose-its-own-name"
        ),
        pytest.param(compose(), "shop-web-1", ["web"], ["web"], id="compose-service"),
    ],
)
def test_shares_the_aliases_that_are_not_the_sources_alone(
    labels: dict[str, str], name: str, aliases: list[str], expected: list[str]
) -> None:
    made = plan(
        source(name=name, labels=labels, networks={"shop_default": endpoint(aliases=aliases)})
    )

    assert made.body["NetworkingConfig"]["EndpointsConfig"]["shop_default"]["Aliases"] == expected
    field = "NetworkSettings.Networks.shop_default.Aliases"
    told = {item.fate for item in made.report.items if item.field == field}
    assert told == (set() if {*aliases} - {SHORT_ID} == {*expected} else {Fate.DROPPED})


def test_drops_and_reports_static_addresses() -> None:
    networks = {
        "shop_default": endpoint(IPAMConfig={"IPv4Address": "172.22.0.9"}),
        "six": endpoint(IPAMConfig={"IPv6Address": "fd00::9"}),
        "free": endpoint(IPAMConfig={}),
        "empty": endpoint(IPAMConfig={"IPv4Address": ""}),
    }
    made = plan(source(networks=networks, config={"MacAddress": "02:42:ac:16:00:99"}))

    dropped = {item.field for item in made.report.items if item.fate is Fate.DROPPED}
    assert dropped == {
        "NetworkSettings.Networks.shop_default.IPAMConfig",
        "NetworkSettings.Networks.six.IPAMConfig",
        "Config.MacAddress",
    }
    assert "MacAddress" not in made.body
    assert "IPAMConfig" not in str(made.body) + str(made.connect)


@pytest.mark.parametrize(
    ("mac", "version", "is_told"),
    [
        pytest.param("00:16:3e:00:00:09", (1, 44), True, id="a-makers-own"),
        pytest.param("02:42:ac:16:00:03", (1, 44), False, id="assigned"),
        pytest.param("de:ad:be:ef:00:09", (1, 48), False, id="assigned-at-random"),
        pytest.param("", (1, 44), False, id="it-does-not-run"),
        pytest.param("00:16:3e:00:00:09", (1, 43), False, id="told-elsewhere"),
    ],
)
def test_a_mac_address_of_a_network_that_nobody_can_have_assigned(
    mac: str, version: tuple[int, int], is_told: bool
) -> None:
    made = plan(source(networks={"shop_default": endpoint(MacAddress=mac)}, api_version=version))

    field = "NetworkSettings.Networks.shop_default.MacAddress"
    assert ([i.fate for i in made.report.items if i.field == field] == [Fate.DROPPED]) is is_told
    assert "MacAddress" not in str(made.body)


def test_tells_the_legacy_links_as_the_engine_wants_them() -> None:
    made = plan(source(host_config={"Links": ["/db:/web/database", "/mq:/web/mq"]}))

    assert made.body["HostConfig"]["Links"] == ["db:database", "mq:mq"]


@pytest.mark.parametrize(
    ("mode", "host_network", "expected"),
    [
        pytest.param("container:1f2e", Sharing.ALLOW, {"network_mode"}, id="anothers"),
        pytest.param("host", Sharing.REFUSE, {"host_network"}, id="the-hosts"),
        pytest.param("host", Sharing.ALLOW, set(), id="the-hosts-allowed"),
        pytest.param("none", Sharing.REFUSE, set(), id="none"),
    ],
)
def test_refuses_a_network_that_two_cannot_share(
    mode: str, host_network: Sharing, expected: set[str]
) -> None:
    made = plan(
        source(host_config={"NetworkMode": mode}, networks={"host": endpoint()}),
        host_network=host_network,
    )

    assert reasons(made) == expected
    assert "NetworkingConfig" not in made.body
    assert made.connect == ()


# ---------------------------------------------------------------- host ports


@pytest.mark.parametrize(
    ("rule", "networks", "bindings", "told", "traffic"),
    [
        pytest.param(HostPorts.AUTO, None, {}, Fate.DROPPED, "alias", id="auto-with-an-alias"),
        pytest.param(HostPorts.AUTO, PLAIN, FIXED, Fate.REFUSED, "none", id="auto-without"),
        pytest.param(HostPorts.REFUSE, None, FIXED, Fate.REFUSED, "alias", id="refuse"),
        pytest.param(
            HostPorts.EPHEMERAL,
            PLAIN,
            {"80/tcp": [{"HostIp": "", "HostPort": ""}]},
            Fate.CHANGED,
            "host_port",
            id="ephemeral",
        ),
        pytest.param(HostPorts.DROP, PLAIN, {}, Fate.DROPPED, "none", id="drop"),
    ],
)
def test_a_fixed_host_port(
    rule: HostPorts,
    networks: dict[str, Any] | None,
    bindings: dict[str, Any],
    told: Fate,
    traffic: str,
) -> None:
    made = plan(source(host_config={"PortBindings": FIXED}, networks=networks), host_ports=rule)

    assert made.body["HostConfig"]["PortBindings"] == bindings
    assert fate(made, "HostConfig.PortBindings") is told
    assert made.report.is_refused is (told is Fate.REFUSED)
    assert made.report.traffic == traffic


def test_a_refused_port_says_which_and_what_would_change_it() -> None:
    bindings = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}
    made = plan(source(host_config={"PortBindings": bindings}, networks=PLAIN))

    item = line(made, "HostConfig.PortBindings")
    assert item.reason == "fixed_host_port"
    assert "127.0.0.1:8080 (for 80/tcp)" in item.detail
    assert "scale_out.host_ports" in item.detail


@pytest.mark.parametrize("number", ["", "0", "8000-8010"])
def test_a_port_that_the_engine_chooses_stays(number: str) -> None:
    bindings = {"80/tcp": [{"HostIp": "", "HostPort": number}]}
    made = plan(source(host_config={"PortBindings": bindings}, networks=PLAIN))

    assert made.body["HostConfig"]["PortBindings"] == bindings
    assert not made.report.is_refused
    assert made.report.traffic == "host_port"


def test_a_range_of_one_port_is_a_fixed_one() -> None:
    bindings = {"80/tcp": [{"HostIp": "", "HostPort": "8080-8080"}]}
    made = plan(source(host_config={"PortBindings": bindings}, networks=PLAIN))

    assert reasons(made) == {"fixed_host_port"}


def test_of_mixed_ports_only_the_fixed_ones_go() -> None:
    bindings = {
        "80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "", "HostPort": ""}],
        "81/tcp": [{"HostIp": "", "HostPort": "8081"}],
        "82/tcp": None,
    }
    made = plan(source(host_config={"PortBindings": bindings}))
    loosened = plan(source(host_config={"PortBindings": bindings}), host_ports=HostPorts.EPHEMERAL)

    assert made.body["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": ""}]}
    assert {
        port: [one["HostPort"] for one in entries]
        for port, entries in loosened.body["HostConfig"]["PortBindings"].items()
    } == {"80/tcp": ["", ""], "81/tcp": [""], "82/tcp": []}


def test_publishing_all_ports_is_a_way_for_traffic() -> None:
    made = plan(source(host_config={"PublishAllPorts": True}, networks=PLAIN))

    assert made.report.traffic == "host_port"


def test_on_the_hosts_network_published_ports_mean_nothing() -> None:
    made = plan(
        source(host_config={"NetworkMode": "host", "PortBindings": FIXED}, networks={}),
        host_network=Sharing.ALLOW,
    )

    assert not made.report.is_refused


# ---------------------------------------------------------------- balancers

_EXPLICIT = {
    "traefik.http.routers.web.rule": "Host(`shop`)",
    "traefik.http.routers.web.service": "web",
    "traefik.http.services.web.loadbalancer.server.port": "80",
}
_IMPLICIT = {"traefik.http.routers.web.rule": "Host(`shop`)"}


@pytest.mark.parametrize(
    ("labels", "config", "traffic"),
    [
        pytest.param(_EXPLICIT, {}, "labels", id="traefik"),
        pytest.param({"Traefik.TCP.Routers.db.Service": "db"}, {}, "labels", id="traefik-tcp"),
        pytest.param(_EXPLICIT | {"traefik.enable": "false"}, {}, "none", id="traefik-off"),
        pytest.param(
            compose() | {"traefik.enable": "true"}, {}, "labels", id="traefik-default-in-compose"
        ),
        pytest.param({"traefik.enable": "true"}, {}, "none", id="traefik-default-outside"),
        pytest.param({"caddy": "shop.test"}, {}, "labels", id="caddy"),
        pytest.param({"caddy_1.reverse_proxy": "x"}, {}, "labels", id="caddy-numbered"),
        pytest.param({"caddyshack": "x"}, {}, "none", id="not-caddy"),
        pytest.param({}, {"Env": ["VIRTUAL_HOST=shop"]}, "labels", id="nginx-proxy"),
        pytest.param(
            {}, {"Env": ["VIRTUAL_HOST_MULTIPORTS=shop:\n  /: {}"]}, "labels", id="several-ports"
        ),
        pytest.param({}, {"Env": ["VIRTUAL_HOST= "]}, "none", id="nginx-proxy-off"),
        pytest.param(
            {"com.github.nginx-proxy.nginx-proxy.keepalive": "1"}, {}, "none", id="its-settings"
        ),
        pytest.param({}, {}, "none", id="nothing"),
    ],
)
def test_finds_a_balancer_that_would_find_the_clone(
    labels: dict[str, str], config: dict[str, Any], traffic: str
) -> None:
    made = plan(source(labels=labels, config=config, networks=PLAIN))

    assert made.report.traffic == traffic


def test_balancer_labels_make_a_fixed_port_superfluous() -> None:
    made = plan(source(labels=_EXPLICIT, host_config={"PortBindings": FIXED}, networks=PLAIN))

    assert not made.report.is_refused
    assert made.body["HostConfig"]["PortBindings"] == {}


@pytest.mark.parametrize(
    ("labels", "refused"),
    [
        pytest.param(_IMPLICIT, True, id="named-after-the-container"),
        pytest.param(_EXPLICIT, False, id="service-named"),
        pytest.param(
            _IMPLICIT | {"traefik.http.services.web.loadbalancer.server.port": "80"},
            False,
            id="the-only-service-of-the-container",
        ),
        pytest.param(
            _IMPLICIT | {"traefik.tcp.services.web.loadbalancer.server.port": "80"},
            True,
            id="a-service-of-another-protocol",
        ),
        pytest.param(_IMPLICIT | compose(), False, id="compose-names-it-after-the-project"),
        pytest.param(_IMPLICIT | {"traefik.enable": "false"}, False, id="traefik-off"),
        pytest.param({"TRAEFIK.http.routers.web.rule": "x"}, True, id="upper-case"),
        pytest.param({"traefik.udp.routers.web.entrypoints": "x"}, True, id="udp"),
    ],
)
def test_traefik_routers_that_would_collide(labels: dict[str, str], refused: bool) -> None:
    made = plan(source(labels=labels))

    assert reasons(made) == ({"implicit_router"} if refused else set())
