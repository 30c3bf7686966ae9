"""
What a container makes of its restart, told by the engine: it stops slowly, is killed, loops, ends,
is unhealthy or takes its time; or there is another one in its place.

The alerts are the test's own, in the real Alertmanager; nobody needs Prometheus for that.
"""

from datetime import datetime, timedelta

import pytest

from tests.stack.answers import Json
from tests.stack.conftest import StartLab
from tests.stack.containers import HEALTH_CHECK, Illness, Patient
from tests.stack.lab import NO_BOUNDS, Lab
from tests.stack.stories import (
    closed,
    comes_to,
    failures,
    newest,
    recovers,
    restarted,
    verdicts,
)
from tests.stack.wait import eventually, side_by_side

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.timeout(240)]

#: The second wait is long enough to be told from the first one, and to look at things in it.
FIRST_WAIT = timedelta(seconds=2)
SECOND_WAIT = timedelta(seconds=10)
PATIENT: Json = {
    "name": "patient",
    "restart": {
        "delays": [f"{FIRST_WAIT.seconds}s", f"{SECOND_WAIT.seconds}s"],
    },
    "verify": {"deadline": "8s", "settle": "3s", "poll": "500ms"},
}
#: Of real time: stop graces are never scaled.
STUBBORN = 35
STOP_GRACE = 40


async def test_the_verdict_is_what_became_of_the_container(start_lab: StartLab) -> None:
    lab = await start_lab(
        policies=(PATIENT,), guards=NO_BOUNDS, without=("prometheus", "relevo-collect")
    )

    await side_by_side(
        stops_slowly(lab),
        resolved_while_acting(lab),
        runs_out_of_memory(lab),
        loops(lab),
        ends_at_once(lab),
        unhealthy(lab),
        takes_its_time(lab),
        made_anew(lab),
    )


async def stops_slowly(lab: Lab) -> None:
    """It needs 35 of its 40 seconds to end: that is no failure, and no reason for impatience."""
    patient = await lab.ward.admit(
        "slow", Illness(stubborn=STUBBORN), options=("--stop-timeout", str(STOP_GRACE))
    )
    await lab.alarm.fire(patient)
    await comes_to(lab, patient, "acting")

    (restart,) = await restarted(patient, within=STOP_GRACE + 20)
    await comes_to(lab, patient, "verifying")
    await lab.alarm.calm(patient)

    story = await recovers(lab, patient)
    (attempt,) = story["attempts"]
    assert attempt["verdict"] == "recovered"
    assert restart - moment(attempt["started_at"]) > timedelta(seconds=STUBBORN - 1)
    # Its deadline of 8 s counts from the end of the restart, not from its beginning.
    assert moment(attempt["acted_at"]) >= restart - timedelta(seconds=1)


async def resolved_while_acting(lab: Lab) -> None:
    patient = await lab.ward.admit(
        "resolved", Illness(stubborn=5), options=("--stop-timeout", "10")
    )
    await lab.alarm.fire(patient)
    await comes_to(lab, patient, "acting")

    await lab.alarm.calm(patient)

    await restarted(patient)
    await recovers(lab, patient)
    assert await patient.state() == "running"


async def runs_out_of_memory(lab: Lab) -> None:
    # After its first restart it wants more than it may have; the second one cures it.
    patient = await lab.ward.admit("greedy", Illness(exits=(None, "oom", None)))
    await lab.alarm.fire(patient)

    (attempt,) = await verdicts(lab, patient, within=30)
    assert attempt["verdict"] == "exited"
    assert "memory" in attempt["evidence"]
    assert await failures(lab, patient) == 1

    # It is down by our restart, and not by a person's wish: it is started again after its wait.
    await restarted(patient, 2)
    story = await newest(lab, patient)
    assert story is not None
    files = (await lab.get(f"/api/v1/remediations/{story['id']}"))["case_files"]
    first, second = (files[one["id"]] for one in story["attempts"][:2])
    assert (first["state"], first["oom_killed"]) == ("running", False)
    assert (second["state"], second["oom_killed"]) == ("exited", True)


async def loops(lab: Lab) -> None:
    patient = await lab.ward.admit(
        "looping", Illness(quiet=(0, 1), exits=(None, 3)), options=("--restart", "always")
    )
    await lab.alarm.fire(patient)

    (attempt, *_) = await verdicts(lab, patient, within=30)
    assert attempt["verdict"] == "crash_loop"
    assert await failures(lab, patient) == 1


async def ends_at_once(lab: Lab) -> None:
    patient = await lab.ward.admit("ending", Illness(exits=(None, 3, None)))
    await lab.alarm.fire(patient)

    (attempt,) = await verdicts(lab, patient, within=30)
    assert attempt["verdict"] == "exited"
    assert "3" in attempt["evidence"]
    assert await failures(lab, patient) == 1

    await restarted(patient, 2)
    await lab.alarm.calm(patient)
    story = await closed(lab, patient, within=30)
    assert [one["verdict"] for one in story["attempts"]] == ["exited", "recovered"]


async def unhealthy(lab: Lab) -> None:
    patient = await lab.ward.admit("unhealthy", Illness(healthy=(0, None)), options=HEALTH_CHECK)
    await is_probed(patient)
    await lab.alarm.fire(patient)

    (attempt, *_) = await verdicts(lab, patient, within=30)
    assert attempt["verdict"] == "unhealthy"
    assert await failures(lab, patient) == 1


async def takes_its_time(lab: Lab) -> None:
    """Not healthy for 12 s after its restart, as its health check says it may be: patience."""
    patient = await lab.ward.admit(
        "starting",
        Illness(healthy=(0, 12)),
        options=(*HEALTH_CHECK, "--health-start-period", "20s"),
    )
    await is_probed(patient)
    await lab.alarm.fire(patient)
    # Its start period holds for its first life, too, until a probe has passed.
    (restart,) = await restarted(patient)

    await is_probed(patient)
    await lab.alarm.calm(patient)

    story = await recovers(lab, patient)
    (attempt,) = story["attempts"]
    assert attempt["verdict"] == "recovered"
    # Longer than the deadline of 8 s, with the alert active all the time.
    assert moment(attempt["finished_at"]) - restart > timedelta(seconds=12)


async def is_probed(patient: Patient) -> None:
    """Wait until its health check has passed."""

    async def look() -> bool:
        return bool((await patient.inspect())["State"]["Health"]["Status"] == "healthy")

    await eventually(look, within=30, what=f"{patient.name} is healthy")


async def made_anew(lab: Lab) -> None:
    """The same image under the same name keeps its history; a new image begins a new one."""
    patient = await lab.ward.admit("anew", Illness())
    await lab.alarm.fire(patient)
    await verdicts(lab, patient, within=30)
    assert await failures(lab, patient) == 1

    again = await lab.ward.readmit(patient, Illness())

    (restart,) = await restarted(again)
    assert restart - again.created > SECOND_WAIT
    assert await failures(lab, again) == 1

    image = await lab.ward.image(f"{lab.engine}-anew", changed=True)
    new = await lab.ward.readmit(again, Illness(), image=image)

    (restart,) = await restarted(new)
    assert await failures(lab, new) == 0
    story = await newest(lab, new)
    assert story is not None
    assert len(story["attempts"]) == 1
    # As the first time: the long wait is for those who have failed before.
    assert restart - moment(story["opened_at"]) < SECOND_WAIT


def moment(text: str) -> datetime:
    """Read a time of Relevo's."""
    return datetime.fromisoformat(text)
