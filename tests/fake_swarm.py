"""A swarm in memory, in virtual time: asserted by its state."""

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from app.adapters.engine.connection import in_time
from app.domain.service import (
    Service,
    ServiceMode,
    ServiceTask,
    ServiceUpdate,
    TaskState,
    UpdateState,
)
from app.errors import EngineUnavailable, ServiceChanged, ServiceGone
from app.policies.swarm import is_half_deployed
from app.ports import NO_END, Clock, Deadline
from tests.builders import START, at, hex_id

WEB_ID = "w" * 25


def task(
    slot: int | None = 1, number: int = 1, *, state: TaskState = TaskState.RUNNING, **more: Any
) -> ServiceTask:
    """A task that runs, made in the second of its number."""
    values: dict[str, Any] = {
        "id": f"t{number}",
        "slot": slot,
        "node": "n1",
        "state": state,
        "desired": TaskState.RUNNING,
        "container_id": hex_id(number),
        "image": "shop:1@sha256:1",
        "forced": 0,
        "created_at": at(number),
        "since": at(number),
    }
    return ServiceTask(**(values | more))


def service(*tasks: ServiceTask, **more: Any) -> Service:
    """A service whose tasks run, opted in by a label of its own."""
    number = len({one.place for one in tasks})
    values: dict[str, Any] = {
        "id": WEB_ID,
        "name": "web",
        "version": 1,
        "mode": ServiceMode.REPLICATED,
        "replicas": number,
        "declared": number,
        "forced": 0,
        "template": "made:0",
        "labels": {"relevo.enable": "true"},
        "tasks": tasks,
    }
    return Service(**(values | more))


@dataclass
class FakeSwarm:
    """A manager whose tasks come and go as Swarm's do; `Services`."""

    clock: Clock
    inside: dict[str, Service] = field(default_factory=dict)
    is_manager: bool = True
    down: bool = False
    #: From a request until its tasks run; None: they never do.
    takes: timedelta | None = timedelta(seconds=2)
    #: What becomes of new tasks instead of running.
    fate: TaskState = TaskState.RUNNING
    #: What becomes of an update whose tasks do not run.
    gives_up: UpdateState | None = None
    #: (what, attempt's id, second since START)
    acts: list[tuple[str, str, float]] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(100))

    def run(self, one: Service) -> Service:
        """Have a service."""
        self.inside[one.id] = one
        return one

    @property
    def web(self) -> Service:
        """The service that most tests are about, as it is."""
        return self.inside[WEB_ID]

    async def manages(self) -> bool:
        self._answer()
        return self.is_manager

    async def services(self) -> tuple[Service, ...]:
        self._answer()
        return tuple(self.inside.values())

    async def service(self, service_id: str) -> Service:
        self._answer()
        if service_id not in self.inside:
            raise ServiceGone(service_id)
        return self.inside[service_id]

    async def force_update(
        self,
        service_id: str,
        *,
        attempt_id: str,
        expected_template: str,
        not_after: Deadline = NO_END,
    ) -> Service:
        one = await self.service(service_id)
        if one.attempt_id == attempt_id:
            return one
        if one.template != expected_template or is_half_deployed(one):
            raise ServiceChanged(one.name)
        in_time(not_after)
        self._done("force", attempt_id)
        return self.forced(attempt_id=attempt_id)

    async def scale(
        self,
        service_id: str,
        *,
        attempt_id: str,
        expected_replicas: int,
        to: int,
        not_after: Deadline = NO_END,
    ) -> Service:
        one = await self.service(service_id)
        if one.attempt_id == attempt_id:
            return one
        if one.replicas != expected_replicas or is_half_deployed(one):
            raise ServiceChanged(one.name)
        if to < (one.declared or 0):
            raise ServiceChanged("fewer than declared")
        in_time(not_after)
        self._done(f"scale to {to}", attempt_id)
        return self.scaled(to, attempt_id=attempt_id, declared=one.declared)

    # ------------------------------------------------------------------ what happens there

    def forced(self, **more: Any) -> Service:
        """Have all tasks replaced, by whomever."""
        one = self.web
        changed = replace(
            one,
            version=one.version + 1,
            forced=one.forced + 1,
            template=f"made:{one.forced + 1}",
            update=ServiceUpdate(state=UpdateState.UPDATING),
            **more,
        )
        self.run(changed)
        for place in sorted({t.place for t in one.tasks if t.is_wanted}):
            self.replaced(int(place))
        self._later(self._finish_update)
        return self.web

    def scaled(self, to: int, *, declared: int | None = None, **more: Any) -> Service:
        """Have another number of replicas, by whomever (then it is declared)."""
        one = self.web
        slots = sorted({t.slot for t in one.tasks if t.is_wanted and t.slot is not None})
        self.run(replace(one, replicas=to, declared=declared or to, **more))
        for slot in range(max(slots, default=0) + 1, max(slots, default=0) + 1 + to - len(slots)):
            self._add(slot)
        # Swarm takes those first that do not run, and then whom it likes: here the first.
        running = {t.slot for t in one.tasks if t.is_running}
        slots.sort(key=lambda slot: slot in running)
        for slot in slots[: max(0, len(slots) - to)]:
            self._end(slot, TaskState.SHUTDOWN)
        return self.web

    def crash(self, slot: int) -> None:
        """Have the task of a place end by itself; Swarm makes another one."""
        self._end(slot, TaskState.FAILED)
        self._add(slot)

    def replaced(self, slot: int) -> None:
        """Have the task of a place replaced by Swarm's own wish."""
        self._end(slot, TaskState.SHUTDOWN)
        self._add(slot)

    def _end(self, slot: int, state: TaskState) -> None:
        self._change(
            lambda t: (
                replace(t, state=state, desired=TaskState.SHUTDOWN, since=self.clock.now())
                if t.slot == slot and t.is_wanted
                else t
            )
        )

    def _add(self, slot: int) -> None:
        number = next(self._numbers)
        now = self.clock.now()
        fresh = task(
            slot,
            number,
            state=TaskState.PENDING,
            created_at=now,
            since=now,
            forced=self.web.forced,
            container_id=None,
        )
        self.run(replace(self.web, tasks=(*self.web.tasks, fresh)))
        self._later(lambda: self._come_up(fresh.id, number))

    def _come_up(self, task_id: str, number: int) -> None:
        values: Mapping[str, Any] = {"state": self.fate, "container_id": hex_id(number)}
        if self.fate is TaskState.PENDING:
            values = {"error": "no suitable node"}
        elif self.fate is not TaskState.RUNNING:
            values = {**values, "desired": TaskState.SHUTDOWN, "exit_code": 3}
        self._change(
            lambda t: (
                replace(t, since=self.clock.now(), **values)
                if t.id == task_id and t.is_wanted
                else t
            )
        )

    def _finish_update(self) -> None:
        is_up = self.fate is TaskState.RUNNING
        state = UpdateState.COMPLETED if is_up else self.gives_up or UpdateState.UPDATING
        self.run(replace(self.web, update=ServiceUpdate(state=state, message="so it is")))

    def _change(self, how: Any) -> None:
        self.run(replace(self.web, tasks=tuple(how(one) for one in self.web.tasks)))

    def _later(self, what: Any) -> None:
        if self.takes is not None:
            asyncio.get_running_loop().call_later(self.takes.total_seconds(), what)

    def _done(self, what: str, attempt_id: str) -> None:
        self.acts.append((what, attempt_id, (self.clock.now() - START).total_seconds()))

    def _answer(self) -> None:
        if self.down:
            raise EngineUnavailable("cannot connect")
