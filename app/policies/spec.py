"""What a policy file can say, as plain values. Every default is the brief's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

_MINUTE = timedelta(minutes=1)


class Mode(StrEnum):
    """Act, or only say what would be done."""

    ENFORCE = "enforce"
    OBSERVE = "observe"


class Strategy(StrEnum):
    """In which order restarts and scale-outs are tried."""

    RESTART_FIRST = "restart_first"
    SCALE_FIRST = "scale_first"
    RELIEVE_FIRST = "relieve_first"


class HostPorts(StrEnum):
    """What becomes of fixed host ports in a clone."""

    AUTO = "auto"
    REFUSE = "refuse"
    EPHEMERAL = "ephemeral"
    DROP = "drop"


class Sharing(StrEnum):
    """Whether a clone may share something that only one could safely use."""

    REFUSE = "refuse"
    ALLOW = "allow"


class SourceAfterwards(StrEnum):
    """What becomes of the source once a clone is healthy."""

    KEEP = "keep"
    ISOLATE = "isolate"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRules:
    """How often a container is restarted before another instance takes over."""

    #: Wait before the first, second, … restart; the last one repeats.
    delays: tuple[timedelta, ...] = (_MINUTE, 5 * _MINUTE, 10 * _MINUTE)
    #: Failed restarts within `window` that end the restarting.
    max_failed: int = 3
    #: How far back failures count, sliding, open at its far end.
    window: timedelta = timedelta(hours=1)
    #: Random part of a delay, as a share of it: 0 to 0.25.
    jitter: float = 0.0
    #: Time between SIGTERM and SIGKILL; None is the container's own.
    stop_grace: timedelta | None = None
    #: No restart this soon after a start, beside the health check's start period.
    start_grace: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRules:
    """How it is told whether an action helped."""

    #: An alert that is active this long after the action means that it failed.
    deadline: timedelta = 3 * _MINUTE
    #: An alert must stay away this long; an alert's own ``relevo_settle`` wins.
    settle: timedelta = 4 * _MINUTE
    #: Time between two looks.
    poll: timedelta = timedelta(seconds=15)
    #: An alert that returns this soon after a recovery turns its verdict.
    relapse_window: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChronicRules:
    """When somebody must be told although every restart helped."""

    restarts: int = 6
    window: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleOutRules:
    """When and how another instance is made."""

    enabled: bool = True
    #: Originals and clones; the label ``relevo.max-instances`` wins.
    max_instances: int = 3
    cooldown: timedelta = 10 * _MINUTE
    #: A clone must have been up this long before it counts.
    warm_up: timedelta = _MINUTE
    host_ports: HostPorts = HostPorts.AUTO
    shared_volumes: Sharing = Sharing.REFUSE
    shared_devices: Sharing = Sharing.REFUSE
    host_network: Sharing = Sharing.REFUSE
    source: SourceAfterwards = SourceAfterwards.KEEP
    isolate_for: timedelta = timedelta(hours=24)
    #: Zero: off.
    traffic_proof: timedelta = 3 * _MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleInRules:
    """When clones leave."""

    after: timedelta = 30 * _MINUTE
    every: timedelta = 5 * _MINUTE
    drain: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How hard to try for the targets that it covers."""

    name: str = "default"
    mode: Mode = Mode.ENFORCE
    strategy: Strategy = Strategy.RESTART_FIRST
    restart: RestartRules = field(default_factory=RestartRules)
    verify: VerifyRules = field(default_factory=VerifyRules)
    chronic: ChronicRules = field(default_factory=ChronicRules)
    scale_out: ScaleOutRules = field(default_factory=ScaleOutRules)
    scale_in: ScaleInRules = field(default_factory=ScaleInRules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which alerts on which containers a policy covers; an empty part matches everything."""

    #: Labels that the container must carry, with these values.
    labels: Mapping[str, str] = field(default_factory=dict)
    #: Names of alerts.
    alerts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Enable:
    """A container opted in without a label. Patterns are the shell's: ``worker-*``."""

    project: str | None = None
    service: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """What scale-outs must leave free on the host."""

    #: Share of the host's memory, 0 to 1.
    memory: float = 0.10
    #: Cores.
    cpus: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class BrakeRules:
    """When so much fails at once that it cannot be the containers."""

    targets: int = 3
    #: Of the opted-in targets, 0 to 1.
    share: float = 0.25
    window: timedelta = timedelta(hours=1)
    thaw: timedelta = 10 * _MINUTE
    #: True: freeze automatic action; False: only tell.
    freeze: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """Bounds on everything that Relevo does to one engine."""

    #: Actions at once.
    concurrent: int = 2
    burst: int = 3
    per_hour: int = 30
    max_clones: int = 10
    reserve: Reserve = field(default_factory=Reserve)
    deploy_hold: timedelta = 2 * _MINUTE
    protected: tuple[str, ...] = ()
    brake: BrakeRules = field(default_factory=BrakeRules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """A whole policy file."""

    #: What holds where no policy matches, and for every key that one leaves out.
    defaults: Policy = field(default_factory=Policy)
    #: The first match wins.
    policies: tuple[tuple[Match, Policy], ...] = ()
    enable: tuple[Enable, ...] = ()
    #: Time between two pulls of Alertmanager and the engine.
    pull: timedelta = timedelta(seconds=30)
    #: An alert that came by notice alone is forgotten this long after the last one.
    alert_expiry: timedelta = timedelta(hours=8)
    #: For alerts without label ``engine``: the ``instance`` values that are ours; empty: any.
    instances: tuple[str, ...] = ()
    #: Labels of an alert that name a container, tried in order.
    target_labels: tuple[str, ...] = ("name", "container_name", "container")
    guards: Guards = field(default_factory=Guards)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """
    Waits of the chain around us that no policy file sets.

    They follow from how Prometheus, Alertmanager and the collector work, not from taste;
    the demo and the end-to-end tests divide them by the same factor as everything else.
    """

    #: An Alertmanager that started later than this may not have its alerts back yet
    #: (Prometheus re-sends firing alerts once a minute).
    alertmanager_up: timedelta = 2 * _MINUTE
    #: An alert that nobody resolved has vanished when it was absent this long.
    vanished: timedelta = timedelta(seconds=90)
    #: Prometheus sends a firing alert again every minute, at the evaluation after it. One that is
    #: this much behind RelevoWatchdog fires there no more: Prometheus has restarted, forgot it,
    #: and never says that it ended.
    resent: timedelta = timedelta(seconds=90)
    #: A symptom that cannot be told for this long is a person's business.
    unknown: timedelta = 15 * _MINUTE
    #: Time between two sweeps of the container collector.
    sweep: timedelta = timedelta(seconds=15)
    #: What one sweep itself may take (engine 20.10 needs a second); never scaled.
    sweep_takes: timedelta = timedelta(seconds=1)

    @property
    def fresh_within(self) -> timedelta:
        """The newest sample of a container may be three sweeps old."""
        return 3 * (self.sweep + self.sweep_takes)

    def divided_by(self, factor: float) -> "Patience":
        """The same chain, run `factor` times faster."""
        return Patience(
            alertmanager_up=self.alertmanager_up / factor,
            vanished=self.vanished / factor,
            resent=self.resent / factor,
            unknown=self.unknown / factor,
            sweep=self.sweep / factor,
            sweep_takes=self.sweep_takes,
        )
