"""
Sources of clones for the real engine, as a table: how each is made, and what becomes of it.

Options are those of ``docker run``. In braces stands what the lab has: ``{front}``, ``{back}``,
``{aux}`` (networks; ``{front_id}``: an id), ``{fixed}`` (one with the subnet 10.213.78.0/24),
``{volume}``, ``{folder}`` (of the host), ``{port}`` (one that nobody else has), ``{other}`` (a
container on front, whose volumes are read-only), ``{old}`` (one on the default network), ``{id}``
(the source itself, once it runs).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.policies.spec import HostPorts, Sharing

SHELL = ("sh", "-c")
COMPOSE = (
    *("-l", "com.docker.compose.project=shop", "-l", "com.docker.compose.service=web"),
    *("-l", "com.docker.compose.container-number=1", "-l", "com.docker.compose.version=2.29.1"),
)
STATELESS = ("-l", "relevo.stateless=true")
ALIAS = ("--network", "{front}", "--network-alias", "web")
PORTS = "HostConfig.PortBindings"
MODE = "HostConfig.NetworkMode"
#: For `Case.differs`: an anonymous volume of its own, at the same place.
FRESH = "a fresh volume"
#: An image with everything that an image can give.
RICH = (
    'ENTRYPOINT ["sh", "-c"]',
    'CMD ["sleep 600"]',
    "ENV LANG=C STAGE=prod",
    "USER nobody",
    "WORKDIR /srv",
    "LABEL vendor=shop stage=prod",
    "HEALTHCHECK --interval=5s --retries=2 CMD true",
    "EXPOSE 80",
)
VOLUME_IMAGE = ("VOLUME /var/lib/data",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One source container, and what a clone of it must be."""

    name: str
    options: tuple[str, ...] = ()
    command: tuple[str, ...] = ("sleep", "600")
    #: Dockerfile lines of its image.
    image: tuple[str, ...] = ()
    #: Instead of options: the request to create it, for what the client does not let through.
    body: Mapping[str, Any] | None = None
    #: False: the source is only created, where running would add nothing to what it is.
    runs: bool = True
    #: False: its clone is only created, as planned.
    starts: bool = True
    #: Commands of the client, after it was started.
    then: tuple[tuple[str, ...], ...] = ()
    #: Of the policy, where they are not the default.
    rules: Mapping[str, Any] = field(default_factory=dict)
    #: Fields that the report must call changed or dropped, besides who it is, and what the clone
    #: has there instead.
    differs: Mapping[str, Any] = field(default_factory=dict)
    #: Words of the refusal; empty where a clone must be made.
    refused: frozenset[str] = frozenset()


def _case(
    name: str,
    *options: str,
    differs: Mapping[str, Any] | None = None,
    refused: tuple[str, ...] = (),
    **more: Any,
) -> Case:
    return Case(
        name=name,
        options=options,
        differs=differs or {},
        refused=frozenset(refused),
        **more,
    )


def _created(*cases: Case) -> tuple[Case, ...]:
    return tuple(replace(case, runs=False) for case in cases)


def _in_it(script: str) -> tuple[str, ...]:
    return ("exec", "{id}", "sh", "-c", script)


def _body(*, network: str = "{front}", config: Any = None, endpoint: Any = None) -> dict[str, Any]:
    return {
        "Cmd": ["sleep", "600"],
        "HostConfig": {"NetworkMode": network},
        "NetworkingConfig": {"EndpointsConfig": {network: endpoint or {"Aliases": ["web"]}}},
        **(config or {}),
    }


EVERYTHING = (
    *("-e", "A=1", "-l", "team=shop", "--memory", "32m", "--cpus", "0.5", "--shm-size", "8m"),
    *("--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--security-opt", "no-new-privileges"),
    *("--sysctl", "net.core.somaxconn=512", "--ulimit", "nofile=512:1024", "--init"),
    *("--log-opt", "max-size=1m", "--restart", "on-failure:5", "--read-only"),
    *("--tmpfs", "/tmp:size=1m", "--health-cmd", "true", "--health-interval", "9s"),
    *("--stop-timeout", "4", "--workdir", "/srv/a", "--user", "0:0", "--add-host", "db:10.0.0.2"),
    *("--dns", "10.0.0.1", "--oom-score-adj", "200", "--entrypoint", "sh", "--expose", "81"),
    *("-v", "{volume}:/data:ro", "-p", "127.0.0.1::81", *ALIAS),
)

RUNNING = (
    _case("nothing-special"),
    _case("everything-at-once", *EVERYTHING, command=("-c", "sleep 600")),
    _case(
        "env-of-the-image-taken-away",
        image=RICH,
        body={"Env": ["STAGE", "A=1"], "Cmd": ["sleep 600"]},
    ),
)

PLAIN = _created(
    _case("env-and-labels", "-e", "A=1", "-e", "EMPTY=", "-e", "B=x=y", "-l", "team=shop"),
    _case("user-and-workdir", "--user", "65534:65534", "--workdir", "/srv/a/b"),
    _case("env-of-several-lines", "-e", 'KEY=-----BEGIN\n\tä="1"\n-----END\n', "-e", "A= "),
    _case("as-long-as-names-are", "--hostname", "h" * 63, "-l", f"{'l' * 200}={'v' * 5000}"),
    _case(
        "shell-of-its-own",
        body={"Shell": ["/bin/sh", "-e"], "Cmd": ["sleep", "600"], "HostConfig": {}},
    ),
    _case("groups", "--group-add", "9", "--group-add", "1000"),
    _case("entrypoint", "--entrypoint", "sh", command=("-c", "sleep 600")),
    _case("tty-and-stdin", "-i", "-t"),
    _case("stop-signal-and-timeout", "--stop-signal", "SIGINT", "--stop-timeout", "4"),
    _case("host-name", "--hostname", "front"),
    _case("host-and-domain-name", "--hostname", "front", "--domainname", "shop.test"),
    _case("init", "--init"),
    _case("no-init", "--init=false"),
    _case("restart-always", "--restart", "always"),
    _case("restart-on-failure", "--restart", "on-failure:5"),
    _case("restart-unless-stopped", "--restart", "unless-stopped"),
    _case(
        "health-check",
        *("--health-cmd", "true", "--health-interval", "7s", "--health-timeout", "3s"),
        *("--health-retries", "2", "--health-start-period", "1s"),
    ),
    _case("log-json-file", "--log-driver", "json-file", "--log-opt", "max-size=1m"),
    _case("log-local", "--log-driver", "local", "--log-opt", "max-file=2"),
    _case("log-none", "--log-driver", "none"),
    _case("cid-file", "--cidfile", "{folder}/cid", differs={"HostConfig.ContainerIDFile": ""}),
)

IMAGE = _created(
    _case("all-the-images", image=RICH, command=()),
    _case(
        "other-than-the-images",
        *("-e", "LANG=de", "-l", "stage=test", "-u", "0", "-w", "/", "--stop-signal", "SIGTERM"),
        image=RICH,
        command=("sleep 500",),
    ),
    _case("no-health-check", "--no-healthcheck", image=RICH, command=()),
    _case("health-check-in-part", "--health-interval", "9s", image=RICH, command=()),
    _case("entrypoint-of-its-own", "--entrypoint", "sleep", image=RICH, command=("400",)),
    _case("entrypoint-taken-away", "--entrypoint", "", image=RICH, command=("sleep", "300")),
)

LIMITS = _created(
    _case("memory", "--memory", "32m", "--memory-reservation", "16m", "--memory-swap", "48m"),
    _case("memory-without-oom-kill", "--memory", "32m", "--oom-kill-disable"),
    _case("cpus", "--cpus", "0.5"),
    _case(
        "cpu-quota-shares-and-set",
        *("--cpu-quota", "20000", "--cpu-period", "50000"),
        *("--cpu-shares", "512", "--cpuset-cpus", "0"),
    ),
    _case("pids", "--pids-limit", "50"),
    _case("memory-swappiness", "--memory-swappiness", "10"),
    _case("memory-nodes", "--cpuset-mems", "0"),
    _case("block-io", "--device-read-bps", "/dev/null:1mb", "--device-write-iops",
          "/dev/null:100", starts=False),
    _case("ulimits", "--ulimit", "nofile=512:1024", "--ulimit", "core=0"),
    _case("shared-memory", "--shm-size", "8m"),
    _case("out-of-memory-score", "--oom-score-adj", "200"),
    # Started, it would leave a cgroup on the host.
    _case("cgroup-parent", "--cgroup-parent", "/docker/relevo-lab", starts=False),
    _case("runtime", "--runtime", "runc"),
)  # fmt: skip

SECURITY = _created(
    _case("capabilities", "--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--cap-add", "CHOWN"),
    _case("no-new-privileges", "--security-opt", "no-new-privileges"),
    _case("seccomp-off", "--security-opt", "seccomp=unconfined"),
    _case("masked-paths-off", "--security-opt", "systempaths=unconfined"),
    # Where the tests run in a container themselves it cannot be started.
    _case("privileged", "--privileged", starts=False),
    _case("read-only-with-tmpfs", "--read-only", "--tmpfs", "/tmp:size=1m", "--tmpfs", "/run"),
    _case("sysctls", "--sysctl", "net.core.somaxconn=512"),
    _case("device-rule", "--device-cgroup-rule", "c 1:3 r"),
    _case("device", "--device", "/dev/null:/dev/x:r", refused=("shared_device",)),
    _case("gpus", "--gpus", "all", refused=("shared_device",)),
    _case("device-allowed", "--device", "/dev/null:/dev/x:r",
          rules={"shared_devices": Sharing.ALLOW}),
)  # fmt: skip

NAMESPACES = _created(
    _case("pid-of-the-host", "--pid", "host"),
    _case("pid-of-another", "--pid", "container:{other}"),
    _case("ipc-private", "--ipc", "private"),
    _case("ipc-shareable", "--ipc", "shareable"),
    _case("ipc-of-the-host", "--ipc", "host"),
    _case("ipc-of-another", "--ipc", "container:{other}"),
    _case("host-name-of-the-host", "--uts", "host"),
    _case("users-of-the-host", "--userns", "host"),
    _case("isolation-as-usual", "--isolation", "default"),
    _case("cgroups-of-the-host", "--cgroupns", "host"),
)

NETWORKS = (
    _case("network-with-an-alias", *ALIAS),
    _case(
        "several-aliases",
        *(*ALIAS, "--network-alias", "api", "--network-alias", "api.shop.test"),
    ),
    _case(
        "three-networks",
        *ALIAS,
        then=(
            ("network", "connect", "--alias", "web", "--alias", "api", "{back}", "{id}"),
            ("network", "connect", "{aux}", "{id}"),
        ),
    ),
    _case(
        "the-default-network-and-another",
        then=(("network", "connect", "--alias", "web", "{back}", "{id}"),),
    ),
    _case("network-by-its-id", "--network", "{front_id}", differs={MODE: "{front}"}),
    _case(
        "moved-to-another-network",
        *ALIAS,
        then=(
            ("network", "connect", "--alias", "web", "{back}", "{id}"),
            ("network", "disconnect", "{front}", "{id}"),
        ),
        differs={MODE: "{back}"},
    ),
    _case(
        "taken-off-all-networks",
        *ALIAS,
        then=(("network", "disconnect", "{front}", "{id}"),),
        differs={MODE: "none", "NetworkSettings.Networks.none": None},
    ),
    _case("no-network", "--network", "none"),
    _case(
        "static-address",
        *("--network", "{fixed}", "--ip", "10.213.78.9", "--link-local-ip", "169.254.8.8"),
        differs={"NetworkSettings.Networks.{fixed}.IPAMConfig": None},
    ),
    _case(
        "static-mac",
        body=_body(config={"MacAddress": "02:42:0a:d5:4e:99"}),
        differs={"Config.MacAddress": None},
    ),
    _case("driver-options", "--network", "name={front},driver-opt=shop.test.option=1"),
    _case("links-of-the-default-network", "--link", "{old}:database", "--link", "{old}:db"),
    _case("links-of-a-network", "--network", "{front}", "--link", "{other}:database"),
    _case("extra-hosts", "--add-host", "db:10.0.0.2", "--add-host", "host:host-gateway"),
    _case("dns", "--dns", "10.0.0.1", "--dns-opt", "ndots:2", "--dns-search", "shop.test"),
    _case("network-of-another", "--network", "container:{other}", refused=("network_mode",)),
    _case("network-of-the-host", "--network", "host", refused=("host_network",)),
    _case(
        "network-of-the-host-allowed",
        *("--network", "host"),
        rules={"host_network": Sharing.ALLOW},
    ),
)

PORT = "127.0.0.1:{port}:80"
#: A port of the engine's choice.
FREE = {"HostIp": "127.0.0.1", "HostPort": ""}
PUBLISHED = (
    _case("fixed-port", "-p", PORT, refused=("fixed_host_port",)),
    _case("fixed-port-that-an-alias-replaces", *ALIAS, "-p", PORT, differs={PORTS: {}}),
    _case("fixed-port-refused-by-policy", *ALIAS, "-p", PORT,
          rules={"host_ports": HostPorts.REFUSE}, refused=("fixed_host_port",)),
    _case("fixed-port-made-free", "-p", PORT,
          rules={"host_ports": HostPorts.EPHEMERAL}, differs={PORTS: {"80/tcp": [FREE]}}),
    _case("fixed-port-left-out", "-p", PORT, "-p", "127.0.0.1::81/udp",
          rules={"host_ports": HostPorts.DROP}, differs={PORTS: {"81/udp": [FREE]}}),
    _case("free-ports", "-p", "127.0.0.1::80", "-p", "127.0.0.1::81/udp"),
    _case("all-ports-published", "-P", "--expose", "80", "--expose", "81/udp"),
)  # fmt: skip

VOLUMES = (
    _case("anonymous-volume", "-v", "/data", then=(_in_it("echo 1 > /data/orders"),),
          refused=("data_in_anonymous_volume",)),
    _case("anonymous-volume-stateless", "-v", "/data", *STATELESS,
          then=(_in_it("echo 1 > /data/orders"),), differs={"Mounts./data": FRESH}),
    _case("volume-of-the-image", image=VOLUME_IMAGE, refused=("data_in_anonymous_volume",)),
    _case("volume-of-the-image-stateless", *STATELESS, image=VOLUME_IMAGE,
          differs={"Mounts./var/lib/data": FRESH}),
    _case("named-volume", "-v", "{volume}:/data", refused=("shared_volume",)),
    _case("named-volume-allowed", "-v", "{volume}:/data",
          rules={"shared_volumes": Sharing.ALLOW}),
    _case("named-volume-read-only", "-v", "{volume}:/data:ro"),
    _case("folder-of-the-host", "-v", "{folder}:/data", refused=("shared_volume",)),
    _case("folder-of-the-host-read-only", "-v", "{folder}:/data:ro"),
    _case("folder-with-a-slash-beside-lent-ones", "-v", "{folder}:/data/",
          "--volumes-from", "{other}:ro", refused=("shared_volume",)),
    _case("volume-driver", "--volume-driver", "local", "-v", "{volume}:/data:ro"),
    _case("mounts", "--mount", "type=volume,source={volume},target=/v,readonly,volume-nocopy",
          "--mount", "type=bind,source={folder},target=/b,readonly,bind-recursive=disabled",
          "--mount", "type=tmpfs,target=/t,tmpfs-size=65536,tmpfs-mode=700"),
    _case("anonymous-mount-stateless", "--mount", "type=volume,target=/data", *STATELESS,
          differs={"Mounts./data": FRESH}),
    _case("volumes-of-another-read-only", "--volumes-from", "{other}:ro"),
    _case("volumes-of-another", "--volumes-from", "{other}", refused=("shared_volume",)),
    _case("data-in-the-layer", then=(_in_it("mkdir /data; echo 1 > /data/orders"),),
          refused=("data_in_layer",)),
    _case("data-in-the-layer-stateless", *STATELESS,
          then=(_in_it("mkdir /data; echo 1 > /data/orders"),)),
    _case("scratch-in-the-layer",
          then=(_in_it("mkdir -p /app/__pycache__; touch /tmp/x app.log"),)),
)  # fmt: skip

MANAGED = (
    _case("compose", *COMPOSE, "--network", "{front}", "--network-alias", "web"),
    _case(
        "compose-with-its-own-name-as-alias",
        *(*COMPOSE, "--network", "{front}", "--network-alias", "web"),
        *("--network-alias", "{own}"),
        differs={"NetworkSettings.Networks.{front}.Aliases": ["web"]},
    ),
    _case("compose-secret", *COMPOSE,
          then=(_in_it("mkdir -p /run/secrets; echo x > /run/secrets/t"),),
          refused=("compose_configs",)),
    _case("compose-config", *COMPOSE,
          then=(_in_it("echo x > /etc/app.conf; chmod 444 /etc/app.conf"),),
          refused=("compose_configs",)),
    _case("implicit-router", "-l", "traefik.http.routers.web.rule=Host(`shop.test`)",
          refused=("implicit_router",)),
    _case("router-with-a-service", "-l", "traefik.http.routers.web.rule=Host(`shop.test`)",
          "-l", "traefik.http.routers.web.service=web",
          "-l", "traefik.http.services.web.loadbalancer.server.port=80"),
    _case("swarm-task", "-l", "com.docker.swarm.task.id=x", refused=("swarm_task",)),
    _case("removes-itself", "--rm", refused=("auto_remove",)),
    _case("is-a-clone", "-l", "relevo.clone-of=web", refused=("is_clone",)),
    _case("several-reasons", "--rm", "-v", "/data", "-p", PORT,
          refused=("auto_remove", "data_in_anonymous_volume", "fixed_host_port")),
)  # fmt: skip

CASES = (
    *RUNNING,
    *PLAIN,
    *IMAGE,
    *LIMITS,
    *SECURITY,
    *NAMESPACES,
    *NETWORKS,
    *PUBLISHED,
    *VOLUMES,
    *MANAGED,
)
