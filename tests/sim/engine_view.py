"""The daemon as one controller process reaches it: `ContainerEngine`, with its adapter's checks."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from app.adapters.engine.connection import in_time
from app.domain.casefile import CaseFile
from app.domain.container import Container, EngineEvent, EngineIdentity, Listed, RunState
from app.domain.usage import Room, Used
from app.errors import (
    ContainerGone,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    LeaseLost,
    StartedMeanwhile,
    TooLate,
)
from app.policies.spec import ScaleOutRules
from app.ports import NO_END, CloneResult, Deadline
from tests.builders import ENGINE
from tests.fakes import FAITHFUL, PLENTY
from tests.sim import removal
from tests.sim.daemon import Daemon
from tests.sim.process import Dead, Process

#: As app/adapters/engine/connection.py bounds its calls.
_READ_S = 5.0
_STEP_S = 30.0
_SLACK_S = 30.0
_MEASURES_S = 1.2


_READS = ("containers", "delete", "events", "evidence", "identity", "inspect", "room", "used")


class EngineView:
    """See the module."""

    def __init__(self, daemon: Daemon, process: Process) -> None:
        self._daemon = daemon
        self._process = process
        self._reads = {word: process.passing(f"engine.{word}", self._ask) for word in _READS}
        #: The deadline at the request is asked about (a planted bug may leave that out).
        self.checks_deadline = True
        self.compares = True
        self.checks_label = True
        #: Told of every request that writes, as it is sent.
        self.watch: Any = None

    def _read(self, point: str, what: Callable[[], Any]) -> Awaitable[Any]:
        return self._reads[point](what)

    async def _ask(self, what: Callable[[], Any]) -> Any:
        temper = self._daemon.temper
        if temper.down:
            raise EngineUnavailable("cannot connect")
        if temper.hangs:
            await asyncio.sleep(_READ_S)
            raise EngineSilent("no answer")
        return what()

    async def identity(self) -> EngineIdentity:
        answer: EngineIdentity = await self._read(
            "identity",
            lambda: EngineIdentity(
                name=ENGINE, api_version=(1, 41), version="20.10", cpus=2, memory_bytes=1 << 30
            ),
        )
        return answer

    async def containers(self) -> tuple[Listed, ...]:
        answer: tuple[Listed, ...] = await self._read(
            "containers", lambda: tuple(self._daemon.inside.values())
        )
        return answer

    async def inspect(self, container_id: str) -> Container:
        answer: Container = await self._read("inspect", lambda: self._daemon.look(container_id))
        return answer

    async def set_aside(self, container_id: str, **_: Any) -> None:
        """See `ContainerEngine`: no profile has a policy that asks for it."""
        raise NotImplementedError(container_id)

    async def bring_back(self, container_id: str, **_: Any) -> tuple[str, ...]:
        """See `ContainerEngine`: no profile has a policy that asks for it."""
        raise NotImplementedError(container_id)

    async def used(self, container_id: str, *, at: datetime) -> Used | None:
        one: Container = await self._read("used", lambda: self._daemon.look(container_id))
        await asyncio.sleep(_MEASURES_S)  # the engine counts twice
        self._daemon.may_refuse()
        if one.state is not RunState.RUNNING:
            return None
        now, traffic = self._daemon.now, self._daemon.traffic
        return Used(
            at=at,
            started_at=one.started_at,
            cpu_seconds=traffic.cpu_seconds(one.id, now),
            network_bytes=traffic.network_bytes(one.id, now),
        )

    async def room(self, container_id: str) -> Room:
        await self._read("room", lambda: self._daemon.look(container_id))
        return PLENTY

    async def evidence(self, container_id: str, *, at: datetime) -> CaseFile:
        one: Container = await self._read("evidence", lambda: self._daemon.look(container_id))
        return CaseFile(
            container_id=one.id,
            container=one.name,
            taken_at=at,
            state=one.state.value,
            started_at=one.started_at,
            exit_code=one.exit_code,
            oom_killed=one.oom_killed,
            restart_count=one.restart_count,
            logs=(f"{one.name} says its last words",),
            stats={"pids": 1.0},
        )

    # ------------------------------------------------------------ writing

    async def restart(
        self,
        container_id: str,
        *,
        attempt_id: str,
        expected_started_at: str,
        stop_grace: timedelta,
        not_after: Deadline = NO_END,
    ) -> None:
        seen = await self.inspect(container_id)
        if self.compares and seen.started_at != expected_started_at:
            raise StartedMeanwhile(container_id)
        if seen.state is RunState.PAUSED:
            raise EngineRefused(409, f"{seen.name} is paused")
        stops_in = min(stop_grace.total_seconds(), _stops_in(seen))
        await self._write(
            "restart",
            lambda phase: self._daemon.restart(container_id, attempt_id, stops_in, phase),
            about=(container_id, attempt_id),
            within=stop_grace.total_seconds() + _SLACK_S,
            not_after=not_after,
        )

    async def start(
        self, container_id: str, *, attempt_id: str, not_after: Deadline = NO_END
    ) -> None:
        await self._write(
            "start",
            lambda phase: self._daemon.start(container_id, attempt_id, phase),
            about=(container_id, attempt_id),
            within=_STEP_S,
            not_after=not_after,
        )

    async def clone(
        self,
        source_id: str,
        *,
        attempt_id: str,
        rules: ScaleOutRules,
        at: datetime,
        dry_run: bool = False,
        not_after: Deadline = NO_END,
    ) -> CloneResult:
        source = await self.inspect(source_id)
        if dry_run:
            return CloneResult(report=FAITHFUL, clone=None)
        listing = await self.containers()
        half_made = next(
            (one for one in listing if one.labels.get("relevo.attempt") == attempt_id), None
        )
        if half_made is not None and half_made.state is RunState.RUNNING:
            return CloneResult(report=FAITHFUL, clone=await self.inspect(half_made.id))
        made: list[str] = [half_made.id] if half_made is not None else []
        try:
            if not made:
                labels = {
                    **source.labels,
                    **self._daemon.next_number(source),
                    "relevo.clone-of": source.name,
                    "relevo.attempt": attempt_id,
                    "relevo.created-at": at.isoformat(),
                }
                created = await self._write(
                    "create",
                    lambda phase: self._daemon.create(source, attempt_id, labels),
                    about=(source_id, attempt_id),
                    within=_STEP_S,
                    not_after=not_after,
                )
                made.append(created.id)
            await self._process.at("engine.connect<")
            await self._process.at("engine.connect>")
            try:
                await self._write(
                    "clone_start",
                    lambda phase: self._daemon.start(made[0], attempt_id, phase),
                    about=(made[0], attempt_id),
                    within=_STEP_S,
                    not_after=not_after,
                )
            except TooLate as exc:
                raise LeaseLost("the clone is made and not started") from exc
            return CloneResult(report=FAITHFUL, clone=await self.inspect(made[0]))
        except ContainerGone as exc:
            raise EngineRefused(404, "the clone was removed while it was made") from exc
        except (EngineRefused, EngineUnavailable):
            for clone_id in made:
                await self._unmake(clone_id)
            raise

    async def _unmake(self, clone_id: str) -> None:
        try:
            await self._read("delete", lambda: self._daemon.remove(clone_id))
        except EngineUnavailable:
            return

    async def remove_clone(
        self, container_id: str, *, attempt_id: str, not_after: Deadline = NO_END
    ) -> None:
        await removal.remove(self, container_id, attempt_id=attempt_id, not_after=not_after)

    async def _write(
        self,
        point: str,
        work: Callable[[Any], Any],
        *,
        about: tuple[str, str],
        within: float,
        not_after: Deadline,
    ) -> Any:
        process, daemon = self._process, self._daemon
        await process.at(f"engine.{point}.send<")
        # As the adapter: at once before the request leaves, with nothing awaited in between.
        if self.checks_deadline:
            in_time(not_after)
        if daemon.temper.down:
            raise EngineUnavailable("cannot connect")
        if daemon.temper.hangs:
            await asyncio.sleep(within)
            raise EngineSilent("no answer")
        process.trace.add(process.label, f"engine.{point}", f"sent {about[1]}")
        if self.watch is not None:
            self.watch.sent(process, point, *about)

        def phase(name: str) -> None:
            if process.alive:
                process.passed[f"engine.{point}.{name}"] = 1
                process.spring(f"engine.{point}.{name}")

        silent = daemon.silences()
        job = daemon.request(work(phase))
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(within):
                answer = await asyncio.shield(job)
                if silent:
                    await asyncio.Event().wait()
        except TimeoutError as exc:
            raise EngineSilent("no answer in time") from exc
        finally:
            job.add_done_callback(_seen)
            if not process.alive:
                raise Dead
        await process.at(f"engine.{point}.send>")
        return answer

    # ------------------------------------------------------------ events

    async def events(self, *, since_ns: int) -> AsyncGenerator[EngineEvent, None]:
        await self._read("events", lambda: None)
        queue = self._daemon.listen(since_ns)
        try:
            while True:
                event = await queue.get()
                if not self._process.alive:
                    raise Dead
                if event is None:
                    raise EngineUnavailable("the stream ended")
                yield event
        finally:
            self._daemon.leave(queue)


def _stops_in(one: Container) -> float:
    """How long a container takes to stop: some do not hear SIGTERM at all."""
    takes = float(one.labels.get("sim.stops-in", "0.5"))
    return min(takes, one.stop_grace.total_seconds())


def _seen(job: "asyncio.Task[Any]") -> None:
    if not job.cancelled():
        job.exception()
