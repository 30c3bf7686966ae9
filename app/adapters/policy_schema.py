"""What may be written in a policy file: only known keys, every one of them optional."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from app.adapters.policy_faults import shown
from app.domain.duration import parse_duration
from app.policies import spec


def _duration(value: object) -> object:
    # A bare 0 means the same everywhere; any other bare number hides its unit.
    if value == 0 and not isinstance(value, bool):
        return timedelta(0)
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"{shown(value)} is not a duration: write it like 90s, 5m or 1h30m")


def _share(value: object) -> object:
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip()[:-1]) / 100
        except ValueError:
            pass
    raise ValueError(f"{shown(value)} is not a share: write it like 25%")


def _stop_grace(value: object) -> object:
    if value == "container":
        return None
    try:
        return _duration(value)
    except ValueError as exc:
        raise ValueError(f"{exc}; or write container, for the container's own") from exc


def _version(value: object) -> object:
    # true and 1.0 equal 1; who writes them means something else.
    if type(value) is not int:
        raise ValueError(f"{shown(value)} is not a version: write 1")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Some = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
Share = Annotated[float, BeforeValidator(_share), Field(ge=0, le=1)]
Jitter = Annotated[float, BeforeValidator(_share), Field(ge=0, le=0.25)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Section(BaseModel):
    """A part of the file: only known keys, every one of them optional."""

    # Only the whole file is ever read: its sections are built within it, and not one by one before.
    model_config = ConfigDict(extra="forbid", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _silent(cls, written: object) -> object:
        """A known key without a value says nothing, as when its list is commented out."""
        if not isinstance(written, dict):
            return written
        return {
            name: value
            for name, value in written.items()
            if value is not None or name not in cls.model_fields
        }

    def values(self) -> dict[str, Any]:
        """The keys that were written."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class RestartIn(Section):
    delays: Annotated[list[Duration], Field(min_length=1, max_length=20)] | None = None
    max_failed: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None
    window: Some | None = None
    jitter: Jitter | None = None
    stop_grace: Annotated[timedelta | None, BeforeValidator(_stop_grace)] = None
    start_grace: Duration | None = None


class VerifyIn(Section):
    deadline: Some | None = None
    settle: Some | None = None
    poll: Some | None = None
    relapse_window: Duration | None = None


class ChronicIn(Section):
    restarts: Annotated[int, Field(strict=True, ge=1)] | None = None
    window: Some | None = None


class ScaleOutIn(Section):
    enabled: bool | None = None
    max_instances: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    cooldown: Duration | None = None
    warm_up: Duration | None = None
    host_ports: spec.HostPorts | None = None
    shared_volumes: spec.Sharing | None = None
    shared_devices: spec.Sharing | None = None
    host_network: spec.Sharing | None = None
    source: spec.SourceAfterwards | None = None
    isolate_for: Duration | None = None
    traffic_proof: Duration | None = None


class ScaleInIn(Section):
    after: Duration | None = None
    every: Duration | None = None
    drain: Duration | None = None


class RulesIn(Section):
    mode: spec.Mode | None = None
    strategy: spec.Strategy | None = None
    restart: RestartIn | None = None
    verify: VerifyIn | None = None
    chronic: ChronicIn | None = None
    scale_out: ScaleOutIn | None = None
    scale_in: ScaleInIn | None = None


class MatchIn(Section):
    labels: dict[str, str] = {}
    alerts: list[Name] = []


class PolicyIn(RulesIn):
    name: Name
    match: MatchIn = MatchIn()


class EnableIn(Section):
    project: Name | None = None
    service: Name | None = None
    name: Name | None = None


class ReserveIn(Section):
    memory: Share | None = None
    cpus: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] | None = None


class BrakeIn(Section):
    targets: Annotated[int, Field(strict=True, ge=1)] | None = None
    share: Share | None = None
    window: Some | None = None
    thaw: Duration | None = None
    action: Literal["freeze", "alert"] | None = None


class GuardsIn(Section):
    concurrent: Annotated[int, Field(strict=True, ge=1)] | None = None
    burst: Annotated[int, Field(strict=True, ge=1)] | None = None
    per_hour: Annotated[int, Field(strict=True, ge=1)] | None = None
    max_clones: Annotated[int, Field(strict=True, ge=0)] | None = None
    reserve: ReserveIn | None = None
    deploy_hold: Duration | None = None
    protected: list[Name] | None = None
    brake: BrakeIn | None = None


class FileIn(Section):
    version: Annotated[Literal[1], BeforeValidator(_version)] = 1
    defaults: RulesIn = RulesIn()
    enable: list[EnableIn] = []
    policies: list[PolicyIn] = []
    pull: Some | None = None
    alert_expiry: Some | None = None
    instances: list[Name] | None = None
    target_labels: Annotated[list[Name], Field(min_length=1)] | None = None
    guards: GuardsIn = GuardsIn()
