"""What a clone will share with its source, field by field."""

from dataclasses import dataclass
from enum import StrEnum


class Fate(StrEnum):
    """What becomes of one field of the source in the clone."""

    SAME = "same"
    CHANGED = "changed"
    DROPPED = "dropped"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class FidelityItem:
    """One line of the report."""

    #: The field, in Docker's words, such as ``HostConfig.PortBindings``.
    field: str
    fate: Fate
    #: For people: what is different, and for a refusal what would change it.
    detail: str
    #: For a refusal, its word: one of `RefusalReason`.
    reason: str | None = None


class RefusalReason(StrEnum):
    """Why no faithful clone can be made."""

    FIXED_HOST_PORT = "fixed_host_port"
    NETWORK_MODE = "network_mode"
    HOST_NETWORK = "host_network"
    SHARED_VOLUME = "shared_volume"
    DATA_IN_ANONYMOUS_VOLUME = "data_in_anonymous_volume"
    DATA_IN_LAYER = "data_in_layer"
    COMPOSE_CONFIGS = "compose_configs"
    SHARED_DEVICE = "shared_device"
    SWARM_TASK = "swarm_task"
    IMPLICIT_ROUTER = "implicit_router"
    AUTO_REMOVE = "auto_remove"
    IS_CLONE = "is_clone"


@dataclass(frozen=True, slots=True, kw_only=True)
class FidelityReport:
    """Field by field; refused as a whole as soon as one field is."""

    items: tuple[FidelityItem, ...]
    #: How traffic reaches the clone: ``alias``, ``labels``, ``host_port`` or ``none``.
    traffic: str

    @property
    def refusals(self) -> tuple[FidelityItem, ...]:
        """The lines that make a clone impossible."""
        return tuple(item for item in self.items if item.fate is Fate.REFUSED)

    @property
    def is_refused(self) -> bool:
        """Whether no faithful clone can be made."""
        return bool(self.refusals)
