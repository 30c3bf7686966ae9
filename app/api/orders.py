"""What people send to have something done, and what they are told."""

import unicodedata
from datetime import timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from app.api.schemas import HaltOut
from app.api.shape import Shape
from app.api.words import Traffic
from app.controller.operate import Placed
from app.domain.duration import parse_duration
from app.domain.fidelity import Fate, FidelityReport
from app.domain.reason import Reason

_SHORTEST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(days=30)
#: Unicode categories that a line of text has no use for: controls, surrogates, line ends.
_UNPRINTABLE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
#: They make what follows read backwards: a reason is shown to people who decide by it.
_REVERSING: Final = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def _one_line(text: str) -> str:
    for char in text:
        if unicodedata.category(char) in _UNPRINTABLE:
            raise ValueError("holds a control character")
        if unicodedata.bidirectional(char) in _REVERSING:
            raise ValueError("holds a character that turns text around")
    return text


def _span(value: object) -> object:
    if value is None:
        return None
    try:
        span = parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        span = None
    if span is None:
        raise ValueError("is no duration: write it like 30m, 2h or 1d")
    if not _SHORTEST <= span <= _LONGEST:
        raise ValueError("lasts 1s at least and 30d at most")
    return span


Why = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500),
    AfterValidator(_one_line),
]
Who = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(_one_line),
]


class OrderIn(Shape):
    """What somebody wants done, and why."""

    # An unknown key is refused: a misspelt dry_run must not do the thing.
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
    )

    reason: Annotated[Why, Field(description="Kept with the story, and shown to everybody.")]
    author: Annotated[Who, Field(description="Who wants it.")] = "api"
    dry_run: Annotated[bool, Field(description="Only say what would come of it.")] = False


class HaltIn(OrderIn):
    """Why nothing is to be done, and for how long."""

    lasts: Annotated[
        timedelta | None,
        BeforeValidator(_span),
        WithJsonSchema({"type": ["string", "null"], "examples": ["30m", "2h", "1d"]}),
        Field(
            alias="for",
            description="Ends by itself after this time, 1s to 30d; without it, a person ends it.",
        ),
    ] = None


class PlacedOut(Shape):
    """An order that was taken: the target's next step, within a second, carries it out."""

    remediation: Annotated[
        str | None, Field(description="The story that it belongs to; it may only now begin.")
    ]
    attempt: Annotated[
        str | None, Field(description="Id of the attempt, where something is done to containers.")
    ]

    @classmethod
    def of(cls, placed: Placed) -> Self:
        """Put an order on the wire."""
        return cls(remediation=placed.remediation, attempt=placed.attempt)


class ScaleInDryRunOut(PlacedOut):
    """Who would leave."""

    dry_run: Literal[True] = True
    container: Annotated[str | None, Field(description="Name of the instance.")]


class HeldOut(Shape):
    """A hold that is in force."""

    target: str
    hold: HaltOut


class ReleasedOut(Shape):
    """The end of a hold, and of a quarantine if there was one."""

    target: str
    remediation: Annotated[
        str | None, Field(description="The quarantined story that ends; null where there was none.")
    ]


class PauseOut(Shape):
    """The pause that is in force."""

    pause: Annotated[HaltOut | None, Field(description="Null: Relevo is not paused.")]


class FidelityItemOut(Shape):
    """What becomes of one field of the container in the clone."""

    field: Annotated[str, Field(description="In Docker's words: HostConfig.PortBindings.")]
    fate: Fate
    detail: Annotated[str, Field(description="What is different; what would change a refusal.")]
    reason: Annotated[Reason | None, Field(description="Of a refusal: its word.")]


class FidelityOut(Shape):
    """Field by field, what a clone would share with its source."""

    refused: Annotated[bool, Field(description="No faithful clone can be made.")]
    traffic: Annotated[Traffic, Field(description="How traffic would reach it.")]
    items: list[FidelityItemOut]

    @classmethod
    def of(cls, report: FidelityReport) -> Self:
        """Put a report on the wire."""
        return cls(
            refused=report.is_refused,
            traffic=report.traffic,
            items=[
                FidelityItemOut(
                    field=item.field, fate=item.fate, detail=item.detail, reason=item.reason
                )
                for item in report.items
            ],
        )


class ScaleOutDryRunOut(Shape):
    """What a scale-out would make of a container."""

    dry_run: Literal[True] = True
    report: Annotated[
        FidelityOut | None, Field(description="Null where the engine cannot say now.")
    ]
    in_the_way: Annotated[
        str | None, Field(description="What forbids a scale-out at this moment; null: nothing.")
    ]
