"""What a part of the run has tried, and what it has found."""

import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from types import FrameType

#: CPU seconds of this process for one case: nothing that is read takes a tenth of it.
CASE_TAKES = 5.0
#: Findings of a part that are told one by one.
MOST_TOLD = 20
_SAMPLE = 400


class Hang(Exception):
    """A case has used more CPU time than any answer is worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that should not have happened, and how to have it again."""

    part: str
    seed: int
    number: int
    what: str
    sample: str

    def __str__(self) -> str:
        again = f"python -m tests.fuzz --part {self.part} --seed {self.seed} --only {self.number}"
        return f"{self.part}: {self.what}\n    of {self.sample}\n    again: {again}"


@dataclass
class Tally:
    """
    One part's run.

    Each case has a number and a random source of its own, so that one can be repeated alone.

    :param only: the number of the one case that is wanted
    """

    part: str
    seed: int
    only: int | None = None
    cases: int = 0
    findings: list[Finding] = field(default_factory=list)
    #: How often a fault was found, by its first words: a thousand of one kind are one.
    kinds: Counter[str] = field(default_factory=Counter)
    #: What became of the cases: answers, refusals, by name.
    outcomes: Counter[str] = field(default_factory=Counter)

    def numbers(self, cases: int, first: int = 0) -> Iterator[int]:
        """Count the cases that are to be tried."""
        if self.only is None:
            yield from range(first, first + cases)
        elif first <= self.only < first + cases:
            yield self.only

    def chance(self, number: int) -> Random:
        """The random source of one case."""
        return Random(f"{self.part}:{self.seed}:{number}")

    def find(self, number: int, what: str, sample: object) -> None:
        """Note a fault; a kind that was seen already is only counted."""
        kind = re.sub(r"\d+", "#", what)[:60]
        self.kinds[kind] += 1
        if self.kinds[kind] == 1 and len(self.findings) < MOST_TOLD:
            shown = sample if isinstance(sample, str) else repr(sample)
            # Halves of surrogates cannot be printed.
            shown = shown[:_SAMPLE].encode("utf-8", "backslashreplace").decode()
            self.findings.append(
                Finding(part=self.part, seed=self.seed, number=number, what=what, sample=shown)
            )

    @contextmanager
    def case(self, number: int, sample: object) -> Iterator[None]:
        """Try one case: whatever it raises is a fault, and so is taking too long."""
        self.cases += 1
        try:
            with at_most(CASE_TAKES):
                yield
        except Exception as exc:  # noqa: BLE001 - that is what is looked for
            self.find(number, f"{type(exc).__name__}: {_where(exc)}: {str(exc)[:200]}", sample)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """
    Raise `Hang` within the block once it has used so much CPU time.

    CPU time and not the clock's: this runs beside others. Main thread only; blocks within one
    another count with the outer one.
    """

    def ring(_: int, __: FrameType | None) -> None:
        raise Hang(f"more than {seconds:g} s of CPU time")

    if signal.getitimer(signal.ITIMER_VIRTUAL)[0] > 0:
        yield
        return
    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _where(exc: BaseException) -> str:
    """Name the last line of ours that it went through."""
    found, frame = "", exc.__traceback__
    while frame is not None:
        name = frame.tb_frame.f_code.co_filename
        if "/app/" in name:
            found = f"{name.rpartition('/app/')[2]}:{frame.tb_lineno}"
        frame = frame.tb_next
    return found or "no code of ours"


def tell(line: str) -> None:
    """Say something to whoever watches."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
