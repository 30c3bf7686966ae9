"""
The plan of a clone: another instance of a container, faithful or not at all.

`semantics.md` 7 is the table that is implemented here. ``HostConfig`` is passed through raw,
so that limits, capabilities, security options, log driver, runtime and restart policy arrive
unchanged, the ones that a newer engine invents included; what must differ differs by name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.fidelity import FidelityItem, FidelityReport, RefusalReason
from app.policies.clone_config import Taken, clone_config, clone_labels, clone_name
from app.policies.clone_layer import refuse_layer
from app.policies.clone_networks import NetworkLink, plan_networks
from app.policies.clone_replaces import plan_source
from app.policies.clone_source import CloneSource, changed, dropped, refused, same
from app.policies.clone_storage import plan_devices, plan_storage
from app.policies.clone_traffic import (
    has_balancer,
    plan_ports,
    refuse_implicit_routers,
    traffic_path,
)
from app.policies.spec import ScaleOutRules

#: ``HostConfig`` of the running source, not a wish: the file its id was written to.
_NOT_COPIED = "ContainerIDFile"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClonePlan:
    """How the clone is made, or why it is not."""

    name: str
    #: The request to create it.
    body: Mapping[str, Any]
    #: Networks to connect it to before it starts.
    connect: tuple[NetworkLink, ...]
    report: FidelityReport


def plan_clone(
    source: CloneSource,
    *,
    taken: Taken,
    rules: ScaleOutRules,
    label_prefix: str,
    attempt_id: str,
    at: datetime,
) -> ClonePlan:
    """
    Plan another instance of a container.

    Reads nothing but its arguments. A refused plan is complete all the same, so that the
    report shows every reason at once.

    :param taken: what the engine has already, for the name and number
    :param label_prefix: of our labels: ``{prefix}.clone-of`` and ``{prefix}.stateless``
    :param at: goes into the label ``{prefix}.created-at``
    """
    stateless_label = f"{label_prefix}.stateless"
    is_stateless = source.labels.get(stateless_label) == "true"
    called = clone_name(source, taken)
    config, items = clone_config(source)
    networks = plan_networks(source, rules.host_network)
    storage = plan_storage(
        source, rules.shared_volumes, stateless_label=stateless_label, is_stateless=is_stateless
    )
    balanced = has_balancer(source)
    ports = plan_ports(source, rules.host_ports, other_path=networks.shares_alias or balanced)

    replaces = plan_source(source, rules.source, label_prefix)
    config["Labels"] = {
        **clone_labels(
            source, number=called.number, prefix=label_prefix, attempt_id=attempt_id, at=at
        ),
        **replaces.labels,
    }
    if storage.volumes:
        config["Volumes"] = {**config.get("Volumes", {}), **{path: {} for path in storage.volumes}}
    config["HostConfig"] = {
        **{key: value for key, value in source.host_config.items() if key != _NOT_COPIED},
        **storage.host_config,
        "NetworkMode": networks.mode,
        "PortBindings": dict(ports.bindings),
        "Links": _links(source),
    }
    endpoints = {link.name: dict(link.endpoint) for link in networks.at_create}
    if len(endpoints) > 1 or any(endpoints.values()):
        config["NetworkingConfig"] = {"EndpointsConfig": endpoints}

    items += [
        changed("Name", called.name),
        *_refusals_of_kind(source, label_prefix),
        *networks.items,
        *ports.items,
        *storage.items,
        *plan_devices(source, rules.shared_devices),
        *refuse_layer(source, stateless_label=stateless_label, is_stateless=is_stateless),
        *refuse_implicit_routers(source),
        *replaces.items,
    ]
    items += _passed_through(source, items)
    return ClonePlan(
        name=called.name,
        body=config,
        connect=networks.connect,
        report=FidelityReport(
            items=tuple(items),
            traffic=traffic_path(
                shares_alias=networks.shares_alias,
                is_balanced=balanced,
                has_host_port=ports.has_host_port,
            ),
        ),
    )


def _refusals_of_kind(source: CloneSource, prefix: str) -> Iterator[FidelityItem]:
    """Refuse what is no container of its own."""
    labels = source.labels
    if f"{prefix}.clone-of" in labels:
        why = f"it is itself a clone, of {labels[f'{prefix}.clone-of']}: clone that one"
        yield refused(f"Config.Labels.{prefix}.clone-of", RefusalReason.IS_CLONE, why)
    if "com.docker.swarm.task.id" in labels or "com.docker.swarm.service.id" in labels:
        why = "a task of a Swarm service: scale the service"
        yield refused("Config.Labels.com.docker.swarm", RefusalReason.SWARM_TASK, why)
    if source.host_config.get("AutoRemove"):
        why = "it vanishes as soon as it stops (--rm), and its clone would: run it without"
        yield refused("HostConfig.AutoRemove", RefusalReason.AUTO_REMOVE, why)


def _links(source: CloneSource) -> list[str]:
    # Told as /db:/web/database, wanted as db:database.
    told = (link.split(":", 1) for link in source.host_config.get("Links") or ())
    return [f"{target.removeprefix('/')}:{alias.rpartition('/')[2]}" for target, alias in told]


def _passed_through(source: CloneSource, items: list[FidelityItem]) -> Iterator[FidelityItem]:
    spoken_of = {item.field for item in items}
    # Volumes are told mount by mount, the mode of the network by the networks.
    spoken_of |= {f"HostConfig.{key}" for key in ("Binds", "Mounts", "VolumesFrom", "NetworkMode")}
    for key, value in source.host_config.items():
        field = f"HostConfig.{key}"
        if not value or field in spoken_of:
            continue
        if key == _NOT_COPIED:
            yield dropped(field, "it holds the source's id")
        else:
            yield same(field)
