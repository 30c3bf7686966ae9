"""Working fakes of the outside, asserted by their state; virtual time, no I/O."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.domain.alert import AlertListing, ListedAlert
from app.domain.container import Container, EngineIdentity, Listed, RunState
from app.domain.fidelity import Fate, FidelityItem, FidelityReport
from app.errors import (
    CloneRefused,
    ContainerGone,
    EngineRefused,
    EngineUnavailable,
    SourceUnavailable,
    StartedMeanwhile,
)
from app.policies.spec import ScaleOutRules
from app.ports import Clock, CloneResult
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
    _starts: int = 0

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
            name=ENGINE, api_version=(1, 41), version="20.10", cpus=2, memory_bytes=1 << 30
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
        self, container_id: str, *, attempt_id: str, expected_started_at: str, stop_grace: timedelta
    ) -> None:
        one = await self.inspect(container_id)
        if one.started_at != expected_started_at:
            raise StartedMeanwhile(container_id)
        await self._act("restart", one, lambda: self.started(one.id))

    async def start(self, container_id: str, *, attempt_id: str) -> None:
        one = await self.inspect(container_id)
        await self._act("start", one, lambda: self.started(one.id))

    async def clone(
        self,
        source_id: str,
        *,
        attempt_id: str,
        rules: ScaleOutRules,
        at: datetime,
        dry_run: bool = False,
    ) -> CloneResult:
        source = await self.inspect(source_id)
        if dry_run:
            return CloneResult(report=self.report, clone=None)
        if self.report.is_refused:
            raise CloneRefused("writes to volume data")
        number = len(self.inside) + 100
        labels = {**source.labels, "relevo.clone-of": source.name, "relevo.attempt": attempt_id}
        clone = container(f"{source.name}_new{number}", number, labels=labels)

        def make() -> None:
            self.run(self.on_clone(clone))

        await self._act("clone", source, make)
        return CloneResult(report=self.report, clone=self.inside[clone.id])

    async def remove_clone(self, container_id: str, *, attempt_id: str) -> None:
        one = await self.inspect(container_id)
        if "relevo.clone-of" not in one.labels:
            raise EngineRefused(403, "not a clone of ours")
        await self._act("remove", one, lambda: self.inside.pop(container_id))

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

    async def listing(self) -> AlertListing:
        if self.down:
            raise SourceUnavailable("cannot connect")
        return AlertListing(
            alerts=tuple(self.alerts), watchdog=self.watchdog, up_since=self.up_since
        )


@dataclass
class FakePrometheus:
    """A Prometheus that knows how old the newest sample is."""

    clock: Clock
    age: timedelta | None = timedelta(seconds=5)
    down: bool = False

    async def newest_sample(self, *, engine: str, container: str, now: datetime) -> datetime | None:
        if self.down:
            raise SourceUnavailable("cannot connect")
        return None if self.age is None else self.clock.now() - self.age


def web(**more: object) -> Container:
    """The container that most tests are about."""
    return container("web", 1, **more)
