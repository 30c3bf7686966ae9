"""
What `docker inspect` must show of each container of the stack: a pure judge.

Our own containers are held to all of it. Those of others as far as their programs let themselves be
locked up; each exception is here, with its reason.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

Inspected = Mapping[str, Any]

OWN: Final = frozenset({"gate", "relevo", "collector"})
#: Its image is pulled where it can be had, and could not be had where this was written: what nobody
#: has tried is not switched on. Its user is the image's own, a number as well.
_UNTRIED: Final = frozenset({"grafana"})
#: How much these need depends on what people have them keep: series, alerts, dashboards. A limit
#: that was guessed would end the monitoring, or the store, where it is needed most.
_AS_MUCH_AS_IT_TAKES: Final = frozenset({"redis", "prometheus", "alertmanager", "grafana"})
#: It measures the host, so it sees the host's processes and files: read-only, as nobody's user, in
#: no group. That the engine's socket is closed to it is tried in the running container.
_SEES_THE_HOST: Final = frozenset({"node-exporter"})
#: Nobody of these is asked from outside.
_WITHOUT_PORTS: Final = frozenset({"redis", "gate"})
#: Who is on the network of the store.
_AT_THE_STORE: Final = frozenset({"redis", "relevo"})
_OCI: Final = ("title", "description", "licenses", "version")
_SERVICE: Final = "com.docker.compose.service"


def service_of(container: Inspected) -> str:
    """The service of compose.yaml that a container is."""
    return str(container["Config"]["Labels"][_SERVICE])


def faults(
    containers: Collection[Inspected],
    networks: Collection[Inspected],
    *,
    secrets: Collection[str],
) -> list[str]:
    """
    Return what is not as it should be, a line for each; none is good.

    :param containers: all of the stack, as ``docker inspect`` tells
    :param networks: all of the stack, as ``docker network inspect`` tells
    :param secrets: values that nobody may read there
    """
    found = [
        f"{service_of(each)}: {fault}"
        for each in containers
        for fault in (
            *_who(each),
            *_rights(each),
            *_limits(each),
            *_mounts(each),
            *_reach(each),
            *_words(each, secrets),
        )
    ]
    return found + list(_places(containers, networks))


def _who(container: Inspected) -> Iterator[str]:
    service, user = service_of(container), str(container["Config"]["User"])
    if re.fullmatch(r"[1-9][0-9]*(:[1-9][0-9]*)?", user) is None:
        yield f"its user {user!r} is no number, or root"
    if service in OWN and user != "10001:10001":
        yield "not the image's own user"
    if (service == "gate") != bool(container["HostConfig"]["GroupAdd"]):
        yield "the gate alone is in one more group, that of the engine's socket"


def _rights(container: Inspected) -> Iterator[str]:
    host, service = container["HostConfig"], service_of(container)
    if host["Privileged"]:
        yield "privileged"
    if host["CapDrop"] != ["ALL"] or host["CapAdd"]:
        yield "has capabilities"
    options = [option.partition(":") for option in host["SecurityOpt"] or ()]
    if ("no-new-privileges", "true") not in [(name, value or "true") for name, _, value in options]:
        yield "may gain privileges"
    if any(value == "unconfined" for _, _, value in options):
        yield "is let out of the engine's own confinement"
    if not host["ReadonlyRootfs"] and service not in _UNTRIED:
        yield "its root can be written to"
    if host["Devices"] or host["DeviceCgroupRules"]:
        yield "has devices"
    for mode in ("IpcMode", "UTSMode", "UsernsMode"):
        if host[mode] == "host":
            yield f"{mode} is the host's"
    if host["PidMode"] and service not in _SEES_THE_HOST:
        yield "sees others' processes"


def _limits(container: Inspected) -> Iterator[str]:
    host, service = container["HostConfig"], service_of(container)
    if not 0 < (host["PidsLimit"] or 0) <= 512:
        yield "no limit of processes"
    if not host["Memory"] and service not in _AS_MUCH_AS_IT_TAKES:
        yield "no limit of memory"
    if "/tmp" not in (host["Tmpfs"] or {}) and service not in _UNTRIED:
        yield "/tmp is not in memory"
    if service in OWN and host["Init"] is not True:
        yield "nobody reaps its orphans"
    if "max-size" not in host["LogConfig"]["Config"]:
        yield "its log may fill the disk"
    check = (container["Config"].get("Healthcheck") or {}).get("Test") or ["NONE"]
    if check[0] not in {"CMD", "CMD-SHELL"}:
        yield "no health check"


def _mounts(container: Inspected) -> Iterator[str]:
    service = service_of(container)
    has_socket = False
    for mount in container["Mounts"]:
        source = str(mount["Source"])
        if source.endswith(".sock"):
            has_socket = True
        elif mount["Type"] == "bind" and mount["RW"]:
            yield f"may write to the host's {source}"
        elif source in {"/", "/run", "/var", "/var/run"} and service not in _SEES_THE_HOST:
            yield f"sees the host's {source}, and the socket in it"
        to_gate = mount["Destination"] == "/run/relevo"
        if to_gate and service not in OWN:
            yield "can ask the gate"
        if to_gate and service != "gate" and mount["RW"]:
            yield "could put a socket of its own in the gate's place"
    if has_socket != (service == "gate"):
        yield "the gate alone has the engine's socket"


def _reach(container: Inspected) -> Iterator[str]:
    host, service = container["HostConfig"], service_of(container)
    if service == "gate" and (host["NetworkMode"], *container["NetworkSettings"]["Networks"]) != (
        "none",
        "none",
    ):
        yield "has a network"
    if host["NetworkMode"] == "host" or host["NetworkMode"].startswith("container:"):
        yield "is in another's network"
    if host["PublishAllPorts"]:
        yield "publishes all ports"
    bound = [
        each
        for ports in (host["PortBindings"] or {}, container["NetworkSettings"]["Ports"] or {})
        for bindings in ports.values()
        for each in bindings or ()
    ]
    if any(each["HostIp"] not in {"127.0.0.1", "::1"} for each in bound):
        yield "published beyond loopback"
    if bound and service in _WITHOUT_PORTS:
        yield "publishes a port"


def _words(container: Inspected, secrets: Collection[str]) -> Iterator[str]:
    # All of it: environment, command, labels, health check and its last answers.
    text = json.dumps(container)
    if any(secret in text for secret in secrets):
        yield "docker inspect tells a secret"
    labels, service = container["Config"]["Labels"], service_of(container)
    if labels.get("relevo.enable") != "false":
        yield "could be healed by what it belongs to"
    for name in _OCI if service in OWN else ():
        if not labels.get(f"org.opencontainers.image.{name}"):
            yield f"its image does not tell its {name}"


def _places(containers: Collection[Inspected], networks: Collection[Inspected]) -> Iterator[str]:
    internal = {str(each["Name"]) for each in networks if each["Internal"]}
    where = {service_of(each): set(each["NetworkSettings"]["Networks"]) for each in containers}
    if not where["redis"] or not where["redis"] <= internal:
        yield "redis: is on a network that leads outside"
    beside = {service for service, on in where.items() if on & where["redis"]}
    if beside != _AT_THE_STORE:
        yield f"redis: can be reached by {', '.join(sorted(beside - {'redis'})) or 'nobody'}"
