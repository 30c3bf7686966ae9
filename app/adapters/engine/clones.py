"""
Making a clone, and unmaking what was made.

Create → connect → start. Whatever happens between, cancellation included, what this call
made is removed again, by its id; the source is only looked at. Nothing is pulled: the clone
starts from the id of the image that the source runs.
"""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import structlog
from aiodocker.networks import DockerNetwork

from app.adapters.engine import queries, removal, translate
from app.adapters.engine.connection import (
    EngineConnection,
    checked_id,
    checked_network_id,
    in_time,
    still_ours,
)
from app.adapters.engine.together import together
from app.adapters.engine.translate import readable
from app.domain.container import Container, Listed, RunState
from app.domain.fidelity import FidelityReport
from app.errors import (
    CloneRefused,
    ContainerGone,
    EngineRefused,
    EngineSilent,
    EngineUnavailable,
    LeaseLost,
)
from app.policies.clone_config import Taken, label_of_networks
from app.policies.clone_networks import NetworkLink
from app.policies.clone_replaces import with_networks
from app.policies.clone_source import (
    COMPOSE_NUMBER,
    COMPOSE_PROJECT,
    COMPOSE_SERVICE,
    CloneSource,
    compose_number,
)
from app.policies.cloning import ClonePlan, plan_clone
from app.policies.spec import ScaleOutRules
from app.ports import CloneResult, Deadline

#: How many names are tried; somebody would have to take them while we look.
_NAMES_TO_TRY = 5
#: In these the engine has a process for it: the clone is made.
_MADE = frozenset({RunState.RUNNING, RunState.PAUSED, RunState.RESTARTING})
#: In these it is on its way out.
_LEAVING = frozenset({RunState.REMOVING, RunState.DEAD})

log = structlog.get_logger(__name__)


class Clones:
    """The clones on one engine."""

    def __init__(self, connection: EngineConnection, *, label_prefix: str) -> None:
        self._connection = connection
        self._prefix = label_prefix

    async def make(
        self,
        source_id: str,
        *,
        attempt_id: str,
        rules: ScaleOutRules,
        at: datetime,
        dry_run: bool,
        not_after: Deadline,
    ) -> CloneResult:
        """Make a clone, or adopt the half-made one of this attempt (see `ContainerEngine`)."""
        checked_id(source_id)
        source, listed = await together(
            queries.clone_source(self._connection, source_id), queries.listing(self._connection)
        )
        with readable():
            source = self._on_its_networks(source, listed)
        tried: set[str] = set()
        for _ in range(_NAMES_TO_TRY):
            if tried:
                listed = await queries.listing(self._connection)
            with readable():
                plan = plan_clone(
                    source,
                    taken=_taken(source.labels, listed, tried),
                    rules=rules,
                    label_prefix=self._prefix,
                    attempt_id=attempt_id,
                    at=at,
                )
            if dry_run:
                return CloneResult(report=plan.report, clone=None)
            in_time(not_after)
            half_made = self._half_made(listed, attempt_id)
            if half_made is not None:
                clone = await self._adopt(half_made.id, plan, source, not_after)
                return CloneResult(report=plan.report, clone=clone)
            if plan.report.is_refused:
                raise CloneRefused(_why(plan.report), plan.report)
            try:
                clone = await self._made(source, plan, attempt_id, not_after)
            except _NameTaken:
                # Somebody took the name since the listing, or has it without being listed.
                tried.add(plan.name)
            else:
                return CloneResult(report=plan.report, clone=clone)
        raise EngineRefused(
            409, f"no name for a clone of {source.name}: {', '.join(sorted(tried))}"
        )

    # ------------------------------------------------------------------ one clone

    async def _made(
        self, source: CloneSource, plan: ClonePlan, attempt_id: str, not_after: Deadline
    ) -> Container:
        made: list[str] = []
        try:
            await _to_its_end(self._create(source.container["Id"], plan, attempt_id, made))
            return await self._bring_up(made[0], plan.connect, source, not_after)
        except LeaseLost:
            raise  # half-made: it is finished by whoever goes on with this attempt
        except BaseException:
            await self._unmake(made)
            raise

    async def _adopt(
        self, clone_id: str, plan: ClonePlan, source: CloneSource, not_after: Deadline
    ) -> Container:
        seen = await queries.container(self._connection, clone_id)
        if seen.state in _MADE:
            return seen
        missing = [link for link in plan.connect if link.name not in seen.networks]
        try:
            return await self._bring_up(clone_id, missing, source, not_after)
        except LeaseLost:
            raise
        except BaseException:
            # Taken over with all duties: it is this attempt's, and nobody else's.
            await self._unmake([clone_id])
            raise

    async def _create(
        self, source_id: str, plan: ClonePlan, attempt_id: str, made: list[str]
    ) -> None:
        """Create the container; its id goes to `made` also where the answer got lost."""
        try:
            async with self._connection.about(
                source_id, within=self._connection.bounds.step, acting=True
            ) as client:
                created = await client.containers.create(plan.body, name=plan.name)
                made.append(checked_id(created.id))
        except ContainerGone as exc:
            # Not the source: something that the request names, such as a container whose
            # volumes it borrows.
            raise EngineRefused(404, str(exc)) from exc
        except EngineRefused as exc:
            # (Of the name only here: a start meets conflicts of other kinds.)
            if exc.status != 409:
                raise
            raise _NameTaken(409, str(exc)) from exc
        except EngineSilent:
            with suppress(EngineUnavailable):
                lost = self._half_made(await queries.listing(self._connection), attempt_id)
                made.extend([] if lost is None else [lost.id])
            raise

    async def _bring_up(
        self,
        clone_id: str,
        links: Sequence[NetworkLink],
        source: CloneSource,
        not_after: Deadline,
    ) -> Container:
        with _gone_is_refused():
            for link in links:
                async with self._connection.about(
                    clone_id, within=self._connection.bounds.step, acting=True
                ) as client:
                    still_ours(not_after, "the clone is made and not on all of its networks")
                    network_id = checked_network_id(link.id)
                    network = DockerNetwork(client, network_id)  # type: ignore[no-untyped-call]
                    await network.connect(
                        {"Container": clone_id, "EndpointConfig": dict(link.endpoint)}
                    )
        await self._look_again(source)
        with _gone_is_refused():
            async with self._connection.about(
                clone_id, within=self._connection.bounds.step, acting=True
            ) as client:
                still_ours(not_after, "the clone is made and not started")
                await client.containers.container(clone_id).start()
            return await queries.container(self._connection, clone_id)

    async def _look_again(self, source: CloneSource) -> None:
        """
        See that nobody replaces the source meanwhile: a clone would be of the version before.

        :raises ContainerGone: removed, or renamed, with which Compose begins
        """
        seen = await queries.container(self._connection, source.container["Id"])
        if seen.name != source.name:
            raise ContainerGone(f"{source.name} is {seen.name} by now: somebody replaces it")

    def _on_its_networks(self, source: CloneSource, listed: Sequence[Listed]) -> CloneSource:
        """Read a source that we have isolated as it was before, by the label of its clone."""
        if not translate.container(source.container).is_cut_off:
            return source
        for one in listed:
            label = one.labels.get(label_of_networks(self._prefix), "")
            if label and one.labels.get(f"{self._prefix}.clone-of") == source.name:
                return with_networks(source, label)
        return source

    def _half_made(self, listed: Sequence[Listed], attempt_id: str) -> Listed | None:
        own = [
            one
            for one in listed
            if one.labels.get(f"{self._prefix}.attempt") == attempt_id
            and f"{self._prefix}.clone-of" in one.labels
            and one.state not in _LEAVING
        ]
        return min(own, key=lambda one: one.state not in _MADE, default=None)

    # ------------------------------------------------------------------ the way back

    async def _unmake(self, made: Sequence[str]) -> None:
        for clone_id in made:
            try:
                await _to_its_end(removal.delete(self._connection, clone_id))
            except ContainerGone:
                pass
            except (EngineUnavailable, EngineRefused) as exc:
                # The error that brought us here matters more; the leftover carries our
                # label, and is found by the next pull.
                log.warning("clone left behind", container=clone_id[:12], error=str(exc))


class _NameTaken(EngineRefused):
    """Another container has the name."""


@contextmanager
def _gone_is_refused() -> Iterator[None]:
    """To our caller "gone" is the source."""
    try:
        yield
    except ContainerGone as exc:
        raise EngineRefused(404, "the clone was removed while it was made") from exc


def _taken(labels: translate.Json, listed: Sequence[Listed], tried: set[str]) -> Taken:
    service = (labels.get(COMPOSE_PROJECT), labels.get(COMPOSE_SERVICE))
    numbers = (
        compose_number(one.labels.get(COMPOSE_NUMBER))
        for one in listed
        if None not in service
        and (one.labels.get(COMPOSE_PROJECT), one.labels.get(COMPOSE_SERVICE)) == service
    )
    return Taken(
        names=frozenset({one.name for one in listed} | tried),
        numbers=frozenset(number for number in numbers if number is not None),
    )


def _why(report: FidelityReport) -> str:
    return "; ".join(f"{item.reason}: {item.detail}" for item in report.refusals)


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """
    Do something that must not be left half done: a cancellation waits until it has ended.

    Everything done so is bounded by a timeout of its own.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        # Look at the error, if there is one: asyncio complains of those that nobody saw.
        if not task.cancelled():
            task.exception()
        raise cancelled
    task.result()
