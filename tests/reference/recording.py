"""
Examples for the OpenAPI document, recorded from a whole Relevo over fakes, in virtual time.

Every answer that the document knows is provoked once: what is shown to people is what Relevo says,
and an error that nobody can provoke is none.
"""

import json
from collections import Counter
from collections.abc import Coroutine, Mapping
from typing import Any, Final

import looptime

from app.api.document import operations
from tests.controller.house import pass_time
from tests.reference.provoking import provoke
from tests.reference.scene import HALT, NOTICE, QUESTION, TARGET, WHY, Recorder, Scene, scene

#: Of the metrics a few are enough to show what they look like.
_SHOWN: Final = ("relevo_build_info", "relevo_targets", "relevo_store_up")


def record(document: Mapping[str, Any]) -> dict[str, Any]:
    """Record an example of each answer that a document knows."""
    recorder = Recorder(document)
    for tell in (
        _incident,
        _orders_done,
        _holds,
        _pauses,
        _cancels,
        _scales_in,
        _audited,
        _questions,
    ):
        _run(tell(recorder))
    for _, _, operation in operations(document):
        name = operation["operationId"]
        for status in map(int, operation["responses"]):
            if status not in (200, 202) and str(status) not in recorder.answers[name]:
                _run(provoke(recorder, name, status))
    return _compact(recorder)


def _run(telling: Coroutine[Any, Any, None]) -> None:
    """Run a story from the same moment as all others, in virtual time."""
    loop = looptime.new_event_loop(start=0)
    try:
        loop.run_until_complete(telling)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def _compact(recorder: Recorder) -> dict[str, Any]:
    """Put what is answered everywhere alike in one place."""
    everywhere: dict[str, Any] = {}
    for status in ("400", "401", "403", "404", "409", "413", "415", "422", "503"):
        said = [json.dumps(told[status]) for told in recorder.answers.values() if status in told]
        often = Counter(said).most_common(1)
        if often and often[0][1] > 1:
            everywhere[status] = json.loads(often[0][0])
    told: dict[str, Any] = {}
    for name, answers in recorder.answers.items():
        own = {
            status: answer
            for status, answer in sorted(answers.items())
            if everywhere.get(status) != answer
        }
        request = {"request": recorder.requests[name]} if name in recorder.requests else {}
        told[name] = request | own
    return {"everywhere": everywhere, "operations": told}


async def _incident(recorder: Recorder) -> None:
    """Tell of a container that three restarts do not help, and another instance does."""
    async with scene() as at:
        await recorder.call(at, "receive_alerts", expect=202, json=NOTICE)
        await pass_time(seconds=30)
        await recorder.call(at, "list_targets", expect=200)
        await pass_time(minutes=4.5)
        story = await at.house.story()
        await recorder.call(at, "list_remediations", expect=200)
        await recorder.call(at, "show_remediation", expect=200, about=story.id)
        await pass_time(minutes=22)
        await recorder.call(at, "show_target", expect=200)
        await recorder.call(at, "list_activities", expect=200)
        await recorder.call(at, "show_status", expect=200)


async def _orders_done(recorder: Recorder) -> None:
    async with scene() as at:
        await _both(recorder, at, "reset_target", WHY)
        await pass_time(seconds=2)
        await _both(recorder, at, "restart_target", WHY)
        await pass_time(minutes=15)
        await _both(recorder, at, "scale_out_target", WHY)


async def _holds(recorder: Recorder) -> None:
    async with scene() as at:
        await _both(recorder, at, "hold_target", HALT)
        await _both(recorder, at, "release_target", WHY)


async def _pauses(recorder: Recorder) -> None:
    async with scene() as at:
        await _both(recorder, at, "pause", HALT)
        await _both(recorder, at, "resume", WHY)


async def _cancels(recorder: Recorder) -> None:
    async with scene() as at:
        story = await at.ill(seconds=10)
        await _both(recorder, at, "cancel_remediation", WHY, about=story)
        await at.well(minutes=10)
        await recorder.call(at, "cancel_remediation", expect=409, about=story, json=WHY)


async def _scales_in(recorder: Recorder) -> None:
    async with scene() as at:
        await at.ill(minutes=40)
        await at.well(minutes=10)
        await _both(recorder, at, "scale_in_target", WHY)


async def _audited(recorder: Recorder) -> None:
    async with scene() as at:
        await at.http.post(f"/api/v1/targets/{TARGET}/restart", json=WHY)
        await pass_time(minutes=1)
        await recorder.call(at, "read_audit", expect=200)
        await recorder.call(at, "verify_audit", expect=200)


async def _both(
    recorder: Recorder, at: Scene, name: str, body: Mapping[str, Any], about: str = TARGET
) -> None:
    """Ask what would come of it, and have it done."""
    await recorder.call(at, name, expect=200, about=about, query="dry_run=true", json=body)
    await recorder.call(at, name, expect=202, about=about, json=body)


async def _questions(recorder: Recorder) -> None:
    # A simulation runs in a thread, in real time: nothing of virtual time may be under way.
    async with scene(works=False) as at:
        await recorder.call(at, "simulate_policy", expect=200, json=QUESTION)
        recorder.requests["simulate_policy"] = QUESTION
        for name in ("list_policies", "check_health", "check_readiness", "reload_policies"):
            await recorder.call(at, name, expect=200)
        text = (await recorder.call(at, "read_metrics", expect=200)).text
        shown = [line for line in text.splitlines() if any(name in line for name in _SHOWN)]
        recorder.answers["read_metrics"]["200"] = "".join(f"{line}\n" for line in shown)
