"""What goes over the wire, as tools rely on it; the docstrings are OpenAPI text."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import Field, PlainSerializer, WithJsonSchema

from app.api.shape import Shape
from app.api.words import TargetState, Traffic
from app.controller.counts import Counts
from app.controller.headcount import CloneView
from app.controller.tenure import TenureView
from app.domain.control import Halt
from app.domain.decision import Action, Reason
from app.policies.scale_in import Stay
from app.policies.spec import Mode


def _rfc3339(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


Moment = Annotated[
    datetime,
    PlainSerializer(_rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]


class Accepted(Shape):
    """What became of the alerts of one notification."""

    accepted: Annotated[int, Field(description="Firing alerts that are kept, known ones included.")]
    resolved: Annotated[int, Field(description="Resolved alerts that are kept.")]
    stale: Annotated[int, Field(description="Not newer than what was already resolved.")]
    skipped: Annotated[int, Field(description="Not for this Relevo; reasons are in the log.")]
    set_aside: Annotated[int, Field(description="Unreadable; kept aside and counted.")]

    @classmethod
    def of(cls, counts: Counts) -> Self:
        """Put counts on the wire."""
        return cls(
            accepted=counts.accepted,
            resolved=counts.resolved,
            stale=counts.stale,
            skipped=counts.skipped,
            set_aside=counts.set_aside,
        )


class HaltOut(Shape):
    """A pause of everything, or a hold on one target."""

    reason: str
    author: str
    since: Moment
    until: Annotated[Moment | None, Field(description="Null: until a person ends it.")]

    @classmethod
    def of(cls, halt: Halt) -> Self:
        """Put a pause or a hold on the wire."""
        return cls(reason=halt.reason, author=halt.author, since=halt.since, until=halt.until)


class ReadinessOut(Shape):
    """Whether another instance could be made, known before it is needed."""

    can_scale_out: bool
    traffic: Annotated[Traffic | None, Field(description="How traffic would reach it.")]
    reasons: Annotated[list[Reason], Field(description="For a refusal: its words.")]
    details: Annotated[list[str], Field(description="For a refusal: what would change it.")]


class CloneOut(Shape):
    """An instance that a scale-out made."""

    container: str
    clone_of: Annotated[str, Field(description="Name of the container that it was made from.")]
    since: Annotated[Moment | None, Field(description="When it came up, as far as is known.")]
    reason: Annotated[
        Reason | None, Field(description="Why it was made; null where nobody remembers that.")
    ]
    ordered: Annotated[str | None, Field(description="Of a manual one: who ordered it, and why.")]
    attempt: Annotated[str | None, Field(description="Id of the attempt that made it.")]
    leaving: Annotated[
        str | None, Field(description="Id of the activity by which it is leaving; null: it stays.")
    ]

    @classmethod
    def of(cls, clone: CloneView) -> Self:
        """Put a clone on the wire."""
        return cls(
            container=clone.container,
            clone_of=clone.clone_of,
            since=clone.since,
            reason=clone.reason,
            ordered=clone.ordered,
            attempt=clone.attempt,
            leaving=clone.leaving,
        )


class StayOut(Shape):
    """Why no clone of a group leaves."""

    reason: Annotated[Reason, Field(description="The word, as in docs/reasons.md.")]
    until: Annotated[
        Moment | None, Field(description="When that is over, where it can be told; then it leaves.")
    ]
    detail: str | None

    @classmethod
    def of(cls, stay: Stay) -> Self:
        """Put it on the wire."""
        return cls(reason=stay.reason, until=stay.until, detail=stay.detail)


class TargetOut(Shape):
    """One opted-in container slot, and what is about to happen to it."""

    target: str
    container: str
    group: str
    mode: Mode
    state: TargetState
    reason: Annotated[Reason | None, Field(description="Why it is in this state; null when ok.")]
    next_action: Action | None
    next_action_at: Moment | None
    failures_in_window: int
    instances: Annotated[
        int, Field(description="Of its group: originals and clones, running or not.")
    ]
    min_instances: Annotated[int, Field(description="Of its group: the originals.")]
    desired_instances: Annotated[
        int,
        Field(
            description="As many as there will be when those being made or leaving have done so."
        ),
    ]
    max_instances: Annotated[int, Field(description="No scale-out goes beyond it.")]
    clones: Annotated[list[CloneOut], Field(description="Of its group, the oldest first.")]
    clones_stay: Annotated[
        StayOut | None,
        Field(
            description="Why none of the clones leaves, at the last look; null: one is leaving, "
            "or there is none."
        ),
    ]
    cooling_until: Annotated[
        Moment | None, Field(description="Its group is not scaled out again before; null: it may.")
    ]
    remediation: Annotated[str | None, Field(description="Id of the open remediation.")]
    policy: Annotated[str, Field(description="Name of the policy that covers it, or would.")]
    hold: Annotated[HaltOut | None, Field(description="Who keeps Relevo away from it, and why.")]
    readiness: ReadinessOut | None


class TargetsOut(Shape):
    """All opted-in targets, by name."""

    targets: list[TargetOut]


class PartOut(Shape):
    """A part of the chain, and what is wrong with it."""

    ok: bool
    trouble: list[str] = Field(default=[])


class BrakeOut(Shape):
    """Whether so much fails at once that it cannot be the containers."""

    engaged_at: Annotated[
        Moment | None, Field(description="Automatic action is frozen since then; null: it is not.")
    ]
    failing: Annotated[int, Field(description="Failing targets when it engaged.")]


class BudgetOut(Shape):
    """How many actions may still be begun."""

    burst: Annotated[int, Field(description="In a row.")]
    hour: Annotated[int, Field(description="Within the hour.")]


class PrecisionOut(Shape):
    """The report of observe mode: how often acting would have been right."""

    would_have_acted: int
    passed_by_itself: Annotated[int, Field(description="Of these, the trouble passed by itself.")]
    still_needed: Annotated[int, Field(description="Of these, it did not.")]


class AsideOut(Shape):
    """An alert that was not taken on."""

    at: Moment
    reason: Annotated[str, Field(description="`set_aside` for one that cannot be read.")]
    detail: str


class ActingOut(Shape):
    """Who acts: one controller at a time; any accepts alerts."""

    role: Annotated[Literal["leading", "following", "waiting"], Field(description="Of this one.")]
    ok: Annotated[bool, Field(description="It acts, or another controller does.")]
    trouble: Annotated[list[str], Field(description="Why this one does nothing at the moment.")]
    term: Annotated[int, Field(description="Number of the present tenure.")]

    @classmethod
    def of(cls, view: TenureView) -> Self:
        """Put it into the API's words."""
        return cls(role=view.role, ok=view.is_ready, trouble=list(view.trouble), term=view.term)


class MessagesOut(Shape):
    """How it goes to tell Grafana of actions; of several controllers the leader does that."""

    pending: Annotated[int, Field(description="Annotations that Grafana has not taken yet.")]
    trouble: Annotated[
        str | None, Field(description="Why the last attempt to deliver failed; null: it did not.")
    ]


class StatusOut(Shape):
    """What this Relevo is doing, at a glance."""

    version: str
    engine: str | None
    mode: Mode
    now: Moment
    store: PartOut
    container_engine: PartOut
    acting: ActingOut
    targets: Annotated[dict[str, int], Field(description="Opted-in targets by state.")]
    failing_targets: Annotated[
        int, Field(description="Targets with a failed restart within the last hour.")
    ]
    pause: Annotated[HaltOut | None, Field(description="Null: Relevo is not paused.")]
    holds: Annotated[dict[str, HaltOut], Field(description="By target.")]
    brake: BrakeOut
    budget_left: BudgetOut
    precision: PrecisionOut
    not_taken: Annotated[
        list[AsideOut], Field(description="The newest alerts that were not taken on, and why.")
    ]
    label_typos: Annotated[
        list[str], Field(description="Labels on containers that have no effect, and what is meant.")
    ]
    messages: Annotated[MessagesOut | None, Field(description="Null: there is no Grafana to tell.")]


class ReadyOut(Shape):
    """Whether alerts can be accepted and acted on."""

    ready: bool
    store: PartOut
    container_engine: PartOut
    acting: ActingOut


class ReloadedOut(Shape):
    """The policy file was taken."""

    reloaded: Literal[True] = True
