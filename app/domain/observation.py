"""All facts that a decision may use, gathered before it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.container import Container, Listed
from app.domain.control import Brake, Halt, Order
from app.domain.decision import Reason
from app.domain.remediation import Remediation
from app.domain.usage import SideBySide


class Symptom(StrEnum):
    """Whether the target is ill."""

    ACTIVE = "active"
    #: Active, but silenced or inhibited.
    SUPPRESSED = "suppressed"
    #: None, and whoever would tell us is alive.
    ABSENT = "absent"
    #: Nobody can tell.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sickness:
    """The symptom of a target and where it shows."""

    symptom: Symptom
    #: Names of the alerts that are active now.
    alerts: tuple[str, ...] = ()
    #: Alerts of the target's own container are active, not only those of its clones.
    on_source: bool = True
    #: By its last notice an alert of it is firing, whatever can be asked now.
    noticed: bool = False
    #: Absent because every alert that we knew was resolved by a notice of its own.
    resolved: bool = False
    #: When the first notice of an alert that is active was received.
    since: datetime | None = None
    #: The longest ``relevo_settle`` among the target's alerts.
    settle: timedelta | None = None
    #: For `UNKNOWN`: what cannot be told, in a sentence.
    doubt: str | None = None


class EngineView(StrEnum):
    """What could be learned of the container."""

    SEEN = "seen"
    #: The engine does not answer.
    DOWN = "down"
    #: It answers that there is no such container.
    GONE = "gone"
    #: Two containers claim the slot.
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why no faithful clone can be made."""

    reason: Reason
    #: For people, with what would change it.
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """The group of a target as the engine has it."""

    id: str
    #: Originals and clones, running or not.
    instances: int
    #: The clones among them, newest last.
    clones: tuple[Listed, ...]
    #: Targets (``engine:slot``) of the originals.
    originals: tuple[str, ...]
    #: Instances that the group may have.
    max_instances: int
    #: The clone of the open scale-out attempt, inspected; None when gone or none is open.
    fresh_clone: Container | None = None
    #: No further scale-out before then.
    cooling_until: datetime | None = None
    #: Why no faithful clone can be made; None when one can, or nobody has asked.
    refusal: Refusal | None = None
    #: When an instance left last because it was not needed any more.
    left_at: datetime | None = None
    #: What source and fresh clone have used; None where nothing asks.
    used: SideBySide | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardView:
    """What may forbid an action, whatever the ladder says."""

    pause: Halt | None = None
    hold: Halt | None = None
    #: As it is kept.
    brake: Brake = field(default_factory=Brake)
    #: Targets with a failed restart in the brake's window.
    failing: int = 0
    #: Opted-in targets of the engine.
    targets: int = 1
    #: Something of its compose project is being deployed; expected to be over then.
    deploy_until: datetime | None = None
    #: What a person did to the container, past Relevo: a sentence.
    human: str | None = None
    #: The engine's events have not been heard yet: whatever a person did is not known.
    is_blind: bool = False
    #: Why it is never acted on: a sentence.
    protected: str | None = None
    #: It has been started a moment ago.
    start_grace_until: datetime | None = None
    #: Instances of its group beside it, and how many of them serve.
    others: int = 0
    serving_others: int = 0
    #: Clones on the engine, of all groups.
    clones: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """See the module."""

    target: str
    view: EngineView
    #: None unless `view` is SEEN.
    container: Container | None
    #: Image and configuration of the container; empty where it is not seen.
    incarnation: str
    sickness: Sickness
    remediation: Remediation | None
    #: Failed restarts of this target in the window of its policy.
    failures: int
    group: GroupView
    #: Only report what would be done.
    observe_only: bool = False
    #: What the API lists may begin a story (`AlertListing.may_open`).
    may_open: bool = True
    #: The container's owner still lets us act. Asked at every step, not only at intake.
    opted_in: bool
    #: We have isolated or stopped it: a clone serves in its place, and its own alerts are no need.
    is_replaced: bool = False
    #: The target's remediation that was closed last.
    previous: Remediation | None = None
    #: What an operator wants.
    order: Order | None = None
    guards: GuardView = field(default_factory=GuardView)
