"""What Alertmanager and Grafana post; tolerant of new fields, strict about what we use."""

from datetime import UTC
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from app.api.faults import first_fault
from app.controller.intake import Unreadable
from app.domain.alert import Alert, AlertStatus

#: Go's zero time: "not set" in everything that Alertmanager sends.
_ZERO_YEAR = 1
#: security.md 5: limits of what one alert may hold.
MAX_ALERTS = 10_000
_MAX_LABELS = 64
_EXCERPT = 500


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("holds a NUL character")
    return text


LabelName = Annotated[str, StringConstraints(max_length=256), AfterValidator(_no_nul)]
# How long a value may be is asked of alerts that are ours (app/controller/intake.py): one that
# names no container of ours is not for us, whatever its length.
LabelValue = Annotated[str, AfterValidator(_no_nul)]


class AlertIn(BaseModel):
    """One alert of a notification. Unknown fields are ignored: upstream adds some."""

    # strict: a label that is a number is a mistake somewhere, and is said to be one.
    model_config = ConfigDict(extra="ignore", strict=True)

    status: Literal["firing", "resolved"]
    labels: dict[LabelName, LabelValue] = Field(max_length=_MAX_LABELS)
    annotations: dict[LabelName, str] = Field(default_factory=dict, max_length=_MAX_LABELS)
    starts_at: Annotated[AwareDatetime, Field(alias="startsAt", strict=False)]
    ends_at: Annotated[AwareDatetime | None, Field(alias="endsAt", strict=False)] = None
    fingerprint: Annotated[str, StringConstraints(min_length=1, max_length=256)]

    def to_domain(self) -> Alert:
        """
        Turn it into our words.

        :raises ValueError: it says that it began in the year 1, Go's word for "not set"
        """
        if self.starts_at.year <= _ZERO_YEAR:
            raise ValueError("startsAt: is not set (year 0001)")
        ends_at = self.ends_at
        return Alert(
            fingerprint=self.fingerprint,
            status=AlertStatus(self.status),
            labels=self.labels,
            alert_annotations={name: text[:2048] for name, text in self.annotations.items()},
            starts_at=self.starts_at.astimezone(UTC),
            ends_at=None if ends_at is None or ends_at.year <= _ZERO_YEAR else ends_at,
        )


_ALERT_IN: TypeAdapter[AlertIn] = TypeAdapter(AlertIn)


class WebhookIn(BaseModel):
    """
    One notification of Alertmanager (payload version 4) or of Grafana Alerting (version 1).

    Grafana sends the same shape with more fields. Each alert is taken by its own status and
    labels; one that cannot be read is set aside and its neighbours are taken.
    """

    model_config = ConfigDict(
        extra="ignore",
    )

    version: Annotated[
        Literal["4", "1"],
        Field(description="Payload version: 4 is Alertmanager's, 1 is Grafana's."),
    ]
    group_key: Annotated[str, Field(alias="groupKey")] = ""
    truncated_alerts: Annotated[
        int,
        Field(
            alias="truncatedAlerts",
            ge=0,
            description="Alerts that the sender left out; Alertmanager's API has them.",
        ),
    ] = 0
    receiver: str = ""
    alerts: Annotated[
        list[Any],
        Field(max_length=MAX_ALERTS, description="Each with its own status, labels and times."),
    ]

    def read_alerts(self) -> list[Alert | Unreadable]:
        """Read each alert by itself: a bad one never loses its neighbours."""
        return [_read(raw) for raw in self.alerts]


def _read(raw: object) -> Alert | Unreadable:
    try:
        return _ALERT_IN.validate_python(raw).to_domain()
    except ValidationError as exc:
        said = first_fault(exc.errors(include_url=False, include_input=False))
        return Unreadable(detail=said, excerpt=repr(raw)[:_EXCERPT])
    except (ValueError, OverflowError) as exc:
        return Unreadable(detail=str(exc), excerpt=repr(raw)[:_EXCERPT])
