"""What a controller is wired over, and how it is set up besides its policies."""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from app.policies.protect import Ourselves
from app.policies.spec import Mode, Patience
from app.ports import (
    AlertSink,
    AlertSource,
    ContainerEngine,
    Keepsake,
    MessageSink,
    SampleSource,
    SettableClock,
    Store,
    UsageSource,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What the controller needs of the outside."""

    store: Store
    engine: ContainerEngine
    clock: SettableClock
    keepsake: Keepsake
    #: None: there is no Alertmanager to ask.
    alerts: AlertSource | None = None
    #: None: there is none to tell.
    sink: AlertSink | None = None
    #: None: there is no Prometheus to ask.
    samples: SampleSource | None = None
    #: None: nobody remembers what containers used; Relevo then measures them itself.
    usage: UsageSource | None = None
    #: None: nobody takes annotations.
    messages: MessageSink | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How it is set up, besides its policies."""

    engine_name: str | None = None
    prefix: str = "relevo"
    mode: Mode = Mode.ENFORCE
    patience: Patience = field(default_factory=Patience)
    ourselves: Ourselves = field(default_factory=Ourselves)
    external_url: str | None = None
    #: How long Alertmanager believes an alert of ours that is not posted again.
    believed: timedelta = timedelta(minutes=5)
    #: The store is a child of ours.
    own_server: bool = False
    #: Name of this process, used once.
    life: str = field(default_factory=lambda: uuid4().hex)
