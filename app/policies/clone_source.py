"""What a clone is made from: the engine's own words about the source, and how to read them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from app.domain.fidelity import Fate, FidelityItem, RefusalReason

#: What the engine answers: JSON, whose shape only its documentation promises.
Json = Mapping[str, Any]

COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
COMPOSE_NUMBER = "com.docker.compose.container-number"


def compose_number(label: str | None) -> int | None:
    """Read a container's number; None for what Compose never wrote (a label may hold anything)."""
    text = label or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else None


_COMPOSE_ONE_OFF = "com.docker.compose.oneoff"
_COMPOSE_VERSION = "com.docker.compose.version"

#: The engine names an anonymous volume, like a container, by 64 hexadecimal digits.
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")


class ChangeKind(IntEnum):
    """Docker's own numbers in ``GET /containers/{id}/changes``."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerChange:
    """A path of the writable layer that differs from the image."""

    path: str
    kind: ChangeKind
    #: Go's ``os.FileMode`` as the engine tells it, where somebody looked.
    mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneSource:
    """All facts that the plan of a clone is made from."""

    #: ``GET /containers/{id}/json``.
    container: Json
    #: ``GET /images/{id}/json`` of the image that it runs.
    image: Json
    changes: tuple[LayerChange, ...]
    #: Of the API that both came from and the clone will be made with.
    api_version: tuple[int, int]

    @property
    def name(self) -> str:
        """The container's name, without the slash."""
        return str(self.container["Name"]).removeprefix("/")

    @property
    def short_id(self) -> str:
        """The 12 digits that the engine uses as host name and alias."""
        return str(self.container["Id"])[:12]

    @property
    def config(self) -> Json:
        """``Config`` of the container, with what the image gives merged in."""
        return self.container["Config"] or {}

    @property
    def image_config(self) -> Json:
        """``Config`` of the image; images made by import may have none."""
        return self.image.get("Config") or {}

    @property
    def host_config(self) -> Json:
        """``HostConfig`` of the container."""
        return self.container["HostConfig"] or {}

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the container, the image's included."""
        return self.config.get("Labels") or {}

    @property
    def network_mode(self) -> str:
        """``HostConfig.NetworkMode``."""
        return str(self.host_config.get("NetworkMode") or "default")

    @property
    def compose_service(self) -> tuple[str, str] | None:
        """Project and service, for a lasting container of Compose; None for one-off runs."""
        project, service = self.labels.get(COMPOSE_PROJECT), self.labels.get(COMPOSE_SERVICE)
        if not project or not service or self.labels.get(_COMPOSE_ONE_OFF) == "True":
            return None
        return project, service

    @property
    def may_hold_compose_files(self) -> bool:
        """Made by a Compose that copies configs into the container (from version 2 on)."""
        version = self.labels.get(_COMPOSE_VERSION, "")
        return COMPOSE_PROJECT in self.labels and not version.startswith("1.")


def is_anonymous(volume: object) -> bool:
    """Whether a volume's name is one that the engine made up."""
    return isinstance(volume, str) and _ANONYMOUS.fullmatch(volume) is not None


def same(field: str, detail: str = "unchanged") -> FidelityItem:
    """The clone has it as the source has it."""
    return FidelityItem(field=field, fate=Fate.SAME, detail=detail)


def changed(field: str, detail: str) -> FidelityItem:
    """The clone has it otherwise."""
    return FidelityItem(field=field, fate=Fate.CHANGED, detail=detail)


def dropped(field: str, detail: str) -> FidelityItem:
    """The clone does not have it."""
    return FidelityItem(field=field, fate=Fate.DROPPED, detail=detail)


def refused(field: str, reason: RefusalReason, detail: str) -> FidelityItem:
    """It forbids a clone; the detail says what would change that."""
    return FidelityItem(field=field, fate=Fate.REFUSED, detail=detail, reason=reason)
