"""
How alerts come in: twice, with the store gone in between; not at all; and those of other hosts.
"""

import pytest

from tests.stack.answers import Json
from tests.stack.conftest import StartLab
from tests.stack.containers import Illness, Patient
from tests.stack.lab import NO_BOUNDS, Lab
from tests.stack.stories import comes_to, is_left_alone, recovers, restarted
from tests.stack.wait import eventually, side_by_side

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.redis, pytest.mark.timeout(200)]

WELL = Illness()
#: No measuring here: the alerts are the test's own, in the real Alertmanager.
WITHOUT = ("prometheus", "relevo-collect")


def patient_policy(wait: str) -> Json:
    return {
        "name": "patient",
        "restart": {"delays": [wait]},
        "verify": {"deadline": "10s", "settle": "3s", "poll": "500ms"},
    }


async def test_each_need_is_one_restart_however_it_is_told(start_lab: StartLab) -> None:
    # Side by side: each lab is small.
    await side_by_side(
        told_twice_with_the_store_gone_in_between(start_lab),
        never_told(start_lab),
        told_about_another_host(start_lab),
    )


async def told_twice_with_the_store_gone_in_between(start_lab: StartLab) -> None:
    lab = await start_lab(
        policies=(patient_policy("12s"),), own_redis=True, pair=True, without=WITHOUT
    )
    assert lab.redis is not None
    patient = await lab.ward.admit("patient", WELL)
    await lab.alarm.fire(patient)
    due = (await comes_to(lab, patient, "waiting"))["next_action_at"]

    await lab.redis.stop()
    await lab.alarm.fire(patient, url=lab.other_alertmanager_url)

    async def refused() -> bool:
        # Counted by Alertmanager itself, which tries again.
        return await failed_deliveries(lab, lab.other_alertmanager_url) > 0

    await eventually(refused, within=20, what="the second notice is refused while Redis is down")
    await lab.redis.start()

    async def taken() -> bool:
        return await lab.counted("accepted") >= 2

    await eventually(taken, within=20, what="the second notice is taken on")
    assert (await comes_to(lab, patient, "waiting"))["next_action_at"] == due
    await restarted(patient)
    await lab.alarm.calm(patient, lab.alertmanager_url, lab.other_alertmanager_url)
    story = await recovers(lab, patient)
    assert len(story["attempts"]) == 1
    await is_left_alone(patient, state="running", restarts=1)
    assert len(await lab.remediations(patient)) == 1


async def failed_deliveries(lab: Lab, alertmanager: str) -> float:
    """How many requests to webhooks have failed, by an Alertmanager's own count."""
    page = (await lab.page(f"{alertmanager}/metrics")).text
    name = 'alertmanager_notification_requests_failed_total{integration="webhook"}'
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(name))


async def never_told(start_lab: StartLab) -> None:
    lab = await start_lab(policies=(patient_policy("1s"),), without=WITHOUT)
    await lab.deliver_to()
    patient = await lab.ward.admit("patient", WELL)
    await lab.alarm.fire(patient)

    await restarted(patient)
    await lab.alarm.calm(patient)
    await recovers(lab, patient)
    assert await lab.counted("accepted") == 0


async def told_about_another_host(start_lab: StartLab) -> None:
    """Two hosts with the same project behind one Alertmanager, both on the one real engine."""
    options = {
        "policies": (patient_policy("1s"),),
        "guards": NO_BOUNDS | {"deploy_hold": "0s"},
    }
    one = await start_lab(**options, without=WITHOUT)
    other = await start_lab(
        **options,
        without=(*WITHOUT, "alertmanager"),
        environment={"RELEVO_ALERTMANAGER_URL": one.alertmanager_url},
    )
    await one.deliver_to(one, other)

    async def admit(number: int) -> Patient:
        labels = {
            # Both may act on it: the label of the alert alone says whose it is.
            f"{other.engine}.enable": "true",
            "com.docker.compose.project": f"{one.engine}-shop",
            "com.docker.compose.service": "web",
            "com.docker.compose.container-number": str(number),
        }
        return await one.ward.admit(f"web-{number}", WELL, labels=labels)

    ours, theirs = await admit(1), await admit(2)
    await one.alarm.fire(ours)
    await one.alarm.fire(theirs, engine=other.engine)

    for patient in (ours, theirs):
        await restarted(patient)
        await one.alarm.calm(patient)
    for lab, its, foreign in ((one, ours, theirs), (other, theirs, ours)):
        await recovers(lab, its)
        assert await lab.remediations(foreign) == []
        assert await lab.counted("skipped", "other_engine") >= 1
    for patient in (ours, theirs):
        assert len(await patient.restarts()) == 1
