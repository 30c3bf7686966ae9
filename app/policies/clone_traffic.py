"""How traffic reaches a clone: aliases, balancers' labels, host ports."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.fidelity import FidelityItem, RefusalReason
from app.policies.clone_source import (
    COMPOSE_PROJECT,
    CloneSource,
    Json,
    changed,
    dropped,
    refused,
    same,
)
from app.policies.spec import HostPorts

#: ``traefik.http.routers.shop.rule``; Traefik does not mind upper case.
_TRAEFIK = re.compile(r"traefik\.(http|tcp|udp)\.(routers|services)\.([^.]+)\.(.+)")
#: caddy-docker-proxy: ``caddy``, ``caddy.reverse_proxy``, ``caddy_1.…``.
_CADDY = re.compile(r"caddy(_\d+)?(\..*)?")
#: nginx-proxy finds by one of these alone; its labels only say how it is to treat what it found.
_NGINX_PROXY = re.compile(r"(VIRTUAL_HOST|VIRTUAL_HOST_MULTIPORTS)=\s*\S.*", re.DOTALL)

_PORT_FIX = (
    "give the service an alias on a user network or balancer labels and the clone does without "
    "the port, or set scale_out.host_ports to ephemeral or drop"
)


def traffic_path(*, shares_alias: bool, is_balanced: bool, has_host_port: bool) -> str:
    """Return the report's word for how traffic reaches the clone, the widest path first."""
    if shares_alias:
        return "alias"
    if is_balanced:
        return "labels"
    return "host_port" if has_host_port else "none"


def has_balancer(source: CloneSource) -> bool:
    """Whether a balancer that finds containers by itself would find the clone as well."""
    labels = {key.lower(): value for key, value in source.labels.items()}
    if labels.get("traefik.enable", "").lower() != "false" and any(
        _shared_by_traefik(labels, in_compose=COMPOSE_PROJECT in labels)
    ):
        return True
    env = source.config.get("Env") or ()
    return any(_CADDY.fullmatch(key) for key in labels) or any(
        _NGINX_PROXY.fullmatch(entry) for entry in env
    )


def refuse_implicit_routers(source: CloneSource) -> Iterator[FidelityItem]:
    """
    Refuse Traefik routers whose service is named after the container.

    Clone and source would define one router with two services, and Traefik drops both. It
    does so where a router names no service and the container defines none either; in Compose
    the name is made of project and service, so that both agree.
    """
    labels = {key.lower(): value for key, value in source.labels.items()}
    if COMPOSE_PROJECT in labels or labels.get("traefik.enable", "").lower() == "false":
        return
    for protocol, router in sorted(_implicit_routers(labels)):
        field = f"traefik.{protocol}.routers.{router}"
        yield refused(
            f"Config.Labels.{field}",
            RefusalReason.IMPLICIT_ROUTER,
            f"name its service: {field}.service=NAME and "
            f"traefik.{protocol}.services.NAME.loadbalancer.server.port=PORT",
        )


def _shared_by_traefik(labels: Mapping[str, str], *, in_compose: bool) -> Iterator[bool]:
    if in_compose and labels.get("traefik.enable", "").lower() == "true":
        yield True
    implicit = _implicit_routers(labels)
    for key in labels:
        found = _TRAEFIK.fullmatch(key)
        if found is not None and found[2] == "routers":
            yield in_compose or (found[1], found[3]) not in implicit


def _implicit_routers(labels: Mapping[str, str]) -> set[tuple[str, str]]:
    found = [match for key in labels if (match := _TRAEFIK.fullmatch(key))]
    with_service = {
        (one[1], one[3]) for one in found if one[2] == "routers" and one[4] == "service"
    }
    # A single service of the container's own is taken by every router that names none.
    protocols = {one[1] for one in found if one[2] == "services"}
    routers = {(one[1], one[3]) for one in found if one[2] == "routers"}
    return {router for router in routers - with_service if router[0] not in protocols}


@dataclass(frozen=True, slots=True, kw_only=True)
class PortPlan:
    """What becomes of the published ports."""

    #: ``HostConfig.PortBindings`` of the clone.
    bindings: Mapping[str, Any]
    #: Whether the clone has a port on the host.
    has_host_port: bool
    items: tuple[FidelityItem, ...]


def plan_ports(source: CloneSource, rule: HostPorts, *, other_path: bool) -> PortPlan:
    """
    Decide on published ports; a fixed one can be bound only once.

    A binding without a number, with 0 or with a range is the engine's choice, and stays.

    :param other_path: traffic reaches the clone without a port of the host
    """
    bindings: Json = source.host_config.get("PortBindings") or {}
    publishes_all = bool(source.host_config.get("PublishAllPorts"))
    free, fixed = _sorted_out(bindings)
    if source.network_mode == "host" or not fixed:
        items = (same("HostConfig.PortBindings"),) if bindings else ()
        has_port = publishes_all or any(free.values())
        return PortPlan(bindings=bindings, has_host_port=has_port, items=items)

    field, ports = "HostConfig.PortBindings", ", ".join(_described(fixed))
    if rule is HostPorts.EPHEMERAL:
        loosened = {
            port: [*free.get(port, ()), *({**one, "HostPort": ""} for one in fixed.get(port, ()))]
            for port in bindings
        }
        item = changed(field, f"{ports}: on a free port of the host instead")
        return PortPlan(bindings=loosened, has_host_port=True, items=(item,))
    if rule is HostPorts.DROP or (rule is HostPorts.AUTO and other_path):
        kept = {port: entries for port, entries in free.items() if entries}
        item = dropped(field, f"{ports}: stays with the source")
        return PortPlan(bindings=kept, has_host_port=publishes_all or bool(kept), items=(item,))
    item = refused(field, RefusalReason.FIXED_HOST_PORT, f"{ports} can be bound once: {_PORT_FIX}")
    return PortPlan(bindings=bindings, has_host_port=False, items=(item,))


def _sorted_out(bindings: Json) -> tuple[dict[str, list[Json]], dict[str, list[Json]]]:
    free: dict[str, list[Json]] = {}
    fixed: dict[str, list[Json]] = {}
    for port, entries in bindings.items():
        for entry in entries or ():
            number = str(entry.get("HostPort") or "0")
            first, _, last = number.partition("-")
            is_free = number == "0" or last not in ("", first)
            (free if is_free else fixed).setdefault(port, []).append(entry)
    return free, fixed


def _described(fixed: Mapping[str, list[Json]]) -> Iterator[str]:
    for port, entries in fixed.items():
        for entry in entries:
            where = ":".join(filter(None, (entry.get("HostIp"), str(entry["HostPort"]))))
            yield f"host port {where} (for {port})"
