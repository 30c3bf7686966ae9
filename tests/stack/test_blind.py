"""
Silence is no recovery: a dead part of the chain, in the middle of a verification.

Each fault is long enough that the alert of the container, which burns all the time, is gone from
Alertmanager, and stays gone for longer than the settle time of 12 s.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from tests.stack.answers import Json
from tests.stack.conftest import StartLab
from tests.stack.containers import Illness, Patient
from tests.stack.lab import Lab
from tests.stack.program import Program
from tests.stack.wait import always, eventually

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.timeout(200)]

Fault = Callable[[Lab], Awaitable[None]]

#: The settle time is 12 s; Alertmanager holds an alert that nobody renews for another 12 s (four
#: times the resend delay of 3 s). After 45 s without knowing, Relevo would escalate: well below.
BLIND_FOR = 30.0


async def stop_prometheus(lab: Lab) -> None:
    await lab.prometheus.stop()


async def freeze_prometheus(lab: Lab) -> None:
    # It holds its connections and answers nothing: what Relevo asks of it hangs.
    lab.prometheus.send(signal.SIGSTOP)


async def kill_collector(lab: Lab) -> None:
    await lab.collector.kill()


def no_recovery(stories: list[Json]) -> None:
    """Nobody has been called recovered, neither an attempt nor a story."""
    for story in stories:
        # "cancelled" is possible: on a machine so busy that the container gets no CPU to burn,
        # its alert really ends before the restart. That is no verdict.
        assert story["outcome"] != "recovered", story
        for attempt in story["attempts"]:
            assert attempt["verdict"] != "recovered", attempt


async def verifying(lab: Lab, patient: Patient) -> None:
    """Wait until the first restart has been done and is being verified."""

    async def look() -> bool:
        stories = await lab.remediations(patient)
        return bool(stories) and stories[0]["state"] in {"verifying", "settling"}

    await eventually(look, within=60, what="the restart is being verified")


async def judged(lab: Lab, patient: Patient) -> None:
    """Once the chain sees again, the truth is told."""

    async def look() -> bool:
        stories = await lab.remediations(patient)
        no_recovery(stories)
        verdicts = {attempt["verdict"] for story in stories for attempt in story["attempts"]}
        return "symptom_persists" in verdicts

    await eventually(look, within=60, what="the attempt has its true verdict")


async def blinded(start_lab: StartLab, break_it: Fault, mend: Callable[[Lab], Program]) -> None:
    """One lab, one part of which falls silent in the middle of a verification."""
    lab = await start_lab()
    burner = await lab.ward.admit("burner", Illness(cpu=(2,)))
    await verifying(lab, burner)

    await break_it(lab)

    vanished = False

    async def look() -> None:
        nonlocal vanished
        vanished = vanished or not await lab.alerts(burner)
        no_recovery(await lab.remediations(burner))

    await always(look, during=BLIND_FOR)
    assert vanished, "the fault was none: Alertmanager listed the alert all the time"

    program = mend(lab)
    if program.ended:
        await program.start()
    else:
        program.send(signal.SIGCONT)
    await judged(lab, burner)


async def alertmanager_restarts(start_lab: StartLab) -> None:
    """It forgets its alerts, and has them back within 3 s: a longer fault does not exist."""
    lab = await start_lab()
    burner = await lab.ward.admit("burner", Illness(cpu=(2,)))
    await verifying(lab, burner)

    await lab.alertmanager.stop()
    await lab.alertmanager.start()

    # Without distrust, the settle time of 12 s would have begun in the gap.
    async def look() -> None:
        no_recovery(await lab.remediations(burner))

    await always(look, during=15)
    await judged(lab, burner)


async def test_nobody_recovers_while_the_chain_is_broken(start_lab: StartLab) -> None:
    # Side by side, or it would take three minutes.
    async with asyncio.TaskGroup() as group:
        group.create_task(blinded(start_lab, stop_prometheus, lambda lab: lab.prometheus))
        group.create_task(blinded(start_lab, freeze_prometheus, lambda lab: lab.prometheus))
        group.create_task(blinded(start_lab, kill_collector, lambda lab: lab.collector))
        group.create_task(alertmanager_restarts(start_lab))
