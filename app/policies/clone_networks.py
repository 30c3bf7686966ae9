"""On which networks a clone is, and under which names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.fidelity import FidelityItem, RefusalReason
from app.policies.clone_source import (
    CloneSource,
    Json,
    changed,
    dropped,
    refused,
    same,
)
from app.policies.spec import Sharing

#: From this version of the API on a container can be created on several networks.
SEVERAL_AT_CREATE = (1, 44)

#: Networks that every engine has; they know no aliases.
_BUILT_IN = frozenset({"bridge", "nat", "host", "none"})
#: Of an endpoint: what its owner chose. All else (ids, addresses, gateway, MAC, DNS names)
#: was assigned to the source. GwPriority is new in API 1.48.
_CHOSEN = ("Links", "DriverOpts", "GwPriority")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLink:
    """A network to be on."""

    name: str
    id: str
    #: ``EndpointConfig``: aliases, links, driver options.
    endpoint: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """The networks of the clone."""

    #: ``HostConfig.NetworkMode``.
    mode: str
    at_create: tuple[NetworkLink, ...]
    #: To be connected before the start: the API takes only one network at creation.
    connect: tuple[NetworkLink, ...]
    #: Whether it shares an alias with the source on a network of the user's.
    shares_alias: bool
    items: tuple[FidelityItem, ...]


def plan_networks(source: CloneSource, host_network: Sharing) -> NetworkPlan:
    """Put the clone on every network of the source, with its aliases, at addresses of its own."""
    mode = source.network_mode
    field = "HostConfig.NetworkMode"
    if mode.startswith("container:"):
        why = "it lives in the network of another container: clone that one"
        return _without(mode, refused(field, RefusalReason.NETWORK_MODE, why))
    if mode == "host":
        if host_network is Sharing.ALLOW:
            return _without(mode, same(field, "the host's network, shared as the policy allows"))
        why = (
            "both would listen on the same ports of the host: use a network, or set "
            "scale_out.host_network to allow where they can"
        )
        return _without(mode, refused(field, RefusalReason.HOST_NETWORK, why))

    found = _links(source)
    if mode == "none" or not found:
        if mode == "none":
            return _without("none", same(field))
        return _without(
            "none",
            changed(field, "the source is on no network"),
            changed("NetworkSettings.Networks.none", "the engine's word for no network"),
        )

    links = _main_first(found, mode)
    split = len(links) if source.api_version >= SEVERAL_AT_CREATE else 1
    # The default network keeps its own word; a network of the user's goes by its name.
    main = mode if mode == "default" and links[0].name in _BUILT_IN else links[0].name
    return NetworkPlan(
        mode=main,
        at_create=links[:split],
        connect=links[split:],
        shares_alias=any(link.endpoint.get("Aliases") for link in links),
        items=(
            *_mode(mode, main, links[0]),
            *_described(links),
            *_own_names(source),
            *_addresses(source),
        ),
    )


def _without(mode: str, *items: FidelityItem) -> NetworkPlan:
    return NetworkPlan(mode=mode, at_create=(), connect=(), shares_alias=False, items=items)


def _mode(mode: str, main: str, link: NetworkLink) -> Iterator[FidelityItem]:
    if main == mode:
        return
    why = "the same one, by its name" if link.id == mode else f"the source has left {mode}"
    yield changed("HostConfig.NetworkMode", f"{main}: {why}")


def _networks(source: CloneSource) -> Json:
    return (source.container.get("NetworkSettings") or {}).get("Networks") or {}


def _links(source: CloneSource) -> tuple[NetworkLink, ...]:
    return tuple(
        NetworkLink(
            name=name,
            id=str((endpoint or {}).get("NetworkID") or name),
            endpoint=_chosen(source, name, endpoint or {}),
        )
        for name, endpoint in sorted(_networks(source).items())
    )


def _chosen(source: CloneSource, name: str, endpoint: Json) -> dict[str, Any]:
    chosen = {key: endpoint[key] for key in _CHOSEN if endpoint.get(key)}
    aliases = [alias for alias in endpoint.get("Aliases") or () if _is_shared(source, alias)]
    if aliases and name not in _BUILT_IN:
        chosen["Aliases"] = aliases
    return chosen


def _is_shared(source: CloneSource, alias: str) -> bool:
    if alias == source.short_id:
        return False
    # Compose 2 makes each container's own name an alias of it: two instances made by Compose
    # itself would not share that one. Outside Compose somebody chose it.
    return source.compose_service is None or alias != source.name


def _main_first(links: tuple[NetworkLink, ...], mode: str) -> tuple[NetworkLink, ...]:
    wanted = "bridge" if mode == "default" else mode
    main = next((link for link in links if wanted in (link.name, link.id)), links[0])
    return (main, *(link for link in links if link is not main))


def _described(links: tuple[NetworkLink, ...]) -> Iterator[FidelityItem]:
    for link in links:
        aliases = ", ".join(link.endpoint.get("Aliases", ()))
        detail = f"with the aliases {aliases}" if aliases else "without an alias"
        yield same(f"NetworkSettings.Networks.{link.name}", detail)


def _own_names(source: CloneSource) -> Iterator[FidelityItem]:
    for name, endpoint in sorted(_networks(source).items()):
        aliases = (endpoint or {}).get("Aliases") or ()
        if source.name in aliases and not _is_shared(source, source.name):
            field = f"NetworkSettings.Networks.{name}.Aliases"
            yield dropped(field, f"{source.name} stays with the source: its name, from Compose")


def _addresses(source: CloneSource) -> Iterator[FidelityItem]:
    for name, endpoint in sorted(_networks(source).items()):
        static = [value for value in ((endpoint or {}).get("IPAMConfig") or {}).values() if value]
        if static:
            field = f"NetworkSettings.Networks.{name}.IPAMConfig"
            yield dropped(field, "a static address can be had once; the engine assigns one")
    once = "a MAC address can be had once; the engine assigns one"
    if source.config.get("MacAddress"):
        yield dropped("Config.MacAddress", once)
    elif source.api_version >= SEVERAL_AT_CREATE:
        # There it is chosen for each network, and told as if it were assigned. The engine makes up
        # none but locally administered ones (a bit of the first byte): any other was chosen.
        for name, endpoint in sorted(_networks(source).items()):
            mac = str((endpoint or {}).get("MacAddress") or "")
            if mac and not int(mac[:2], 16) & 0b10:
                yield dropped(f"NetworkSettings.Networks.{name}.MacAddress", once)
