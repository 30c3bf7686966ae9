"""Taking a clone away, step by step as app/adapters/engine/removal.py: each may be the last."""

import asyncio
from dataclasses import replace
from typing import Any

from app.adapters.engine.connection import in_time
from app.domain.container import RunState
from app.errors import ContainerGone, EngineRefused, LeaseLost, TooLate
from app.ports import Deadline
from tests.sim.daemon import Daemon

_STEP_S = 30.0


async def remove(view: Any, container_id: str, *, attempt_id: str, not_after: Deadline) -> None:
    """See `ContainerEngine.remove_clone`; `view` is a `tests.sim.engine_view.EngineView`."""
    daemon: Daemon = view._daemon
    about = (container_id, attempt_id)
    try:
        one = await view.inspect(container_id)
        if view.checks_label and "relevo.clone-of" not in one.labels:
            raise EngineRefused(403, f"{one.name} is no clone of ours")
        if view.checks_deadline:
            in_time(not_after)
        try:
            if one.networks:
                await _off_its_networks(view, about, not_after)
            grace = one.stop_grace.total_seconds()
            takes = min(float(one.labels.get("sim.stops-in", "0.5")), grace)
            await view._write(
                "stop",
                lambda _: _stop(daemon, container_id, takes),
                about=about,
                within=grace + _STEP_S,
                not_after=not_after,
            )
            await view._write(
                "remove",
                lambda _: _delete(daemon, container_id, attempt_id),
                about=about,
                within=_STEP_S,
                not_after=not_after,
            )
        except TooLate as exc:
            raise LeaseLost("the clone has not left yet") from exc
    except ContainerGone:
        return


async def _off_its_networks(view: Any, about: tuple[str, str], not_after: Deadline) -> None:
    try:
        await view._write(
            "disconnect",
            lambda _: _disconnect(view._daemon, about[0]),
            about=about,
            within=_STEP_S,
            not_after=not_after,
        )
    except EngineRefused:
        return  # stopping takes it off them, too


async def _disconnect(daemon: Daemon, container_id: str) -> None:
    daemon.look(container_id)
    daemon.may_refuse()
    await asyncio.sleep(0.1)
    daemon.put(replace(daemon.look(container_id), networks=()))


async def _stop(daemon: Daemon, container_id: str, takes: float) -> None:
    one = daemon.look(container_id)
    if one.state is not RunState.RUNNING:
        return
    daemon.may_refuse()
    daemon.tell(one, "kill", signal="15")
    await asyncio.sleep(takes)
    if daemon.look(container_id).state is RunState.RUNNING:
        daemon.end(container_id, signal=None, exit_code=143)
    daemon.tell(one, "stop")


async def _delete(daemon: Daemon, container_id: str, attempt_id: str) -> None:
    daemon.look(container_id)
    daemon.may_refuse()
    await asyncio.sleep(0.2)
    if container_id in daemon.inside:
        daemon.removed[container_id] = attempt_id
        daemon.remove(container_id)
