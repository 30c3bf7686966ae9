"""What to simulate, and how it went."""

from dataclasses import dataclass, field

from tests.sim.process import Ambush


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to simulate."""

    seed: int
    hours: float = 10.0
    profile: str = "faults"
    backend: str = "memory"
    #: One controller dies, or sleeps, whenever it passes this point for the n-th time.
    ambush: Ambush | None = None
    mutant: str | None = None

    def command(self) -> str:
        """The one line that does it again."""
        line = (
            f"python -m tests.sim repro --seed {self.seed} --hours {self.hours:g}"
            f" --profile {self.profile} --backend {self.backend}"
        )
        if self.ambush is not None:
            one = self.ambush
            line += f" --point '{one.point}' --what {one.what} --spare {one.spare}"
            line += f" --seconds {one.seconds:g}"
        if self.mutant is not None:
            line += f" --mutant {self.mutant}"
        return line


@dataclass(slots=True, kw_only=True)
class Result:
    """How a run went."""

    seed: int
    profile: str
    backend: str
    hours: float
    #: Invariant and what is wrong; None: nothing is.
    violation: tuple[str, str] | None = None
    at: float = 0.0
    digest: str = ""
    lines: int = 0
    steps: int = 0
    cpu_s: float = 0.0
    starts: int = 0
    accepted: int = 0
    kills: int = 0
    asked: int = 0
    command: str = ""
    last: list[str] = field(default_factory=list)
    #: Named points that were passed, and how often.
    passed: dict[str, int] = field(default_factory=dict)
    cried: dict[str, int] = field(default_factory=dict)
