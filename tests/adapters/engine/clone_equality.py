"""In what two containers differ, and what of that a report does not say."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.domain.fidelity import Fate, FidelityReport

Seen = Mapping[str, Any]

#: Of an endpoint: what the engine gives to each container anew.
_ASSIGNED = frozenset(
    {"EndpointID", "IPAddress", "GlobalIPv6Address", "MacAddress", "DNSNames"}
)  # fmt: skip
#: Of an endpoint: what the engine looks up when the container is started.
_BY_START = frozenset({"NetworkID", "Gateway", "IPPrefixLen"})
#: Of inspect's first level: what is the same wherever the same thing was asked for.
_OUTSIDE = ("Path", "Args", "Image", "Platform", "Driver")
#: What marks a clone, and its number in the Compose service: told by the report in words.
_MARKS = frozenset(
    {
        "relevo.clone-of",
        "relevo.attempt",
        "relevo.created-at",
        "com.docker.compose.container-number",
        "com.docker.compose.replace",
    }
)


def differences(source: Seen, clone: Seen) -> dict[str, tuple[Any, Any]]:
    """Return every field in which two inspects differ, what the engine assigns aside."""
    one, other = _fields(source), _fields(clone)
    by_start = _BY_START if source["State"]["Status"] == "created" else frozenset()
    return {
        field: (one.get(field), other.get(field))
        for field in sorted(one.keys() | other.keys())
        # The engine itself writes null, [] and "" for the same thing.
        if (one.get(field) or None) != (other.get(field) or None)
        and field.rpartition(".")[2] not in by_start
    }


def unreported(source: Seen, clone: Seen, report: FidelityReport) -> dict[str, tuple[Any, Any]]:
    """Return the differences that no line of the report names as changed or dropped."""
    told = told_otherwise(report)
    return {
        field: values
        for field, values in differences(source, clone).items()
        if not any(field == name or field.startswith(f"{name}.") for name in told)
    }


def told_otherwise(report: FidelityReport) -> set[str]:
    """Return the fields that a report calls changed or dropped."""
    return {item.field for item in report.items if item.fate in (Fate.CHANGED, Fate.DROPPED)}


def has(seen: Seen, field: str) -> Any:
    """Return what a container has in a field, the engine's several words for nothing as None."""
    return _fields(seen).get(field) or None


def mount_at(seen: Seen, path: str) -> Any:
    """Return the mount of a container at a path."""
    (found,) = (mount for mount in seen["Mounts"] if mount["Destination"] == path)
    return found


def _fields(seen: Seen) -> dict[str, Any]:
    found = {key: seen.get(key) for key in _OUTSIDE}
    found |= {f"Config.{key}": value for key, value in seen["Config"].items()}
    found |= {f"HostConfig.{key}": value for key, value in seen["HostConfig"].items()}
    found["Config.Labels"] = {
        key: value for key, value in (seen["Config"]["Labels"] or {}).items() if key not in _MARKS
    }
    # The container's own name is part of it: /db:/web/database.
    # The engine tells them in any order.
    found["HostConfig.Links"] = sorted(
        link.replace(f":{seen['Name']}/", ":/own/") for link in seen["HostConfig"]["Links"] or ()
    )
    for field in ("Config.Volumes", "HostConfig.Binds", "HostConfig.Mounts"):
        found.pop(field, None)  # told mount by mount
    return found | dict(_mounts(seen)) | dict(_networks(seen))


def _mounts(seen: Seen) -> Iterator[tuple[str, Any]]:
    for mount in seen["Mounts"]:
        for key, value in mount.items():
            yield f"Mounts.{mount['Destination']}.{key}", value
    for path in seen["Config"]["Volumes"] or ():
        yield f"Mounts.{path}.(asked for)", "volume"
    for bind in seen["HostConfig"]["Binds"] or ():
        yield f"Mounts.{bind.split(':')[1]}.(asked for)", bind
    for mount in seen["HostConfig"].get("Mounts") or ():
        yield f"Mounts.{mount['Target']}.(asked for)", mount


def _networks(seen: Seen) -> Iterator[tuple[str, Any]]:
    for name, endpoint in seen["NetworkSettings"]["Networks"].items():
        field = f"NetworkSettings.Networks.{name}"
        for key, value in endpoint.items():
            if key not in _ASSIGNED:
                yield f"{field}.{key}", value
        yield f"{field}.Aliases", sorted({*(endpoint["Aliases"] or ())} - {seen["Id"][:12]})
