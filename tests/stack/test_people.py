"""
Relevo is not alone with a container: people silence, pause, stop and deploy, and say what is off
limits. Each of that ends in a word, and in no restart.

The alerts are the test's own, in the real Alertmanager; nobody needs Prometheus for that.
"""

from datetime import timedelta

import pytest

from app.adapters.clock import LoopClock
from tests.stack.answers import Json
from tests.stack.conftest import StartLab
from tests.stack.containers import Illness
from tests.stack.lab import NO_BOUNDS, Lab
from tests.stack.stories import (
    comes_to,
    failures,
    is_left_alone,
    newest,
    recovers,
    restarted,
    verdicts,
)
from tests.stack.wait import eventually, side_by_side

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.timeout(200)]

WELL = Illness()
#: Long enough to do something during a wait, also on a machine that is busy.
PATIENT: Json = {
    "name": "patient",
    "restart": {"delays": ["6s"]},
    "verify": {"deadline": "12s", "settle": "4s", "poll": "500ms"},
}
#: As written: short, so that each of them can be seen to end.
DEPLOY_HOLD = timedelta(seconds=7)


async def test_what_people_do_is_respected(start_lab: StartLab) -> None:
    lab = await start_lab(
        policies=(PATIENT,),
        guards=NO_BOUNDS | {"deploy_hold": f"{DEPLOY_HOLD.total_seconds():g}s"},
        without=("prometheus", "relevo-collect"),
    )

    await side_by_side(
        silenced_while_waiting(lab),
        silenced_while_verifying(lab),
        paused_while_waiting(lab),
        stopped_while_waiting(lab),
        stopped_while_verifying(lab),
        deployed_while_waiting(lab),
        task_of_a_swarm(lab),
        part_of_the_chain(lab),
        observed(lab),
    )


async def silenced_while_waiting(lab: Lab) -> None:
    patient = await lab.ward.admit("silenced-early", WELL)
    await lab.alarm.fire(patient)
    await comes_to(lab, patient, "waiting")

    silence = await lab.alarm.silence(patient)

    await comes_to(lab, patient, "held", "silenced")
    await is_left_alone(patient, state="running")
    # Silenced is not over: when the silence ends, what was due is done.
    await lab.alarm.unsilence(silence)
    await restarted(patient)
    await lab.alarm.calm(patient)
    await recovers(lab, patient)


async def silenced_while_verifying(lab: Lab) -> None:
    patient = await lab.ward.admit("silenced-late", WELL)
    await lab.alarm.fire(patient)
    await comes_to(lab, patient, "verifying")

    await lab.alarm.silence(patient)

    (attempt,) = await verdicts(lab, patient, within=20)
    assert (attempt["verdict"], attempt["verdict_reason"]) == ("cancelled", "silenced")
    await comes_to(lab, patient, "held", "silenced")
    await is_left_alone(patient, state="running", restarts=1)
    assert await failures(lab, patient) == 0


async def paused_while_waiting(lab: Lab) -> None:
    patient = await lab.ward.admit("paused", WELL)
    await lab.alarm.fire(patient)
    await comes_to(lab, patient, "waiting")

    await patient.do("pause")

    await comes_to(lab, patient, "held", "paused_container")
    await is_left_alone(patient, state="paused")
    assert await failures(lab, patient) == 0
    await patient.do("unpause")
    await restarted(patient)


async def stopped_while_waiting(lab: Lab) -> None:
    patient = await lab.ward.admit("stopped-early", WELL)
    await lab.alarm.fire(patient)
    await comes_to(lab, patient, "waiting")

    await patient.do("stop")

    await comes_to(lab, patient, "held", "human")
    await is_left_alone(patient, state="exited")
    # Whoever stopped it starts it again: looked after as a restart, and nobody's failure.
    await patient.do("start")
    await comes_to(lab, patient, "verifying")
    await lab.alarm.calm(patient)
    story = await recovers(lab, patient)
    assert [attempt["trigger"] for attempt in story["attempts"]] == ["foreign"]
    assert await patient.restarts() == []


async def stopped_while_verifying(lab: Lab) -> None:
    patient = await lab.ward.admit("stopped-late", WELL)
    await lab.alarm.fire(patient)
    await comes_to(lab, patient, "verifying")

    await patient.do("stop")

    (attempt,) = await verdicts(lab, patient, within=20)
    assert (attempt["verdict"], attempt["verdict_reason"]) == ("held", "human")
    await comes_to(lab, patient, "held", "human")
    await is_left_alone(patient, state="exited", restarts=1)
    assert await failures(lab, patient) == 0


async def deployed_while_waiting(lab: Lab) -> None:
    project = f"{lab.engine}-shop"

    def labels(service: str) -> dict[str, str]:
        return {
            "com.docker.compose.project": project,
            "com.docker.compose.service": service,
            "com.docker.compose.container-number": "1",
        }

    database = await lab.ward.admit("database", WELL, labels=labels("db"))
    web = await lab.ward.admit("web", WELL, labels=labels("web"))

    await lab.alarm.fire(web)
    await comes_to(lab, web, "waiting")

    deployed_at = LoopClock().now()
    await lab.ward.readmit(database, WELL, labels=labels("db"))

    await comes_to(lab, web, "held", "deploy")
    (restart,) = await restarted(web)
    assert restart >= deployed_at + DEPLOY_HOLD


async def task_of_a_swarm(lab: Lab) -> None:
    service = f"{lab.engine}-service"
    patient = await lab.ward.admit(
        "task",
        WELL,
        labels={
            "com.docker.swarm.service.name": service,
            "com.docker.swarm.task.name": f"{service}.1.x7k2m",
            "com.docker.swarm.task.id": "x7k2m",
        },
    )
    await lab.alarm.fire(patient)

    await is_skipped(lab, "swarm_task")
    await is_left_alone(patient, state="running")


async def part_of_the_chain(lab: Lab) -> None:
    image = await lab.ward.image("prom/prometheus")
    patient = await lab.ward.admit("chain", WELL, image=image)
    await lab.alarm.fire(patient)

    await is_skipped(lab, "protected")
    await is_left_alone(patient, state="running")
    assert await newest(lab, patient) is None


async def is_skipped(lab: Lab, reason: str) -> None:
    async def look() -> int:
        return await lab.counted("skipped", reason)

    assert await eventually(look, within=20, what=f"an alert is skipped: {reason}") == 1


async def observed(lab: Lab) -> None:
    """Two in observe mode, one of which gets well by itself."""
    labels = {f"{lab.engine}.enable": "observe"}
    passes = await lab.ward.admit("passes", WELL, labels=labels)
    stays = await lab.ward.admit("stays", WELL, labels=labels)
    for patient in (passes, stays):
        await lab.alarm.fire(patient)
    for patient in (passes, stays):
        await comes_to(lab, patient, "verifying")
    await lab.alarm.calm(passes)

    for patient, passed in ((passes, True), (stays, False)):
        attempts = await verdicts(lab, patient, within=30)
        assert [one["verdict"] for one in attempts] == ["would_have"]
        assert [one["trigger"] for one in attempts] == ["rehearsal"]
        assert [one["passed"] for one in attempts] == [passed]
    await lab.alarm.calm(stays)

    status = await lab.get("/api/v1/status")
    assert status["precision"] == {
        "would_have_acted": 2,
        "passed_by_itself": 1,
        "still_needed": 1,
    }
    assert await passes.restarts() == await stays.restarts() == []
    assert await failures(lab, stays) == 0
