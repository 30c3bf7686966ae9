"""
What became of a restart, told by the whole real chain.

The containers fall ill side by side in one lab: five stories take the time of the longest one.
"""

import asyncio

import pytest

from tests.stack.conftest import StartLab
from tests.stack.containers import Illness, Patient
from tests.stack.lab import NO_BOUNDS, Lab
from tests.stack.stories import closed, verdicts
from tests.stack.wait import eventually

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.timeout(240)]

#: An alert fires 9 s after the container fell ill, the first restart comes at 12 s, its verdict
#: at 21 s at the latest or, after a recovery, once 12 s (CPU) have been quiet. A machine that is
#: busy with other tests may take twice as long for everything.
FIRST_VERDICT = 60.0
#: 15 s after the first verdict the second restart, 9 s later its verdict.
SECOND_VERDICT = 60.0
#: 15 s of `for`, and 18 s of settling.
MEMORY_RECOVERED = 100.0


async def recovers(lab: Lab, patient: Patient, *, within: float) -> None:
    """One restart that helped: the story ends, nothing counts, and nothing more is done."""
    story = await closed(lab, patient, within=within)

    assert story["outcome"] == "recovered"
    assert [attempt["action"] for attempt in story["attempts"]] == ["restart"]
    assert [attempt["verdict"] for attempt in story["attempts"]] == ["recovered"]
    assert len(await patient.restarts()) == 1
    target = await lab.target(patient)
    assert target is not None
    assert target["state"] == "ok"
    assert target["failures_in_window"] == 0


async def persists(lab: Lab, patient: Patient) -> None:
    """Two restarts that did not help: each one failed, and counts once."""
    first = await verdicts(lab, patient, 1, within=FIRST_VERDICT)
    assert [attempt["verdict"] for attempt in first] == ["symptom_persists"]
    target = await lab.target(patient)
    assert target is not None
    assert target["failures_in_window"] == 1

    both = await verdicts(lab, patient, 2, within=SECOND_VERDICT)

    assert [attempt["verdict"] for attempt in both] == ["symptom_persists"] * 2
    assert [attempt["action"] for attempt in both] == ["restart"] * 2
    target = await lab.target(patient)
    assert target is not None
    assert target["failures_in_window"] == 2
    assert len(await patient.restarts()) == 2


async def test_the_verdict_is_what_happened_to_the_symptom(start_lab: StartLab) -> None:
    lab = await start_lab(guards=NO_BOUNDS)
    ward = lab.ward
    # From all it can get to 70% of its limit: still busy, and well.
    to_busy = await ward.admit("cured-to-70", Illness(cpu=(2, 0.7)))
    to_idle = await ward.admit("cured-to-idle", Illness(cpu=(2, 0)))
    burner = await ward.admit("burner", Illness(cpu=(2,)))
    # 45 s, twenty times faster: long enough that its alert ends before it comes back.
    quiet_first = await ward.admit("quiet-first", Illness(cpu=(2,), quiet=(0, 45 / 20)))
    # A whole core, so that growing is no CPU alert as well.
    leaker = await ward.admit("leaker", Illness(memory=(0.9, 0.1), cpus=1.0))
    # Busy, and nobody's business.
    well = await ward.admit("well", Illness(cpu=(0.6,)))

    async with asyncio.TaskGroup() as group:
        group.create_task(recovers(lab, to_busy, within=FIRST_VERDICT))
        group.create_task(recovers(lab, to_idle, within=FIRST_VERDICT))
        group.create_task(persists(lab, burner))
        group.create_task(persists(lab, quiet_first))
        group.create_task(recovers(lab, leaker, within=MEMORY_RECOVERED))

    assert (await lab.remediations(to_busy))[0]["alerts"] == ["ContainerHighCPU"]
    assert (await lab.remediations(leaker))[0]["alerts"] == ["ContainerHighMemory"]
    await told_people(lab, to_busy, leaker)
    await was_left_alone(lab, well)


async def was_left_alone(lab: Lab, patient: Patient) -> None:
    """Seen by the rules all the time, and never touched."""
    assert await lab.remediations(patient) == []
    assert await patient.restarts() == []
    for measured in ("cpu_utilisation:ratio_rate1m", "memory_utilisation:ratio"):
        assert await lab.query(f'relevo:container_{measured}{{name="{patient.name}"}}')


async def told_people(lab: Lab, *patients: Patient) -> None:
    """Slack got each of them too: the route to Relevo does not swallow the one to people."""

    async def look() -> bool:
        texts = [str(one) for one in lab.slack.attachments()]
        return all(any(patient.name in text for text in texts) for patient in patients)

    await eventually(look, within=30, what="Slack heard of both")
    assert lab.slack.complaints == []
