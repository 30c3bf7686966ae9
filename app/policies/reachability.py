"""
Can this policy ever scale out: do so many failed restarts fit into its window?

Each wait counts from the verdict before it, so waits and verifications add up while the
failures age. A policy whose failures are forgotten faster than they come restarts for ever.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from app.domain.duration import format_duration
from app.policies.backoff import delay_before
from app.policies.spec import Match, Policy, Rulebook, Strategy

#: The longest ``relevo_settle`` of the shipped rules (that of ContainerHighMemory).
SHIPPED_SETTLE: Final = timedelta(minutes=6)

_ZERO: Final = timedelta(0)
_MINUTE: Final = timedelta(minutes=1)
_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Goal(StrEnum):
    """What comes when enough restarts have failed."""

    SCALE_OUT = "scale-out"
    ESCALATION = "escalation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reachability:
    """The longest time from the first failure that counts to the last, term by term."""

    goal: Goal
    #: Failed restarts that it takes.
    failures: int
    #: All waits between the first failure and the last: delays, or a start grace that is longer.
    waits: timedelta
    #: What jitter may add to them.
    jitter: timedelta
    #: From an action to its verdict at the latest: deadline (or the first look) and settle.
    verification: timedelta
    #: What the container itself adds to each restart: stop grace and health start period.
    container: timedelta
    #: How long a failure counts.
    window: timedelta
    #: Restarts that fail at once still span this much.
    least: timedelta

    @property
    def span(self) -> timedelta:
        """From the first failure to the last, at most."""
        return sum(self._terms, _ZERO)

    @property
    def fits(self) -> bool:
        """A failure that is exactly one window old no longer counts."""
        return self.span < self.window

    @property
    def arithmetic(self) -> str:
        """The span as a sum: ``15m + 14m = 29m``."""
        terms = [in_minutes(term) for term in self._terms if term] or ["0s"]
        total = f" = {in_minutes(self.span)}" if len(terms) > 1 else ""
        return " + ".join(terms) + total

    @property
    def sentence(self) -> str:
        """Say whether it fits, with the numbers; for one that does not, what would help."""
        restarts = _NUMBERS[self.failures] if self.failures < len(_NUMBERS) else str(self.failures)
        restarts += " failed restart" if self.failures == 1 else " failed restarts"
        spans = "spans" if self.failures == 1 else "span"
        span, window = in_minutes(self.span), in_minutes(self.window)
        if self.fits:
            return (
                f"{self.goal} after {restarts}, which {spans} at most {self.arithmetic} "
                f"of the window of {window}"
            )
        fires = "can never" if self.least >= self.window else "may never"
        shorter = "shorten delays" if self.waits else "shorten deadline or settle"
        return (
            f"its {self.goal} {fires} fire: {restarts} {spans} up to {self.arithmetic}, and the "
            f"window is {window}: lengthen window to more than {span}, or {shorter}"
        )

    @property
    def _terms(self) -> tuple[timedelta, ...]:
        between = self.failures - 1
        own = between * self.container
        return self.waits, self.jitter, between * self.verification, own


def reachability(policy: Policy, *, settles: Iterable[timedelta] = ()) -> Reachability | None:
    """
    Do the sum for a policy; None where its scale-out needs no failed restart.

    :param settles: ``relevo_settle`` of alerts that it covers; the longest counts
    """
    settle = max((policy.verify.settle, *settles))
    return _reachability(policy, settle=settle, container=_ZERO)


def reachable_with(
    policy: Policy, *, stop_grace: timedelta, start_period: timedelta, settle: timedelta | None
) -> Reachability | None:
    """
    Do the sum for a policy and one container; None where no failed restart is needed.

    :param stop_grace: the container's own; that of the policy wins
    :param start_period: of its health check; zero where it has none
    :param settle: the longest ``relevo_settle`` of its alerts; None: the policy's
    """
    rules = policy.restart
    grace = stop_grace if rules.stop_grace is None else rules.stop_grace
    return _reachability(
        policy, settle=settle or policy.verify.settle, container=grace + start_period
    )


def doubts(rulebook: Rulebook, *, settle: timedelta = SHIPPED_SETTLE) -> Iterator[tuple[str, str]]:
    """
    Find what a rulebook may say and probably does not mean: name of the policy, a sentence.

    :param settle: the longest ``relevo_settle`` of the alert rules
    """
    policies = (rulebook.defaults, *(policy for _, policy in rulebook.policies))
    for policy in policies:
        loaded, with_rules = reachability(policy), reachability(policy, settles=[settle])
        if loaded is not None and not loaded.fits:
            yield policy.name, loaded.sentence
        elif with_rules is not None and not with_rules.fits:
            longest = in_minutes(settle)
            yield policy.name, f"with an alert's relevo_settle of {longest}, {with_rules.sentence}"
        if policy.scale_out.enabled and policy.scale_out.max_instances < 2:
            yield policy.name, "it escalates instead of scaling out: max_instances is 1"
    for later, earlier in shadowed(rulebook):
        yield (
            later,
            f"it never matches, since {earlier!r} before it covers all that it would; "
            "only a container's label can name it",
        )


def shadowed(rulebook: Rulebook) -> Iterator[tuple[str, str]]:
    """Find the policies that never match, each with the first earlier one that is the cause."""
    earlier: list[tuple[Match, str]] = []
    for match, policy in rulebook.policies:
        cause = next((name for other, name in earlier if _covers(other, match)), None)
        if cause is not None:
            yield policy.name, cause
        earlier.append((match, policy.name))


def in_minutes(duration: timedelta) -> str:
    """Write a duration without hours, ``74m``: the sums are to be followed by eye."""
    minutes, rest = divmod(duration, _MINUTE)
    return (
        f"{minutes}m{format_duration(rest) if rest else ''}" if minutes else format_duration(rest)
    )


def _reachability(
    policy: Policy, *, settle: timedelta, container: timedelta
) -> Reachability | None:
    if policy.strategy is Strategy.SCALE_FIRST:
        return None
    rules = policy.restart
    delays = [
        max(delay_before(failures, policy), rules.start_grace)
        for failures in range(1, rules.max_failed)
    ]
    waits = sum(delays, _ZERO)
    return Reachability(
        goal=Goal.SCALE_OUT if policy.scale_out.enabled else Goal.ESCALATION,
        failures=rules.max_failed,
        waits=waits,
        jitter=waits * rules.jitter,
        verification=max(policy.verify.deadline, policy.verify.poll) + settle,
        container=container,
        window=rules.window,
        # After a longer wait a shorter one may bring enough failures together after all.
        least=waits if delays == sorted(delays) else _ZERO,
    )


def _covers(one: Match, other: Match) -> bool:
    """Tell whether one match takes everything that another would."""
    if one.alerts and not (other.alerts and set(other.alerts) <= set(one.alerts)):
        return False
    return one.labels.items() <= other.labels.items()
