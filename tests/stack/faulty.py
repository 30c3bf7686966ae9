"""Each fault that the judge of `locked` must see: what spoils a sound stack, and its word."""

from collections.abc import Callable
from typing import Any, Final

Stack = dict[str, Any]
#: Service -> its container, and the networks under "networks".
Spoil = Callable[[Stack], None]


def _host(service: str, key: str, value: object) -> Spoil:
    def spoil(stack: Stack) -> None:
        assert key in stack[service]["HostConfig"], key
        stack[service]["HostConfig"][key] = value

    return spoil


def _config(service: str, key: str, value: object) -> Spoil:
    def spoil(stack: Stack) -> None:
        assert key in stack[service]["Config"], key
        stack[service]["Config"][key] = value

    return spoil


def _label(service: str, key: str, value: str) -> Spoil:
    def spoil(stack: Stack) -> None:
        stack[service]["Config"]["Labels"][key] = value

    return spoil


def _mount(service: str, source: str, to: str, *, writable: bool) -> Spoil:
    def spoil(stack: Stack) -> None:
        stack[service]["Mounts"].append(
            {"Type": "bind", "Source": source, "Destination": to, "RW": writable}
        )

    return spoil


def _published(service: str, address: str) -> Spoil:
    return _host(service, "PortBindings", {"1/tcp": [{"HostIp": address, "HostPort": "1"}]})


def _on(service: str, other: str) -> Spoil:
    """One service is also where another one is."""

    def spoil(stack: Stack) -> None:
        settings = stack[service]["NetworkSettings"]["Networks"]
        settings.update(stack[other]["NetworkSettings"]["Networks"])

    return spoil


def _env(service: str, secret: str) -> Spoil:
    def spoil(stack: Stack) -> None:
        stack[service]["Config"]["Env"].append(f"X={secret}")

    return spoil


def _command(service: str, secret: str) -> Spoil:
    return _config(service, "Cmd", ["--password", secret])


def _leading_outside(stack: Stack) -> None:
    for network in stack["networks"]:
        network["Internal"] = False


def _writes_where_the_gate_listens(stack: Stack) -> None:
    (mount,) = [one for one in stack["relevo"]["Mounts"] if one["Destination"] == "/run/relevo"]
    mount["RW"] = True


def _without_socket(stack: Stack) -> None:
    mounts = stack["gate"]["Mounts"]
    mounts[:] = [one for one in mounts if not one["Source"].endswith(".sock")]


def spoilt(secret: str) -> list[tuple[str, Spoil, str]]:
    """Return service, what spoils it, and a part of the line that must tell it."""
    return [(service, spoil, word) for (service, word), spoil in _faults(secret).items()]


#: A health check that is switched off.
_NONE: Final = {"Test": ["NONE"]}


def _faults(secret: str) -> dict[tuple[str, str], Spoil]:
    return {
        ("relevo", "is no number, or root"): _config("relevo", "User", ""),
        ("redis", "is no number, or root"): _config("redis", "User", "redis"),
        ("prometheus", "is no number, or root"): _config("prometheus", "User", "0:0"),
        ("alertmanager", "is no number, or root"): _config("alertmanager", "User", "1:0"),
        ("collector", "not the image's own user"): _config("collector", "User", "1000:1000"),
        ("relevo", "one more group"): _host("relevo", "GroupAdd", ["107"]),
        ("gate", "one more group"): _host("gate", "GroupAdd", None),
        ("collector", "privileged"): _host("collector", "Privileged", True),
        ("redis", "has capabilities"): _host("redis", "CapDrop", None),
        ("gate", "has capabilities"): _host("gate", "CapAdd", ["NET_ADMIN"]),
        ("prometheus", "may gain"): _host("prometheus", "SecurityOpt", None),
        ("relevo", "may gain"): _host("relevo", "SecurityOpt", ["no-new-privileges:false"]),
        ("gate", "let out"): _host(
            "gate", "SecurityOpt", ["no-new-privileges:true", "seccomp:unconfined"]
        ),
        ("gate", "can be written"): _host("gate", "ReadonlyRootfs", False),
        ("redis", "can be written"): _host("redis", "ReadonlyRootfs", False),
        ("relevo", "devices"): _host("relevo", "Devices", [{"PathOnHost": "/dev/kmsg"}]),
        ("relevo", "IpcMode"): _host("relevo", "IpcMode", "host"),
        ("collector", "others' processes"): _host("collector", "PidMode", "host"),
        ("alertmanager", "limit of processes"): _host("alertmanager", "PidsLimit", None),
        ("gate", "limit of processes"): _host("gate", "PidsLimit", -1),
        ("relevo", "limit of memory"): _host("relevo", "Memory", 0),
        ("collector", "/tmp"): _host("collector", "Tmpfs", None),
        ("gate", "orphans"): _host("gate", "Init", None),
        ("prometheus", "fill the disk"): _host(
            "prometheus", "LogConfig", {"Type": "json-file", "Config": {}}
        ),
        ("node-exporter", "health check"): _config("node-exporter", "Healthcheck", _NONE),
        ("relevo", "the gate alone has"): _mount(
            "relevo", "/run/docker.sock", "/run/docker.sock", writable=False
        ),
        ("gate", "the gate alone has"): _without_socket,
        ("prometheus", "may write to"): _mount("prometheus", "/etc", "/x", writable=True),
        ("collector", "and the socket in it"): _mount("collector", "/run", "/x", writable=False),
        ("prometheus", "can ask the gate"): _mount(
            "prometheus", "/volumes/gate-socket", "/run/relevo", writable=False
        ),
        ("relevo", "in the gate's place"): _writes_where_the_gate_listens,
        ("gate", "has a network"): _on("gate", "alertmanager"),
        ("relevo", "another's network"): _host("relevo", "NetworkMode", "container:x"),
        ("relevo", "all ports"): _host("relevo", "PublishAllPorts", True),
        ("prometheus", "beyond loopback"): _published("prometheus", "0.0.0.0"),
        ("alertmanager", "beyond loopback"): _published("alertmanager", ""),
        ("redis", "publishes a port"): _published("redis", "127.0.0.1"),
        ("relevo", "tells a secret"): _env("relevo", secret),
        ("redis", "tells a secret"): _command("redis", secret),
        ("gate", "tells a secret"): _label("gate", "x", secret),
        ("redis", "could be healed"): _label("redis", "relevo.enable", "true"),
        ("gate", "its licenses"): _label("gate", "org.opencontainers.image.licenses", ""),
        ("redis", "leads outside"): _leading_outside,
        ("redis", "reached by prometheus, relevo"): _on("prometheus", "redis"),
    }
