"""
Bugs to plant, each with the simulation that should find it.

A change is text for text, in a function or in a Lua script: one whose text is gone is an error,
not a bug that was caught. Several changes switch off the layers that would mask the first.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Py:
    """Of a function ``module:name`` or ``module:Class.name``: one text becomes another."""

    where: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Lua:
    """Of a script."""

    script: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Value:
    """Of a module's constant."""

    where: str
    value: str


@dataclass(frozen=True, slots=True)
class Adapter:
    """A check of the engine's adapter is left out: ``checks_deadline``, for one."""

    flag: str


Change = Py | Lua | Value | Adapter


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted bug."""

    changes: tuple[Change, ...]
    profile: str = "faults"
    backend: str = "memory"
    #: Where one point matters more than chance.
    point: str | None = None
    what: str = "kill"
    seconds: float = 0.0
    #: How long one run is: what shows at the end alone shows sooner in short ones.
    hours: float = 10.0
    #: What it breaks, as the checker numbers it: caught by another rule is not caught.
    rules: tuple[str, ...] = ()


LADDER: Final = "app.policies.ladder"
GUARDS: Final = "app.policies.guards"
SCALE_IN: Final = "app.policies.scale_in"
DEPARTURES: Final = "app.policies.departures"
SCALING: Final = "app.controller.scaling:Departures"
ACT: Final = "app.controller.act"
TENURE: Final = "app.controller.tenure"
SEAT: Final = "app.controller.seat"
LOOK: Final = "app.controller.last_look:LastLook.changes"

NO_COMPARE: Final = Adapter("compares")
NO_LABEL: Final = Adapter("checks_label")
NO_DEADLINE: Final = Adapter("checks_deadline")
NO_DECISION: Final = Py(
    f"{LADDER}:_climb",
    "if container.started_at != remediation.planned_started_at and not by_engine:",
    "if False:",
)
NO_LAST_PAUSE: Final = Py(LOOK, "pause is not None and not pause.is_over(now)", "False")
NO_LAST_HOLD: Final = Py(LOOK, "hold is not None and not hold.is_over(now)", "False")
NO_LAST_STATE: Final = Py(LOOK, "observed.is_running and not container.is_running", "False")
NO_SEAT: Final = Lua("frame", "if life ~= '' and redis", "if false and redis")
ANY_LEADS: Final = Py(
    f"{SEAT}:Seat._is_mine", "standing.life == self._life and not self._is_left", "True"
)
NO_FENCE: Final = Lua(
    "intend", "if redis.call('HGET', leases, target) ~= fence then", "if false then"
)
NO_NOTE_FENCE: Final = Lua(
    "note", "if redis.call('HGET', leases, target) ~= fence then", "if false then"
)
NO_LEASE: Final = Lua("claim", "if not lease then", "if true then")
NO_FRAME: Final = Lua("frame", "if epoch ~= '' then", "if false then")
#: Whoever holds still because the server is another one need not notice that it is older.
NO_RUN_ID: Final = Py(f"{TENURE}:Tenure.beat", 'self.hold("Redis was restarted")', "pass")
#: One process has one step of a target under way, whatever its store says.
NO_ONE_AT_IT: Final = Py(
    "app.controller.worker:Worker._guarded", "if claim.target in self._at:", "if False:"
)
#: A step outlives its lease, which nobody renews: what fences are for.
SHORT_LEASE: Final = Py(
    "app.controller.worker:Worker.__init__",
    "self._lease = lease",
    "self._lease = timedelta(seconds=1)",
)
NO_RENEWAL: Final = Py("app.controller.worker:Worker._renew", "while True:", "while False:")
#: What an intent is good for, which ends before a seat does.
NO_HASTE: Final = Value("app.controller.hand:BEGINS_WITHIN", "BEGINS_WITHIN * 100")
