"""The clone's name, labels and process: what of ``Config`` it has of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.domain.fidelity import FidelityItem
from app.policies.clone_source import (
    COMPOSE_NUMBER,
    CloneSource,
    Json,
    changed,
    compose_number,
    dropped,
    same,
)

# On a container that Compose is about to replace: the id of its predecessor.
_COMPOSE_REPLACE = "com.docker.compose.replace"

#: Told in the plan's own way, or not part of a request to create.
_NOT_COPIED = frozenset(
    {"Hostname", "Domainname", "MacAddress", "OnBuild", "Image", "Cmd", "Entrypoint", "Labels"}
)
#: Single values that the engine takes from the image where the request leaves them out.
_SINGLE = frozenset({"User", "WorkingDir", "StopSignal", "Healthcheck", "Shell", "ArgsEscaped"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What is in use on the engine already."""

    #: Names of all containers.
    names: frozenset[str] = frozenset()
    #: Container numbers of the source's Compose service.
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneName:
    """What the clone is called."""

    name: str
    #: Its number in the Compose service; None outside Compose.
    number: int | None


def clone_name(source: CloneSource, taken: Taken) -> CloneName:
    """
    Choose the next free name.

    ``web`` is followed by ``web_new``, ``web_new2``, …; in Compose ``shop-web-1`` by
    ``shop-web-{highest number + 1}``, with the separator of the Compose that made the source.
    """
    compose = source.compose_service
    if compose is None:
        n = 1
        while (name := f"{source.name}_new{n if n > 1 else ''}") in taken.names:
            n += 1
        return CloneName(name=name, number=None)

    # Compose 1 wrote shop_web_1, Compose 2 writes shop-web-1.
    sign = "_" if source.name.startswith("_".join(compose) + "_") else "-"
    own = compose_number(source.labels.get(COMPOSE_NUMBER)) or 1
    number = max({own, *taken.numbers}) + 1
    while (name := sign.join((*compose, str(number)))) in taken.names:
        number += 1
    return CloneName(name=name, number=number)


def clone_labels(
    source: CloneSource, *, number: int | None, prefix: str, attempt_id: str, at: datetime
) -> dict[str, str]:
    """
    Return the labels that the request must give: the source's own, and ours.

    ``{prefix}.clone-of`` is the source's container name.
    """
    labels = dict(_minus(source.labels, source.image_config.get("Labels")))
    labels.pop(_COMPOSE_REPLACE, None)
    if number is not None:
        labels[COMPOSE_NUMBER] = str(number)
    labels[f"{prefix}.clone-of"] = source.name
    labels[f"{prefix}.attempt"] = attempt_id
    labels[f"{prefix}.created-at"] = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    # Those of the source's own, where it is somebody's copy of a clone, are not its networks.
    for ours in (label_of_source(prefix), label_of_networks(prefix)):
        labels.pop(ours, None)
    return labels


def label_of_source(prefix: str) -> str:
    """Name the label that says what becomes of the source once this clone serves."""
    return f"{prefix}.source"


def label_of_networks(prefix: str) -> str:
    """Name the label that holds the networks which the source of this clone is to be on."""
    return f"{prefix}.source-networks"


def clone_config(source: CloneSource) -> tuple[dict[str, Any], list[FidelityItem]]:
    """Return the top level of the request, labels and volumes of its own aside."""
    config, image = source.config, source.image_config
    body = {
        key: left
        for key, value in config.items()
        if key not in _NOT_COPIED and (left := _left_to_say(key, value, image.get(key))) is not None
    }
    body |= _command(config, image)
    body["Image"] = source.container["Image"]

    items = [
        same(f"Config.{key}") for key, value in config.items() if value and key not in _NOT_COPIED
    ]
    items += [same(f"Config.{key}") for key in ("Entrypoint", "Cmd") if config.get(key)]
    items.append(_image_item(source))
    items.append(changed("Config.Labels", "the source's, and what marks it as a clone"))
    body |= _names(source, items)
    return body, items


def _left_to_say(key: str, value: Any, given: Any) -> Any:
    """Return what the request must say of a field beyond the image; None for nothing."""
    if key in _SINGLE:
        return None if value == given else value
    if isinstance(value, Mapping):
        return _minus(value, given)
    if isinstance(value, list):
        return [entry for entry in value if entry not in (given or ())]
    return value


def _minus(mine: Json, given: Json | None) -> dict[str, Any]:
    image = given or {}
    return {key: value for key, value in mine.items() if key not in image or image[key] != value}


def _command(config: Json, image: Json) -> dict[str, Any]:
    entrypoint, cmd = config.get("Entrypoint") or None, config.get("Cmd") or None
    given = image.get("Entrypoint") or None
    if (entrypoint, cmd) == (given, image.get("Cmd") or None):
        return {}
    if entrypoint is None and given is not None:
        # The engine reads [""] as "none, not even the image's", and null as "the image's".
        return {"Entrypoint": [""], "Cmd": cmd}
    # Both, always: a missing Cmd would be the image's.
    return {"Entrypoint": entrypoint, "Cmd": cmd}


def _names(source: CloneSource, items: list[FidelityItem]) -> dict[str, Any]:
    """Return host and domain name where they are the source's own choice."""
    config = source.config
    hostname, domain = config.get("Hostname"), config.get("Domainname")
    mode = source.network_mode
    if mode == "host" or mode.startswith("container:") or source.host_config.get("UTSMode"):
        # What inspect shows there belongs to somebody else, and the engine refuses to be told.
        whose = "it is the host's, or another container's"
        if hostname:
            items.append(dropped("Config.Hostname", whose))
        if domain:
            items.append(dropped("Config.Domainname", whose))
        return {}
    own: dict[str, Any] = {}
    if hostname == source.short_id:
        items.append(changed("Config.Hostname", "it was the source's short id"))
    elif hostname:
        own["Hostname"] = hostname
        items.append(same("Config.Hostname"))
    if domain:
        own["Domainname"] = domain
        items.append(same("Config.Domainname"))
    return own


def _image_item(source: CloneSource) -> FidelityItem:
    name = source.config.get("Image")
    if name == source.container["Image"]:
        return same("Config.Image")
    return changed("Config.Image", f"the image that runs now, by its id and not as {name}")
