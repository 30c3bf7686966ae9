"""Whether a clone takes its source's place, and what is kept of the source to have it back."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from app.domain.fidelity import FidelityItem
from app.policies.clone_config import label_of_networks, label_of_source
from app.policies.clone_source import CloneSource, Json, same
from app.policies.spec import SourceAfterwards

#: What ``scale_out.source`` does is told as a line of its own.
_FIELD: Final = "scale_out.source"
#: Of an endpoint: what its owner chose, and needs again.
_CHOSEN: Final = ("Aliases", "IPAMConfig", "Links", "DriverOpts", "GwPriority")
_MAC: Final = "MacAddress"
#: Networks that every engine has; they know no aliases.
_BUILT_IN: Final = frozenset({"bridge", "nat"})
#: Of these there is no connection that could be cut.
_NOT_ITS_OWN: Final = frozenset({"host", "none"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """What becomes of the source once its clone serves."""

    #: Of the clone: all that is known of it where the store has lost its memory.
    labels: Mapping[str, str]
    items: tuple[FidelityItem, ...]


def plan_source(source: CloneSource, wish: SourceAfterwards, prefix: str) -> SourcePlan:
    """Say what becomes of the source, and note it on the clone; it stays where it must."""
    if wish is SourceAfterwards.KEEP:
        return SourcePlan(labels={}, items=())
    stays = _why_it_stays(source, wish)
    if stays is not None:
        return SourcePlan(labels={}, items=(same(_FIELD, f"the source is kept: {stays}"),))
    labels = {label_of_source(prefix): wish.value}
    if wish is SourceAfterwards.ISOLATE:
        labels[label_of_networks(prefix)] = written(endpoints(source.container))
    how = "isolated" if wish is SourceAfterwards.ISOLATE else "stopped"
    said = same(_FIELD, f"the source is {how} once the clone has proved itself")
    return SourcePlan(labels=labels, items=(said,))


def endpoints(inspected: Json) -> dict[str, dict[str, Any]]:
    """Read the networks that a container is on: by name, what has to be said to have it again."""
    networks: Json = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    short_id = str(inspected.get("Id") or "")[:12]
    return {
        name: _chosen(name, endpoint or {}, short_id)
        for name, endpoint in sorted(networks.items())
        if name not in _NOT_ITS_OWN
    }


def written(networks: Mapping[str, Mapping[str, Any]]) -> str:
    """Write networks as the label has them."""
    return json.dumps(networks, sort_keys=True, separators=(",", ":"))


def read(label: str) -> dict[str, dict[str, Any]]:
    """
    Read networks as the label has them.

    :raises ValueError: it is no such label
    """
    found = json.loads(label or "{}")
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise ValueError("not the networks of a container")
    return found


def is_same(one: Mapping[str, Any] | None, other: Mapping[str, Any]) -> bool:
    """Compare two endpoints; that of a container that does not run has no MAC address."""
    if one is None:
        return False
    return {**one, _MAC: ""} == {**other, _MAC: ""}


def with_networks(source: CloneSource, label: str) -> CloneSource:
    """Put a source that is isolated back on its networks, for the plan of another clone of it."""
    try:
        networks = read(label)
    except ValueError:
        return source
    settings = {**(source.container.get("NetworkSettings") or {}), "Networks": networks}
    return replace(source, container={**source.container, "NetworkSettings": settings})


def _chosen(name: str, endpoint: Json, short_id: str) -> dict[str, Any]:
    chosen = {key: endpoint[key] for key in _CHOSEN if endpoint.get(key)}
    # The engine adds the short id by itself, again with every connection.
    aliases = sorted({alias for alias in chosen.pop("Aliases", ()) if alias != short_id})
    if aliases and name not in _BUILT_IN:
        chosen["Aliases"] = aliases
    mac = str(endpoint.get("MacAddress") or "")
    if mac and mac != _made_of_address(str(endpoint.get("IPAddress") or "")):
        chosen[_MAC] = mac
    return chosen


def _made_of_address(address: str) -> str:
    """Say which MAC address older engines make of an address: it is right for that one only."""
    try:
        return "02:42:" + ":".join(f"{int(part):02x}" for part in address.split("."))
    except ValueError:
        return ""


def _why_it_stays(source: CloneSource, wish: SourceAfterwards) -> str | None:
    """Tell why the clone cannot take its place: somebody would find nobody there."""
    ports = sorted(_fixed_ports(source))
    if ports:
        return f"only it can have port {', '.join(ports)} of the host"
    if wish is SourceAfterwards.ISOLATE and not endpoints(source.container):
        return f"it has no network of its own (network mode {source.network_mode})"
    return None


def _fixed_ports(source: CloneSource) -> Iterator[str]:
    for bindings in (source.host_config.get("PortBindings") or {}).values():
        for one in bindings or ():
            number = str(one.get("HostPort") or "0")
            if number != "0" and "-" not in number:
                yield number
