"""What a clone may share of the source's files and devices, and what it must not."""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.fidelity import FidelityItem, RefusalReason
from app.policies.clone_source import (
    CloneSource,
    Json,
    changed,
    is_anonymous,
    refused,
    same,
)
from app.policies.spec import Sharing

#: NVIDIA's runtime hands out GPUs by an environment variable, without a device in sight.
_GPU_ENV = "NVIDIA_VISIBLE_DEVICES="
_NO_GPU = frozenset({"", "none", "void"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoragePlan:
    """Volumes of the clone."""

    #: Fields of ``HostConfig`` that differ from the source's.
    host_config: Mapping[str, Any]
    #: Destinations of anonymous volumes that the request must ask for.
    volumes: tuple[str, ...]
    items: tuple[FidelityItem, ...]


def plan_storage(
    source: CloneSource, shared_volumes: Sharing, *, stateless_label: str, is_stateless: bool
) -> StoragePlan:
    """
    Share what is only read, refuse what two would write, give fresh anonymous volumes.

    Nobody can look into an anonymous volume from here, so each writable one is taken to hold
    data (database images declare theirs for that) unless the container is labelled stateless.
    """
    # Compose re-creates a container with its anonymous volumes bound by name: not ours.
    binds = [bind for bind in _binds(source) if not is_anonymous(bind.split(":")[0])]
    adopted = [bind.split(":")[1] for bind in _binds(source) if bind not in binds]
    mounts = [
        {key: value for key, value in mount.items() if key != "Source"}
        if is_anonymous(mount.get("Source"))
        else mount
        for mount in source.host_config.get("Mounts") or ()
    ]
    host_config: dict[str, Any] = {}
    if adopted:
        host_config["Binds"] = binds
    if source.host_config.get("Mounts"):
        host_config["Mounts"] = mounts
    given = source.image_config.get("Volumes") or {}
    items = [
        _relabelled_item(source, mount)
        or _mount_item(mount, shared_volumes, stateless_label, is_stateless=is_stateless)
        for mount in source.container.get("Mounts") or ()
        if not _is_lent(source, mount)
    ]
    items += _lent_items(source, shared_volumes)
    return StoragePlan(
        host_config=host_config,
        volumes=tuple(path for path in adopted if path not in given),
        items=tuple(items),
    )


def plan_devices(source: CloneSource, shared_devices: Sharing) -> Iterator[FidelityItem]:
    """Refuse devices and GPUs that the policy does not call shareable."""
    host_config = source.host_config
    for field in ("Devices", "DeviceRequests"):
        if host_config.get(field):
            yield _device_item(f"HostConfig.{field}", shared_devices)
    gpus = [e for e in source.config.get("Env") or () if e.startswith(_GPU_ENV)]
    if "nvidia" in str(host_config.get("Runtime")) and any(
        entry.removeprefix(_GPU_ENV) not in _NO_GPU for entry in gpus
    ):
        yield _device_item("HostConfig.Runtime", shared_devices)


def _device_item(field: str, shared_devices: Sharing) -> FidelityItem:
    if shared_devices is Sharing.ALLOW:
        return same(field, "shared, as the policy allows")
    why = "both would use one device: set scale_out.shared_devices to allow where they can"
    return refused(field, RefusalReason.SHARED_DEVICE, why)


def _mount_item(
    mount: Json, shared_volumes: Sharing, stateless_label: str, *, is_stateless: bool
) -> FidelityItem:
    field, kind, writable = f"Mounts.{mount['Destination']}", mount["Type"], bool(mount.get("RW"))
    if kind == "tmpfs":
        return same(field, "memory of its own")
    if kind == "volume" and is_anonymous(mount.get("Name")):
        if is_stateless or not writable:
            return changed(field, "a fresh anonymous volume")
        why = (
            f"an anonymous volume would start empty: label the container {stateless_label}=true "
            "where that is right"
        )
        return refused(field, RefusalReason.DATA_IN_ANONYMOUS_VOLUME, why)
    if not writable:
        return same(field, "shared, read-only")
    return _writable_item(field, shared_volumes)


def _relabelled_item(source: CloneSource, mount: Json) -> FidelityItem | None:
    """
    Refuse files that the engine labels for one container alone (``:Z``), read-only or not.

    A second container's start labels them anew, and SELinux shuts the first one out. Without
    SELinux a process has no label, and the letter means nothing.
    """
    if not source.container.get("ProcessLabel"):
        return None
    if "Z" not in str(mount.get("Mode") or "").split(","):
        return None
    why = "it is labelled for the source alone (Z), which would lose it: mount it with z"
    return refused(f"Mounts.{mount['Destination']}", RefusalReason.SHARED_VOLUME, why)


def _writable_item(field: str, shared_volumes: Sharing) -> FidelityItem:
    if shared_volumes is Sharing.ALLOW:
        return same(field, "shared and written by both, as the policy allows")
    why = (
        "both would write to it: mount it read-only, or set scale_out.shared_volumes to allow "
        "where they can"
    )
    return refused(field, RefusalReason.SHARED_VOLUME, why)


def _lent_items(source: CloneSource, shared_volumes: Sharing) -> Iterator[FidelityItem]:
    for lender in source.host_config.get("VolumesFrom") or ():
        name, _, mode = str(lender).partition(":")
        field = f"HostConfig.VolumesFrom.{name}"
        if "ro" in mode.split(","):
            yield same(field, "shared, read-only")
        else:
            yield _writable_item(field, shared_volumes)


def _is_lent(source: CloneSource, mount: Json) -> bool:
    """Whether a mount is another container's (``--volumes-from``): it is judged as such."""
    if not source.host_config.get("VolumesFrom"):
        return False
    own = set(source.config.get("Volumes") or ())
    own.update(bind.split(":")[1] for bind in _binds(source) if ":" in bind)
    own.update(str(one.get("Target")) for one in source.host_config.get("Mounts") or ())
    # As asked for they may end in a slash; as mounted they do not.
    return mount["Destination"] not in {posixpath.normpath(path) for path in own}


def _binds(source: CloneSource) -> list[str]:
    return list(source.host_config.get("Binds") or ())
