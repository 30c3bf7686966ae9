"""Working fakes of the outside, asserted by their state; virtual time, no I/O."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from app.adapters.engine.connection import in_time
from app.domain.alert import AlertListing, ListedAlert
from app.domain.casefile import CaseFile
from app.domain.container import Container, EngineEvent, EngineIdentity, Listed, RunState
from app.domain.fidelity import Fate, FidelityItem, FidelityReport
from app.domain.usage import Room, Used
from app.errors import (
    CloneRefused,
    ContainerGone,
    EngineRefused,
    EngineUnavailable,
    SourceUnavailable,
    StartedMeanwhile,
)
from app.policies.spec import ScaleOutRules, SourceAfterwards
from app.ports import NO_END, Clock, CloneResult, Deadline
from tests.builders import ENGINE, container

FAITHFUL = FidelityReport(items=(), traffic="alias")
REFUSED = FidelityReport(
    items=(
        FidelityItem(
            field="Mounts",
            fate=Fate.REFUSED,
            detail="writes to volume data",
            reason="shared_volume",
        ),
    ),
    traffic="alias",
)
#: A host that is all but empty.
PLENTY = Room(
    memory=8 << 30,
    cpus=4.0,
    free_memory=7 << 30,
    free_cpus=3.5,
    needs_memory=64 << 20,
    needs_cpus=0.1,
)


@dataclass
class FakeEngine:
    """An engine that does what it is asked, and remembers what that was."""

    clock: Clock
    inside: dict[str, Container] = field(default_factory=dict)
    #: (what, container's name, when)
    acts: list[tuple[str, str, datetime]] = field(default_factory=list)
    down: bool = False
    #: Raised by the next actions, in order; None lets one through.
    errors: list[Exception | None] = field(default_factory=list)
    #: The action happens although its error is raised: the client left, Docker went on.
    acts_anyway: bool = False
    report: FidelityReport = FAITHFUL
    #: What becomes of a clone once it is started.
    on_clone: Callable[[Container], Container] = lambda clone: clone
    #: Every answer takes this long, and is then that there is none.
    hangs: timedelta = timedelta(0)
    #: Every action takes this long.
    takes: timedelta = timedelta(0)
    #: What containers have used, by name; who is not named cannot be measured.
    uses: dict[str, Callable[[Container], Used]] = field(default_factory=dict)
    free: Room = PLENTY
    #: As the daemon calls itself.
    hostname: str = ENGINE
    _starts: int = 0
    #: What happened and was not told yet; None: the stream is cut there.
    _happened: asyncio.Queue[EngineEvent | None] = field(default_factory=asyncio.Queue)

    def run(self, one: Container) -> Container:
        """Have a container on the engine."""
        self.inside[one.id] = one
        return one

    def named(self, name: str) -> Container:
        """Find a container."""
        return next(c for c in self.inside.values() if c.name == name)

    def names(self) -> set[str]:
        """Name all containers."""
        return {c.name for c in self.inside.values()}

    def done(self, what: str) -> list[datetime]:
        """When something was done."""
        return [at for kind, _, at in self.acts if kind == what]

    async def identity(self) -> EngineIdentity:
        await self._answer()
        return EngineIdentity(
            name=self.hostname, api_version=(1, 41), version="20.10", cpus=2, memory_bytes=1 << 30
        )

    async def containers(self) -> tuple[Listed, ...]:
        await self._answer()
        return tuple(self.inside.values())

    async def inspect(self, container_id: str) -> Container:
        await self._answer()
        if container_id not in self.inside:
            raise ContainerGone(container_id)
        return self.inside[container_id]

    async def restart(
        self,
        container_id: str,
        *,
        attempt_id: str,
        expected_started_at: str,
        stop_grace: timedelta,
        not_after: Deadline = NO_END,
    ) -> None:
        one = await self.inspect(container_id)
        if one.started_at != expected_started_at:
            raise StartedMeanwhile(container_id)
        in_time(not_after)
        await self._act("restart", one, lambda: self.started(one.id))

    async def start(
        self, container_id: str, *, attempt_id: str, not_after: Deadline = NO_END
    ) -> None:
        one = await self.inspect(container_id)
        in_time(not_after)
        await self._act("start", one, lambda: self.started(one.id))

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
        in_time(not_after)
        if dry_run:
            return CloneResult(report=self.report, clone=None)
        if self.report.is_refused:
            raise CloneRefused("writes to volume data")
        number = len(self.inside) + 100
        labels = {**source.labels, "relevo.clone-of": source.name, "relevo.attempt": attempt_id}
        networks = source.networks or self._known_of(source)
        if rules.source is not SourceAfterwards.KEEP:
            labels["relevo.source"] = rules.source.value
            labels["relevo.source-networks"] = json.dumps({name: {} for name in networks})
        clone = container(f"{source.name}_new{number}", number, labels=labels, networks=networks)

        def make() -> None:
            self.run(self.on_clone(clone))

        await self._act("clone", source, make)
        return CloneResult(report=self.report, clone=self.inside[clone.id])

    async def remove_clone(
        self, container_id: str, *, attempt_id: str, not_after: Deadline = NO_END
    ) -> None:
        one = await self.inspect(container_id)
        in_time(not_after)
        if "relevo.clone-of" not in one.labels:
            raise EngineRefused(403, "not a clone of ours")
        await self._act("remove", one, lambda: self.inside.pop(container_id))

    async def set_aside(
        self,
        container_id: str,
        *,
        attempt_id: str,
        networks: str | None,
        expected_started_at: str,
        not_after: Deadline = NO_END,
    ) -> None:
        one = await self.inspect(container_id)
        if one.started_at != expected_started_at:
            raise StartedMeanwhile(container_id)
        in_time(not_after)
        if networks is None:
            await self._act("stop", one, lambda: self._down(one))
        else:
            await self._act("isolate", one, lambda: self._on(one, ()))

    async def bring_back(
        self,
        container_id: str,
        *,
        attempt_id: str,
        networks: str,
        ends: str | None,
        starts: bool,
        not_after: Deadline = NO_END,
    ) -> tuple[str, ...]:
        one = await self.inspect(container_id)
        in_time(not_after)

        def serve() -> None:
            back = tuple(json.loads(networks or "{}")) or one.networks
            if ends == one.started_at and one.is_running:
                self._down(one)
            self._on(self.inside[one.id], back)
            if starts and not self.inside[one.id].is_running:
                self.started(one.id)

        await self._act("back", one, serve)
        return ()

    def _known_of(self, source: Container) -> tuple[str, ...]:
        """Tell the networks of an isolated source by the label of its clone."""
        for one in self.inside.values():
            if one.labels.get("relevo.clone-of") == source.name:
                return tuple(json.loads(one.labels.get("relevo.source-networks", "{}")))
        return ()

    def _on(self, one: Container, networks: tuple[str, ...]) -> None:
        is_cut_off = one.is_running and not networks
        self.inside[one.id] = replace(one, networks=networks, is_cut_off=is_cut_off)

    def _down(self, one: Container) -> None:
        exited = replace(one, state=RunState.EXITED, exit_code=143, is_cut_off=False)
        self.inside[one.id] = exited

    async def used(self, container_id: str, *, at: datetime) -> Used | None:
        one = await self.inspect(container_id)
        measure = self.uses.get(one.name)
        return None if measure is None else measure(one)

    async def room(self, container_id: str) -> Room:
        await self.inspect(container_id)
        return self.free

    async def evidence(self, container_id: str, *, at: datetime) -> CaseFile:
        one = await self.inspect(container_id)
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

    def happen(self, event: EngineEvent | None) -> None:
        """Have something told to who follows the events; None cuts them off."""
        self._happened.put_nowait(event)

    async def events(self, *, since_ns: int) -> AsyncGenerator[EngineEvent, None]:
        while True:
            await self._answer()
            event = await self._happened.get()
            if event is None:
                raise EngineUnavailable("the stream ended")
            yield event

    def started(self, container_id: str, **more: object) -> None:
        """Have a container started by whoever."""
        self._starts += 1
        one = self.inside[container_id]
        values = {"state": RunState.RUNNING, "started_at": f"start-{self._starts}"}
        self.inside[container_id] = replace(one, **(values | more))  # type: ignore[arg-type]

    async def _act(self, what: str, one: Container, effect: Callable[[], object]) -> None:
        await asyncio.sleep(self.takes.total_seconds())
        error = self.errors.pop(0) if self.errors else None
        if error is None or self.acts_anyway:
            self.acts.append((what, one.name, self.clock.now()))
            effect()
        if error is not None:
            raise error

    async def _answer(self) -> None:
        if self.hangs:
            await asyncio.sleep(self.hangs.total_seconds())
            raise EngineUnavailable("no answer")
        if self.down:
            raise EngineUnavailable("cannot connect")


@dataclass
class FakeAlertmanager:
    """An Alertmanager's API whose alerts are set by the test."""

    up_since: datetime
    alerts: list[ListedAlert] = field(default_factory=list)
    watchdog: bool = True
    down: bool = False
    #: False: its routes to our receiver have time intervals.
    may_open: bool = True

    async def listing(self) -> AlertListing:
        if self.down:
            raise SourceUnavailable("cannot connect")
        return AlertListing(
            alerts=tuple(self.alerts),
            watchdog=self.watchdog,
            up_since=self.up_since,
            may_open=self.may_open,
        )


@dataclass
class FakePrometheus:
    """A Prometheus that knows how old the newest sample is."""

    clock: Clock
    age: timedelta | None = timedelta(seconds=5)
    down: bool = False
    #: Labels of the alerts that its rules have firing.
    alerts: list[Mapping[str, str]] = field(default_factory=list)

    async def newest_sample(self, *, engine: str, container: str, now: datetime) -> datetime | None:
        if self.down:
            raise SourceUnavailable("cannot connect")
        return None if self.age is None else self.clock.now() - self.age

    async def firing(self) -> tuple[Mapping[str, str], ...]:
        if self.down:
            raise SourceUnavailable("cannot connect")
        return tuple(self.alerts)


def web(**more: object) -> Container:
    """The container that most tests are about."""
    return container("web", 1, **more)


@dataclass
class LivelyEngine(FakeEngine):
    """An engine that tells of everything that happens to containers, in Docker's own order."""

    #: Called after every start, whoever made it.
    on_started: Callable[[Container], object] = lambda one: None
    #: Containers that are out by our hand at this moment, and the most that ever were at once.
    out: set[str] = field(default_factory=set)
    most_out: int = 0
    _told_ns: int = 0

    def tell(self, one: Container, action: str, **attributes: str) -> None:
        """Tell of one event."""
        since_epoch = self.clock.now() - datetime(1970, 1, 1, tzinfo=UTC)
        self._told_ns = max(self._told_ns + 1, since_epoch // timedelta(microseconds=1) * 1000)
        self.happen(
            EngineEvent(
                at_ns=self._told_ns,
                container_id=one.id,
                name=one.name,
                action=action,
                attributes={**one.labels, "image": one.image, "name": one.name, **attributes},
            )
        )

    def stop(self, name: str, *, signal: str = "15", exit_code: int = 0) -> None:
        """Have a person stop a container."""
        one = self.named(name)
        self._ended(one, signal=signal, exit_code=exit_code)
        self.tell(one, "stop")

    def kill(self, name: str, *, signal: str = "9", ends: bool = True) -> None:
        """Have a person send it a signal."""
        one = self.named(name)
        if ends:
            self._ended(one, signal=signal, exit_code=128 + int(signal))
        else:
            self.tell(one, "kill", signal=signal)

    def crash(self, name: str, *, exit_code: int = 1) -> None:
        """Have it end by itself."""
        one = self.named(name)
        self.run(replace(one, state=RunState.EXITED, exit_code=exit_code))
        self.tell(one, "die", exitCode=str(exit_code))

    def pause(self, name: str, *, paused: bool = True) -> None:
        """Have a person pause it, or end that."""
        one = self.named(name)
        self.run(replace(one, state=RunState.PAUSED if paused else RunState.RUNNING))
        self.tell(one, "pause" if paused else "unpause")

    def remove(self, name: str) -> None:
        """Have a container removed."""
        one = self.named(name)
        del self.inside[one.id]
        self.tell(one, "destroy")

    def started(self, container_id: str, **more: object) -> None:
        """Have a container started by whoever."""
        now = f"{self.clock.now():%Y-%m-%dT%H:%M:%S}.{self._starts:09d}Z"
        values = {"exit_code": 0, "oom_killed": False, "started_at": now}
        super().started(container_id, **(values | more))
        self.tell(self.inside[container_id], "start")
        self.on_started(self.inside[container_id])

    async def _act(self, what: str, one: Container, effect: Callable[[], object]) -> None:
        if what == "restart":
            self.out.add(one.id)
            self.most_out = max(self.most_out, len(self.out))
            self._ended(one, signal="15", exit_code=137)
            self.tell(one, "stop")
        try:
            await super()._act(what, one, effect)
        finally:
            self.out.discard(one.id)
        if what == "restart":
            self.tell(one, "restart")

    def _ended(self, one: Container, *, signal: str, exit_code: int) -> None:
        self.tell(one, "kill", signal=signal)
        self.run(replace(one, state=RunState.EXITED, exit_code=exit_code))
        self.tell(one, "die", exitCode=str(exit_code))
