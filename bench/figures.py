"""Figures of a bench: medians with their spread, and ratios taken round by round."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What several rounds found."""

    median: float
    low: float
    high: float
    rounds: int
    #: What each round found, in their order: a disturbed one is seen in all figures of its place.
    each: tuple[float, ...] = ()

    @classmethod
    def of(cls, found: Sequence[float]) -> "Figure":
        """Sum up what the rounds found, one value each."""
        return cls(
            median=statistics.median(found),
            low=min(found),
            high=max(found),
            rounds=len(found),
            each=tuple(found),
        )


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """
    Compare round by round: both sides of one round met the same machine.

    :param ours: one value per round, in the order of the rounds; `theirs` likewise
    """
    return Figure.of([one / other for one, other in zip(ours, theirs, strict=True)])


@dataclass(kw_only=True)
class Found:
    """What one part of the bench has found."""

    #: Key of a goal (`bench.goals`) -> what was measured.
    goals: dict[str, float] = field(default_factory=dict)
    #: Everything else that is worth keeping, by a name that says its unit.
    figures: dict[str, Figure | float] = field(default_factory=dict)
    #: What could not be measured, and what it takes to do so.
    missing: list[str] = field(default_factory=list)

    def take(self, key: str, figure: Figure) -> None:
        """Keep a goal's figure with its spread."""
        self.goals[key] = figure.median
        self.figures[key] = figure

    def add(self, other: "Found") -> None:
        """Take in what another part has found."""
        self.goals.update(other.goals)
        self.figures.update(other.figures)
        self.missing += other.missing


def written(figures: Mapping[str, Figure | float]) -> dict[str, object]:
    """Make plain numbers and objects of figures, for JSON."""
    return {
        name: _rounded(one) if isinstance(one, Figure) else round(one, 4)
        for name, one in figures.items()
    }


def _rounded(figure: Figure) -> dict[str, object]:
    return {
        **{name: round(getattr(figure, name), 4) for name in ("median", "low", "high", "rounds")},
        "each": [round(value, 4) for value in figure.each],
    }


def percentile(found: Sequence[float], share: float) -> float:
    """Return the value below which this share of all lies; the highest one where they are few."""
    ordered = sorted(found)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
