"""Sources of clones, as engine 20.10 describes them, with overrides."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app.domain.fidelity import Fate, FidelityItem
from app.policies.clone_config import Taken
from app.policies.clone_source import ChangeKind, CloneSource, LayerChange
from app.policies.cloning import ClonePlan, plan_clone
from app.policies.spec import ScaleOutRules

CONTAINER_ID = "3a459d5d0b8c" + "0" * 52
IMAGE_ID = "sha256:" + "6" * 64
NETWORK_ID = "afb295c4396a" + "0" * 52
#: A name that the engine makes up for an anonymous volume.
ANONYMOUS = "d" * 64
AT = datetime(2026, 11, 22, 3, 0, 0, tzinfo=UTC)

_CONFIG: Mapping[str, Any] = {
    "Hostname": CONTAINER_ID[:12],
    "Domainname": "",
    "User": "",
    "AttachStdout": False,
    "Tty": False,
    "Env": ["PATH=/bin"],
    "Cmd": ["serve"],
    "Entrypoint": None,
    "Image": "shop/web:1",
    "Volumes": None,
    "WorkingDir": "",
    "OnBuild": None,
    "Labels": {},
}
_HOST_CONFIG: Mapping[str, Any] = {
    "Binds": None,
    "ContainerIDFile": "",
    "LogConfig": {"Type": "json-file", "Config": {}},
    "NetworkMode": "shop_default",
    "PortBindings": {},
    "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
    "AutoRemove": False,
    "VolumesFrom": None,
    "Links": None,
    "UTSMode": "",
    "Memory": 0,
    "Devices": [],
    "Runtime": "runc",
}


def source(
    *,
    name: str = "web",
    config: Mapping[str, Any] | None = None,
    host_config: Mapping[str, Any] | None = None,
    image: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    networks: Mapping[str, Any] | None = None,
    mounts: Sequence[Mapping[str, Any]] = (),
    changes: Sequence[LayerChange] = (),
    api_version: tuple[int, int] = (1, 41),
) -> CloneSource:
    """Return a container on one network of the user's, without anything that forbids a clone."""
    default = {"shop_default": endpoint(aliases=["web", CONTAINER_ID[:12]])}
    return CloneSource(
        container={
            "Id": CONTAINER_ID,
            "Name": f"/{name}",
            "Image": IMAGE_ID,
            "Config": {**_CONFIG, "Labels": dict(labels or {}), **(config or {})},
            "HostConfig": {**_HOST_CONFIG, **(host_config or {})},
            "NetworkSettings": {"Networks": default if networks is None else networks},
            "Mounts": list(mounts),
        },
        image={"Id": IMAGE_ID, "Config": {"Env": ["PATH=/bin"], **(image or {})}},
        changes=tuple(changes),
        api_version=api_version,
    )


def endpoint(
    *, aliases: Sequence[str] = (), ip: str = "172.22.0.3", **more: object
) -> dict[str, Any]:
    """Return one entry of ``NetworkSettings.Networks``, with everything the engine assigns."""
    return {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": list(aliases) or None,
        "NetworkID": NETWORK_ID,
        "EndpointID": "e" * 64,
        "Gateway": "172.22.0.1",
        "IPAddress": ip,
        "IPPrefixLen": 16,
        "MacAddress": "02:42:ac:16:00:03",
        "DriverOpts": None,
        "DNSNames": ["web"],
        **more,
    }


def compose(*, service: str = "web", number: int = 1, version: str = "2.29.1") -> dict[str, str]:
    """Return the labels that Compose puts on a container of project shop."""
    return {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": service,
        "com.docker.compose.container-number": str(number),
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.version": version,
    }


def volume(name: str, path: str = "/data", *, writable: bool = True) -> dict[str, Any]:
    """Return a volume of ``Mounts``."""
    return {"Type": "volume", "Name": name, "Destination": path, "RW": writable}


def bind(path: str = "/data", *, writable: bool = True) -> dict[str, Any]:
    """Return a bind mount of ``Mounts``."""
    return {"Type": "bind", "Source": "/srv", "Destination": path, "RW": writable}


def added(path: str, *, mode: int | None = None) -> LayerChange:
    """Return a new path of the writable layer."""
    return LayerChange(path=path, kind=ChangeKind.ADDED, mode=mode)


def modified(path: str, *, mode: int | None = None) -> LayerChange:
    """Return a path of the image that was modified."""
    return LayerChange(path=path, kind=ChangeKind.MODIFIED, mode=mode)


def deleted(path: str) -> LayerChange:
    """Return a path of the image that was deleted."""
    return LayerChange(path=path, kind=ChangeKind.DELETED)


def plan(
    of: CloneSource,
    *,
    taken: Taken | None = None,
    prefix: str = "relevo",
    **rules: Any,
) -> ClonePlan:
    """Plan a clone of it by the default rules, or others."""
    return plan_clone(
        of,
        taken=taken or Taken(),
        rules=replace(ScaleOutRules(), **rules),
        label_prefix=prefix,
        attempt_id="01JATTEMPT",
        at=AT,
    )


def reasons(made: ClonePlan) -> set[str]:
    """Return the words of all refusals."""
    return {str(item.reason) for item in made.report.refusals}


def line(made: ClonePlan, field: str) -> FidelityItem:
    """Return the one line of the report about a field."""
    (found,) = (item for item in made.report.items if item.field == field)
    return found


def fate(made: ClonePlan, field: str) -> Fate:
    """Return what the report says becomes of a field."""
    return line(made, field).fate
