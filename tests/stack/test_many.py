"""
The whole real chain when much goes wrong at once, and when Alertmanager is gone.

Two labs side by side: what takes the most time is that containers have to fall ill, and be judged.
"""

from datetime import timedelta

import pytest

from app.adapters.clock import LoopClock
from tests.stack.answers import Json
from tests.stack.conftest import StartLab
from tests.stack.containers import Illness, Patient
from tests.stack.lab import NO_BOUNDS, Lab
from tests.stack.stories import comes_to, failures, is_left_alone, recovers, restarted
from tests.stack.wait import eventually, side_by_side

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.timeout(280)]

#: An alert fires some 9 s after its container fell ill; a busy machine may take twice as long.
FIRES = 60.0
BURNS = Illness(cpu=(2,))
#: More than three that fail are too many; the shipped brake, but for the budget.
GUARDS = {key: value for key, value in NO_BOUNDS.items() if key != "brake"}
IMPATIENT: Json = {
    "name": "impatient",
    "restart": {"delays": ["1s", "12s"]},
    "verify": {"deadline": "6s"},
}


async def test_too_much_at_once(start_lab: StartLab) -> None:
    await side_by_side(
        many_fail(start_lab),
        alertmanager_is_gone(start_lab),
    )


async def many_fail(start_lab: StartLab) -> None:
    """Four that no restart cures, and one that a person has stopped."""
    slow = {"name": "slow", "restart": {"delays": ["15s"]}}
    lab = await start_lab(policies=(IMPATIENT, slow), guards=GUARDS)
    burners = [await lab.ward.admit(f"burner-{number}", BURNS) for number in range(4)]
    stopped = await lab.ward.admit("stopped", BURNS, labels={f"{lab.engine}.policy": "slow"})
    await comes_to(lab, stopped, "waiting", within=FIRES)
    await stopped.do("stop")

    for burner in burners:
        await comes_to(lab, burner, "held", "brake", within=FIRES)

    # One alert for all of them, by Prometheus' rule, and one for the brake, by Relevo.
    for name in ("RelevoManyContainersFailing", "RelevoBrake"):
        (alert,) = await listed(lab, name)
        assert alert["labels"]["engine"] == lab.engine
        await hears(lab, alert["annotations"]["summary"])
    (firing,) = await lab.query('ALERTS{alertname="RelevoManyContainersFailing"}')
    assert firing["metric"]["alertstate"] == "firing"
    status = await lab.get("/api/v1/status")
    assert status["failing_targets"] == 4
    assert status["brake"]["engaged_at"] is not None
    assert status["brake"]["failing"] == 4

    # Frozen: but not for a person.
    done = {burner.name: len(await burner.restarts()) for burner in burners}
    by_hand, *others = burners
    answer = await lab.order(by_hand, "restart", "I know what I do")
    assert answer.status_code == 202, answer.text
    await restarted(by_hand, done[by_hand.name] + 1)
    for burner in others:
        await is_left_alone(burner, state="running", restarts=done[burner.name])
    assert (await lab.attempts(by_hand))[-1]["trigger"] == "manual"

    # What does not run has no alert either: no recovery, no failure, and nothing is done.
    await is_left_alone(stopped, state="exited")
    assert await failures(lab, stopped) == 0
    assert await lab.attempts(stopped) == []


async def listed(lab: Lab, name: str) -> list[Json]:
    """Wait until Alertmanager lists an alert."""

    async def look() -> list[Json]:
        return await lab.alarm.listed(name)

    return await eventually(look, within=20, what=f"Alertmanager lists {name}")


async def hears(lab: Lab, what: str) -> None:
    """Wait until Slack was told."""

    async def look() -> bool:
        return any(what in one["title"] + one["text"] for one in lab.slack.attachments())

    await eventually(look, within=30, what=f"Slack hears: {what}")


async def alertmanager_is_gone(start_lab: StartLab) -> None:
    """After its first notice Alertmanager is stopped: whether it is still so, Prometheus tells."""
    lab = await start_lab(
        policies=({"name": "patient", "restart": {"delays": ["15s"]}},), guards=NO_BOUNDS
    )
    ill = await lab.ward.admit("ill", Illness(cpu=(2, 0.3)))
    calmed = await lab.ward.admit("calmed", BURNS)
    for patient in (ill, calmed):
        await comes_to(lab, patient, "waiting", within=FIRES)
    await pulled(lab)

    await lab.alertmanager.stop()
    await calmed.fall_quiet()

    await restarted(ill, within=FIRES)
    story = await recovers(lab, ill, within=FIRES)
    assert len(story["attempts"]) == 1
    assert await ended_by_itself(lab, calmed) == []
    assert await calmed.restarts() == []
    assert not lab.alertmanager.running


async def pulled(lab: Lab) -> None:
    """Wait until Alertmanager has been asked since now: what it never listed it cannot end."""
    clock = LoopClock()
    since = clock.now()

    async def look() -> bool:
        age = await lab.metric(f'relevo_pull_age_seconds{{engine="{lab.engine}"}}')
        # The gauge counts from the beginning of a pull.
        return clock.now() - timedelta(seconds=age) > since

    await eventually(look, within=20, what="Alertmanager has been asked")


async def ended_by_itself(lab: Lab, patient: Patient) -> list[Json]:
    """Wait until a story has ended; return its attempts."""
    story = await comes_to(lab, patient, "closed", within=FIRES)
    assert story["outcome"] in {"cancelled", "vanished"}
    return list(story["attempts"])
