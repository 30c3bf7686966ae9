"""
The timeline: what Relevo and Alertmanager say has happened, each thing told once.

All times are those of the parts themselves, not of when the demo asked. What is told comes from
the shapes that are promised to tools: remediations with their attempts, activities, and alerts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from deploy.demo.host import moment
from deploy.demo.scale import FACTOR

Json = dict[str, Any]

#: Stories that end so have ended well.
RELIEVED = "relieved"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the timeline."""

    at: datetime
    text: str
    style: str = ""


def seconds(duration: timedelta) -> str:
    """Write a duration as people say it: 9 s, 1.5 min."""
    total = duration.total_seconds()
    if total < 90 and total != 60:
        return f"{total:.0f} s"
    if total < 5400:
        return f"{total / 60:g} min" if total % 60 == 0 else f"{total / 60:.1f} min"
    return f"{total / 3600:.1f} h"


def both_paces(duration: timedelta) -> str:
    """Write a wait as it is here, and as it is when nothing is sped up."""
    here = timedelta(seconds=round(duration.total_seconds()))
    return f"{seconds(here)} ({seconds(here * FACTOR)} in real time)"


@dataclass(slots=True)
class Story:
    """Turns what the parts say into events, and remembers what has been told."""

    #: The name of the sick container, for people.
    name: str
    #: The remediations as Relevo told them last, oldest first. More than one where the alert was
    #: quiet for a moment during a wait: on a machine that is too busy to make the service burn.
    remediations: list[Json] = field(default_factory=list)
    #: Alerts on the sick container, now.
    alerts: list[Json] = field(default_factory=list)
    _told: set[tuple[object, ...]] = field(default_factory=set)
    _alert_since: dict[str, datetime] = field(default_factory=dict)

    @property
    def remediation(self) -> Json | None:
        """The newest one."""
        return self.remediations[-1] if self.remediations else None

    @property
    def attempts(self) -> list[Json]:
        """All attempts, oldest first."""
        return [attempt for told in self.remediations for attempt in told["attempts"]]

    @property
    def has_ended(self) -> bool:
        """Relevo has scaled out and closed the story, or has called for a person."""
        if self.remediation is None:
            return False
        scaled = any(attempt["action"] == "scale_out" for attempt in self.remediation["attempts"])
        state = self.remediation["state"]
        return state == "quarantined" or (state == "closed" and scaled)

    def update(
        self, remediations: list[Json], activities: list[Json], now: datetime
    ) -> list[Event]:
        """
        Take in the newest state; return what is new, in the order in which it happened.

        :param remediations: of the sick container, newest first
        :param now: for what has no time of its own
        """
        events: list[Event] = []
        self.remediations = list(reversed(remediations))
        earlier = 0
        for remediation in self.remediations:
            events += self._unheard(_of_remediation(remediation, earlier))
            earlier += len(remediation["attempts"])
        for activity in reversed(activities):
            events += self._unheard(_of_activity(activity))
        return sorted(events, key=lambda event: event.at)

    def update_alerts(self, alerts: list[Json], now: datetime) -> list[Event]:
        """Take in the active alerts on the sick container; return what is new."""
        self.alerts = alerts
        events: list[Event] = []
        firing = {alert["labels"]["alertname"]: alert for alert in alerts}
        for name, alert in firing.items():
            if name not in self._alert_since:
                first = not self._told
                self._alert_since[name] = moment(alert["startsAt"])
                summary = alert["annotations"].get("summary", self.name)
                verb = "fires" if first else "is back"
                events.append(
                    Event(self._alert_since[name], f"ALERT {name} {verb}: {summary}", "alert")
                )
                self._told.add(("alert", name, alert["startsAt"]))
        for name in self._alert_since.keys() - firing.keys():
            del self._alert_since[name]
            events.append(Event(now, f"alert {name} is quiet", "dim"))
        return events

    def _unheard(self, events: Iterator[tuple[tuple[object, ...], Event]]) -> list[Event]:
        new: list[Event] = []
        for key, event in events:
            if key not in self._told:
                self._told.add(key)
                new.append(event)
        return new


def _of_remediation(story: Json, earlier: int) -> Iterator[tuple[tuple[object, ...], Event]]:
    """:param earlier: attempts in stories before this one"""
    identity, attempts = story["id"], story["attempts"]
    base = moment(story["opened_at"])
    for number, attempt in enumerate(attempts, start=earlier + 1):
        yield from _of_attempt(identity, number, attempt)
        if attempt["finished_at"]:
            base = moment(attempt["finished_at"])
    if story["state"] == "waiting" and story["next_action"] and story["next_action_at"]:
        until = moment(story["next_action_at"])
        what = _numbered(story["next_action"], earlier + len(attempts) + 1)
        if until - base >= timedelta(seconds=1):
            text = f"wait {both_paces(until - base)} before {what}"
            # The planned moment may move by a poll: a wait is told once for each step.
            yield (identity, "wait", len(attempts)), Event(base, text)
    if story["state"] == "quarantined":
        text = f"ESCALATED ({story['reason']}): a person is needed"
        yield (identity, "quarantined"), Event(base, text, "bad")
    if story["closed_at"]:
        text = f"the story {identity} is closed: {story['outcome']}"
        style = "good" if story["outcome"] in {RELIEVED, "recovered"} else ""
        yield (identity, "closed"), Event(moment(story["closed_at"]), text, style)


def _of_attempt(
    identity: str, number: int, attempt: Json
) -> Iterator[tuple[tuple[object, ...], Event]]:
    what = _numbered(attempt["action"], number)
    if attempt["action"] == "scale_out":
        text = f"scale-out ({attempt['reason']}): another instance takes over a share of the load"
    else:
        text = f"{what} ({attempt['reason']})"
    yield (identity, number, "started"), Event(moment(attempt["started_at"]), text, "act")
    if attempt.get("clone"):
        at = moment(attempt.get("acted_at") or attempt["started_at"])
        yield (identity, number, "clone"), Event(at, f"  the clone {attempt['clone']} runs", "act")
    if attempt["verdict"]:
        why = attempt.get("evidence") or attempt.get("error") or attempt.get("verdict_reason") or ""
        text = f"  {what}: {attempt['verdict']}" + (f", {why}" if why else "")
        style = "good" if attempt["verdict"] in {RELIEVED, "recovered"} else "bad"
        yield (identity, number, "verdict"), Event(moment(attempt["finished_at"]), text, style)


def _of_activity(activity: Json) -> Iterator[tuple[tuple[object, ...], Event]]:
    if activity["finished_at"]:
        text = f"  activity {activity['kind']} {activity['status']}: {activity['cause']}"
        yield (activity["id"], activity["status"]), Event(moment(activity["finished_at"]), text)


def _numbered(action: str, number: int) -> str:
    return f"restart {number}" if action == "restart" else action.replace("_", "-")
