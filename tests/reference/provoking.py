"""Has each operation answer each error that the document says it can."""

import asyncio
from dataclasses import replace
from typing import Any, Final

from app.api.body import MAX_BODY
from app.controller.feed import MOST_LISTENERS
from app.domain.container import RunState
from app.errors import BadConfiguration
from tests.controller.house import pass_time
from tests.reference.scene import HALT, NAME, NOTICE, QUESTION, TARGET, WHY, Recorder, Scene, scene

_JSON: Final = {"Content-Type": "application/json"}
#: Ask the engine; all others can do without it, and not without the store.
_OF_THE_ENGINE: Final = ("restart_target", "scale_out_target", "scale_in_target", "check_readiness")
#: Can do without both: what is shown there is not looked at while too many guess.
_OF_NEITHER: Final = (
    "list_policies",
    "simulate_policy",
    "show_status",
    "read_metrics",
    "reload_policies",
)
_HALTS: Final = ("hold_target", "pause")


async def provoke(recorder: Recorder, name: str, status: int) -> None:
    """Have an operation answer an error. :raises AssertionError: it answers something else"""
    async with scene(works=False) as at:
        await at.http.get("/api/v1/targets")  # by now it knows its engine
        sent = {"json": _body(name)} if recorder.paths[name][0] == "POST" else {}
        about = "nobody" if status == 404 else TARGET
        match status:
            case 400:
                sent = {"content": b'{"reason": ', "headers": _JSON}
            case 401:
                sent["headers"] = {"Authorization": ""}
            case 403:
                other = "read" if name == "receive_alerts" else "ingest"
                sent["headers"] = {"Authorization": f"Bearer {other}"}
            case 404 if name == "simulate_policy":
                sent["json"] = {"policy": "nobody"}
            case 409:
                sent |= await _conflict(at, name, recorder.paths[name][1])
            case 413:
                sent = {"content": b" " * (MAX_BODY + 1), "headers": _JSON}
            case 415:
                sent = {"content": b"reason=stuck", "headers": {"Content-Type": "text/plain"}}
            case 422:
                sent |= _wrong(at, name)
            case 503:
                await _down(at, name)
        await recorder.call(at, name, expect=status, about=about, **sent)


def _body(name: str) -> Any:
    bodies = {"receive_alerts": NOTICE, "simulate_policy": QUESTION}
    return bodies.get(name, HALT if name in _HALTS else WHY)


async def _conflict(at: Scene, name: str, path: str) -> dict[str, Any]:
    """Put something in the way of an order, or send its key for something else before."""
    if name in ("restart_target", "scale_out_target", "scale_in_target"):
        await at.http.post(f"/api/v1/targets/{TARGET}/hold", json=HALT)
    elif name != "release_target":  # there is nothing to release
        key = {"Idempotency-Key": "7d1f3f2e-8f0c-4a53-9d6e-0b1f0a3c9a55"}
        url = path.replace("{target}", TARGET)
        await at.http.post(url, json={"reason": "something else"}, headers=key)
        return {"headers": key}
    return {}


def _wrong(at: Scene, name: str) -> dict[str, Any]:
    """Ask for what cannot be."""
    engine = at.house.engine
    match name:
        case "restart_target" | "scale_out_target":
            engine.run(replace(engine.named(NAME), state=RunState.EXITED))
            return {}
        case "scale_in_target":
            return {}  # there is no clone
        case "reload_policies":
            raise_in(at, BadConfiguration("policies.yaml:3:5: restrat: there is no such key"))
            return {}
        case "simulate_policy":
            return {"json": {"policy_file": "defaults:\n  restrat: {}\n"}}
        case "hold_target" | "pause":
            return {"json": HALT | {"for": "soon"}}
        case "receive_alerts":
            return {"json": {**NOTICE, "version": "3"}}
        case "list_remediations":
            return {"params": {"state": "sad"}}
        case "list_activities" | "read_audit":
            return {"params": {"limit": 0}}
        case "follow_events":
            return {"headers": {"Last-Event-ID": "x" * 201}}
    return {"json": {"author": "ana"}}


def raise_in(at: Scene, error: Exception) -> None:
    """Have the policy file be wrong when it is read next."""

    def load() -> Any:
        raise error

    at.parts.reloading._read = load


async def _down(at: Scene, name: str) -> None:
    if name == "follow_events":
        for _ in range(MOST_LISTENERS):
            at.until_end.enter_context(at.house.controller.feed.listening())
    elif name in _OF_THE_ENGINE:
        at.house.engine.down = True
        await pass_time(seconds=5)  # one look serves a moment
    elif name in _OF_NEITHER:
        await _crowd(at)
    else:
        at.store_is_down = True


async def _crowd(at: Scene) -> None:
    """Have somebody at the same address guess, many tokens at once."""

    async def guess(number: int) -> None:
        shown = {"Authorization": f"Bearer guess-{number}"}
        await at.http.get("/api/v1/status", headers=shown)

    for number in range(20):
        task = asyncio.create_task(guess(number))
        at.until_end.callback(task.cancel)
    await pass_time(seconds=0.1)
