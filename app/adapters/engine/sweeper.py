"""Measures every running container of an engine, over and over."""

import asyncio
from collections.abc import Container as Among
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from app.adapters.clock import LoopClock
from app.adapters.engine.series import Sample
from app.adapters.engine.stats import Allowance, ContainerReader, declared_cpus
from app.domain.container import EngineIdentity, Listed
from app.errors import ContainerGone, EngineUnavailable, RelevoError

# A sample of three sweeps ago says nothing of now; the controller draws the same line.
_SERVED_SWEEPS = 3
# `docker update` changes limits and tells nobody whom we ask: look again this often. A restart
# is noticed at once, by a counter that falls.
_LOOK_UP_SWEEPS = 4
# An engine that is away is usually back within seconds: don't miss more scrapes than needed.
_RETRIES_PER_SWEEP = 5
#: How long a sweep waits for the slowest container before the next may begin. API 1.40 takes two
#: seconds for each; one that hangs (a stuck runtime) must not hold up the others.
PATIENCE = timedelta(seconds=3)
# Below aiohttp's limit of 100 connections, where waiting for one would count as silence.
_AT_ONCE = 90

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Health:
    """How the sweeping itself goes."""

    #: How long the last complete sweep took.
    duration_s: float = 0.0
    #: Unix time at which it ended.
    ended_at: float | None = None
    #: What could not be asked: the engine (a whole sweep), or a container.
    errors: dict[str, int] = field(default_factory=lambda: {"engine": 0, "container": 0})


@dataclass(frozen=True, slots=True)
class _Kept:
    sample: Sample
    #: When it was taken, on the loop's clock.
    taken: float


@dataclass(frozen=True, slots=True)
class _LookedUp:
    allowance: Allowance
    #: In which sweep.
    sweep: int


class Sweeper:
    """
    Keeps the newest sample of every running container.

    :param every: from the beginning of one sweep to the beginning of the next
    :param label_prefix: of the label ``{prefix}.cpus``
    :param patience: how long a sweep waits for the slowest container, at least
    """

    def __init__(
        self,
        engine: ContainerReader,
        *,
        every: timedelta,
        label_prefix: str = "relevo",
        patience: timedelta = PATIENCE,
    ) -> None:
        self.health = Health()
        self._engine = engine
        self._every_s = every.total_seconds()
        self._patience_s = max(patience, every).total_seconds()
        self._cpus_label = f"{label_prefix}.cpus"
        self._host: EngineIdentity | None = None
        self._host_name = ""
        self._kept: dict[str, _Kept] = {}
        self._looked_up: dict[str, _LookedUp] = {}
        #: Being measured in this sweep, or still in an earlier one.
        self._measuring: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._sweeps = 0
        #: What was complained about and is not yet over, by container id; "" is the engine.
        self._said: dict[str, str] = {}
        #: Values of the label that were complained about, by container id.
        self._odd_labels: dict[str, str] = {}

    @property
    def host(self) -> EngineIdentity | None:
        """Who the engine is; None while it does not answer."""
        return self._host

    @property
    def host_name(self) -> str:
        """Its name, remembered while it is away; empty until it has answered once."""
        return self._host_name

    def samples(self) -> list[Sample]:
        """Give the samples that may be served now: none of them older than three sweeps."""
        sweep_s = max(self._every_s, self.health.duration_s)
        oldest = asyncio.get_running_loop().time() - _SERVED_SWEEPS * sweep_s
        return [kept.sample for kept in self._kept.values() if kept.taken >= oldest]

    async def run(self) -> None:
        """Sweep until cancelled, whatever the engine does."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                pause_s = self._every_s
                try:
                    await self.sweep()
                except EngineUnavailable as exc:
                    self._lost(str(exc))
                    pause_s /= _RETRIES_PER_SWEEP
                except Exception as exc:  # noqa: BLE001 -- an answer nobody foresaw; it may pass
                    self._lost(f"{type(exc).__name__}: {exc}")
                await asyncio.sleep(max(began + pause_s - loop.time(), 0))
        finally:
            await self._abandon()

    async def sweep(self) -> None:
        """
        Measure every running container once, all at the same time.

        :raises EngineUnavailable: it cannot even list its containers
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        # Anchored anew each time: after a suspension of the host, or when its clock was set,
        # every sample would look old until the collector is restarted.
        clock = LoopClock()
        self._sweeps += 1
        host = self._host
        if host is None or self._sweeps % _LOOK_UP_SWEEPS == 0:
            host = await self._engine.host()
        running = {container.id: container for container in await self._engine.running()}
        # Not before it listed its containers: an engine that can do no more than that is away.
        self._host, self._host_name = host, host.name
        self._say("", None)
        for known in (self._kept, self._looked_up, self._said, self._odd_labels):
            _forget(known, all_but=running)

        tasks = []
        # One that is still being measured since an earlier sweep is left to it.
        for id in running.keys() - self._measuring.keys():
            task = asyncio.create_task(self._measure(running[id], clock), name=id)
            self._measuring[id] = task
            task.add_done_callback(self._measured)
            tasks.append(task)
        if tasks:
            await asyncio.wait(tasks, timeout=self._patience_s)
        self.health.duration_s = loop.time() - began
        self.health.ended_at = clock.now().timestamp()

    def _measured(self, task: asyncio.Task[None]) -> None:
        del self._measuring[task.get_name()]

    async def _measure(self, container: Listed, clock: LoopClock) -> None:
        """Measure one container; never raises, so that the others are not disturbed."""
        try:
            async with self._slots:
                sample = await self._sample(container, clock)
        except ContainerGone:
            # It went between listing and asking. Nothing is wrong with that.
            sample = None
        except RelevoError as exc:
            self._failed(container, str(exc))
            return
        except Exception as exc:  # noqa: BLE001 -- an answer nobody foresaw
            self._failed(container, f"{type(exc).__name__}: {exc}")
            return
        self._say(container.id, None)
        if sample is None:
            self._kept.pop(container.id, None)
        else:
            self._kept[container.id] = _Kept(sample, asyncio.get_running_loop().time())

    async def _sample(self, container: Listed, clock: LoopClock) -> Sample | None:
        usage = await self._engine.usage(container.id)
        if usage is None:
            return None
        seen_at = clock.now().timestamp()
        before = self._kept.get(container.id)
        restarted = before is not None and (
            (before.sample.usage.cpu_seconds or 0) > (usage.cpu_seconds or 0)
        )
        known = self._looked_up.get(container.id)
        if known is None or restarted or self._sweeps - known.sweep >= _LOOK_UP_SWEEPS:
            # Without it there is no sample: limits that are missing mean "unlimited" to a rule.
            known = _LookedUp(await self._engine.allowance(container.id), self._sweeps)
            self._looked_up[container.id] = known
        return Sample(
            container=container,
            usage=usage,
            allowance=known.allowance,
            cpus=self._declared(container),
            seen_at=seen_at,
        )

    def _declared(self, container: Listed) -> float | None:
        label = container.labels.get(self._cpus_label)
        if label is None:
            return None
        try:
            return declared_cpus(label)
        except ValueError:
            if self._odd_labels.get(container.id) != label:
                self._odd_labels[container.id] = label
                _log.warning(
                    "collector.label_ignored",
                    container=container.name,
                    label=self._cpus_label,
                    value=label[:40],
                    why="not a positive number of cores",
                )
            return None

    def _lost(self, trouble: str) -> None:
        """Forget everything: of an engine that does not answer nothing is known."""
        # Who comes back may be another version, or another host behind the same address.
        self._host = None
        self._kept.clear()
        self._looked_up.clear()
        # What is still being measured must not come in afterwards.
        for task in self._measuring.values():
            task.cancel()
        self.health.errors["engine"] += 1
        self._say("", trouble)

    def _failed(self, container: Listed, trouble: str) -> None:
        """Keep the sample before; it tells its own age."""
        self.health.errors["container"] += 1
        self._say(container.id, trouble, of=container)

    def _say(self, key: str, trouble: str | None, *, of: Listed | None = None) -> None:
        """Log the first trouble, then only changes of it."""
        before = self._said.get(key)
        if trouble == before:
            return
        who = {"container": of.name} if of else {}
        if trouble is None:
            del self._said[key]
            _log.info("collector.recovered", after=before, **who)
        else:
            self._said[key] = trouble
            _log.warning("collector.trouble", trouble=trouble, **who)

    async def _abandon(self) -> None:
        tasks = tuple(self._measuring.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _forget(known: dict[str, Any], *, all_but: Among[str]) -> None:
    for key in [key for key in known if key and key not in all_but]:
        del known[key]
