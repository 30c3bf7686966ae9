"""
What people are told: Relevo's own alerts, through the real Alertmanager, at Slack's far side.

And what they are not: an outcome must never come back as a symptom.
"""

import pytest

from app.adapters.clock import LoopClock
from tests.stack.answers import Json
from tests.stack.conftest import StartLab
from tests.stack.containers import Illness, Patient
from tests.stack.lab import NO_BOUNDS, Lab
from tests.stack.stories import comes_to, is_left_alone, newest
from tests.stack.wait import eventually, side_by_side

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.timeout(200)]

WELL = Illness()
PAGES = "https://relevo.example.org"
VERIFY = {"deadline": "4s", "settle": "3s", "poll": "500ms"}
POLICIES: tuple[Json, ...] = (
    {
        "name": "gives-up",
        "match": {"alerts": ["GivesUp"]},
        "restart": {"delays": ["1s"], "max_failed": 1},
        "verify": VERIFY,
        "scale_out": {"enabled": False},
    },
    {
        "name": "grows",
        "match": {"alerts": ["Grows"]},
        "strategy": "scale_first",
        "verify": VERIFY,
        "scale_out": {"warm_up": "1s", "cooldown": "60s"},
    },
)
#: A message about a group waits for what joins it: 1.5 s the first time, 15 s afterwards; and what
#: Relevo says is believed for 15 s.
TOLD = 45.0


async def test_people_are_told_once_and_until_it_is_over(start_lab: StartLab) -> None:
    lab = await start_lab(
        policies=POLICIES,
        guards=NO_BOUNDS,
        environment={"RELEVO_EXTERNAL_URL": PAGES},
        without=("prometheus", "relevo-collect"),
    )

    await side_by_side(
        escalated(lab),
        scaled_out(lab),
        no_symptom(lab),
    )

    assert lab.slack.complaints == []


async def escalated(lab: Lab) -> None:
    patient = await lab.ward.admit("hopeless", WELL)
    await lab.alarm.fire(patient, name="GivesUp")
    story = await comes_to(lab, patient, "quarantined", within=30)

    message = await told(lab, f"{patient.name} needs a person")

    assert message["title_link"] == f"{PAGES}/remediations/{story['id']}"
    assert "GivesUp" in message["text"]
    assert "1 restart" in message["text"]
    (alert,) = await lab.alarm.listed("RelevoEscalated")
    assert alert["labels"]["engine"] == lab.engine
    assert alert["labels"]["target"] == f"{lab.engine}:{patient.name}"
    assert [one["name"] for one in alert["receivers"]] == ["slack-incidents"]
    await lab.alarm.calm(patient, name="GivesUp")
    story = await comes_to(lab, patient, "closed")
    assert story["outcome"] == "escalated"
    await is_over(lab, "RelevoEscalated", patient)
    assert await only_story(lab, patient) == ["GivesUp"]


async def scaled_out(lab: Lab) -> None:
    patient = await lab.ward.admit("crowded", WELL, labels={f"{lab.engine}.stateless": "true"})
    await lab.alarm.fire(patient, name="Grows")
    story = await comes_to(lab, patient, "cooldown", within=30)

    message = await told(lab, f"{patient.name} was scaled out")

    clone = story["attempts"][0]["clone"]
    assert clone == f"{patient.name}_new"
    assert clone in message["text"]
    assert message["title_link"] == f"{PAGES}/remediations/{story['id']}"
    await lab.alarm.calm(patient, name="Grows")
    story = await comes_to(lab, patient, "closed")
    assert story["outcome"] == "relieved"
    await is_over(lab, "RelevoScaledOut", patient)
    assert await only_story(lab, patient) == ["Grows"]


async def no_symptom(lab: Lab) -> None:
    """Relevo's own words, even as an alert that is made to look like a symptom."""
    patient = await lab.ward.admit("bystander", WELL)
    # Not routed to Relevo: the shipped route sees to that; so it is delivered by hand as well.
    await lab.alarm.fire(patient, name="RelevoEscalated")
    answer = await lab.notify(
        patient, status="firing", starts_at=LoopClock().now(), alert="RelevoEscalated"
    )

    assert answer["skipped"] == 1
    assert answer["accepted"] == 0
    await is_left_alone(patient, state="running")
    assert await newest(lab, patient) is None
    await lab.alarm.calm(patient, name="RelevoEscalated")


async def told(lab: Lab, what: str) -> Json:
    """Wait for a message at Slack, that something has begun."""

    async def look() -> Json | None:
        for one in lab.slack.attachments():
            # As the headline of the message, or of a paragraph among others.
            if what in one["title"] + one["text"] and one["color"] != "good":
                return one
        return None

    return await eventually(look, within=TOLD, what=f"Slack hears: {what}")


async def is_over(lab: Lab, name: str, patient: Patient) -> None:
    """Wait for a message at Slack that it is over; Alertmanager no longer has the alert before."""

    async def look() -> bool:
        ends = ("is well again", "is relieved")
        return any(
            one["color"] == "good" and any(f"{patient.name} {end}" in one["title"] for end in ends)
            for one in lab.slack.attachments()
        )

    await eventually(look, within=TOLD, what=f"Slack hears that it is over: {patient.name}")
    targets = [one["labels"].get("name", "") for one in await lab.alarm.listed(name)]
    assert patient.name not in targets
    about = [one for one in lab.slack.attachments() if one["title"].startswith(f"{patient.name} ")]
    assert len(about) <= 3, [one["title"] for one in about]
    # From the first one on it is said what comes next.
    assert all("Next: " in one["text"] for one in about), about


async def only_story(lab: Lab, patient: Patient) -> list[str]:
    """The alerts of the one and only story of a container."""
    (story,) = await lab.remediations(patient)
    return [str(alert) for alert in story["alerts"]]
