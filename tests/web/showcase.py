"""
A Relevo to look at: every state there is, seeded into a store in memory, over a fake engine.

``python -m tests.web.showcase --port 5080`` serves it on loopback, for people, for screenshots, and
for browsers in tests. Nothing of it touches Docker. Orders are carried out, by the fake engine.
"""

import argparse
import asyncio
import math
import sys
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import uvicorn
from fastapi import FastAPI

from app.adapters.clock import LoopClock
from app.api.app import create_app
from app.api.deps import Scope
from app.domain.activity import Activity, ActivityKind, ActivityStatus
from app.domain.casefile import CaseFile, HealthProbe
from app.domain.container import Container
from app.domain.control import Halt
from app.domain.decision import Action, Outcome, Reason, Verdict
from app.domain.fidelity import Fate, FidelityItem, FidelityReport
from app.domain.remediation import Attempt, LogEntry, Remediation, State, Trigger
from app.domain.usage import Reading, Used
from app.policies.match import incarnation
from app.policies.spec import ScaleOutRules
from app.ports import NO_END, Aside, CloneResult, Deadline, Notice
from app.web import docs
from app.web.links import Links
from app.web.site import site
from tests.api.conftest import parts_of
from tests.builders import ENGINE, alert, compose, container
from tests.controller.house import House, build
from tests.fakes import FakeEngine
from tests.memory_store import MemoryStore, make_store

LINKS = Links(
    prometheus="http://127.0.0.1:9090",
    alertmanager="http://127.0.0.1:9093",
    grafana="http://127.0.0.1:3000",
)
#: What a stranger may write into a label or a log.
HOSTILE = (
    "\"'><script>alert(1)</script><img src=x onerror=alert(2)>\u202egnp.exe\u2066" + "A" * 10_000
)

_SAME = tuple(
    FidelityItem(field=name, fate=Fate.SAME, detail="unchanged")
    for name in ("Config.Env", "Config.Cmd", "HostConfig.Memory", "HostConfig.NanoCpus")
)
FAITHFUL = FidelityReport(
    items=(
        FidelityItem(field="Name", fate=Fate.CHANGED, detail="shop-web-3"),
        FidelityItem(
            field="NetworkSettings.Networks.shop_default",
            fate=Fate.CHANGED,
            detail="the same aliases (web), without the address 172.20.0.7",
        ),
        FidelityItem(
            field="HostConfig.PortBindings",
            fate=Fate.DROPPED,
            detail="8080/tcp on the host stays with the source; the alias brings traffic",
        ),
        *_SAME,
    ),
    traffic="alias",
)
REFUSED = FidelityReport(
    items=(
        FidelityItem(
            field="Mounts",
            fate=Fate.REFUSED,
            detail="the anonymous volume at /var/lib/postgresql/data holds 412 MB that a clone "
            "would lack; relevo.stateless=true if that is right",
            reason="data_in_anonymous_volume",
        ),
        *_SAME,
    ),
    traffic="alias",
)
BUSY_PORT = FidelityReport(
    items=(
        FidelityItem(
            field="HostConfig.PortBindings",
            fate=Fate.REFUSED,
            detail="25/tcp is bound on the host, and nothing else brings traffic",
            reason="fixed_host_port",
        ),
    ),
    traffic="host_port",
)


class ShownEngine(FakeEngine):
    """A fake engine whose containers differ in what a clone of them would be."""

    def report_of(self, name: str) -> FidelityReport:
        """Tell what a clone would share."""
        if "db" in name or "worker" in name:
            return REFUSED
        return BUSY_PORT if "mail" in name else FAITHFUL

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
        self.report = self.report_of(self.inside[source_id].name)
        return await super().clone(
            source_id,
            attempt_id=attempt_id,
            rules=rules,
            at=at,
            dry_run=dry_run,
            not_after=not_after,
        )


@dataclass
class Shown:
    """The scene, and what it is made of."""

    house: House
    engine: ShownEngine
    memory: MemoryStore
    app: FastAPI


def build_scene(
    clock: LoopClock, *, crowd: int = 0, tokens: dict[Scope, list[str]] | None = None
) -> Shown:
    """
    Build it; nothing runs yet.

    :param crowd: containers that are well, besides those that have a story
    """
    memory = MemoryStore()
    engine = ShownEngine(clock)
    now = clock.now()
    house = build(make_store(memory), clock, engine)
    scene = Scene(memory, engine, house, now)
    scene.tell()
    scene.fill(crowd)
    app = create_app(parts_of(house, tokens), docs.router, site(LINKS))
    return Shown(house=house, engine=engine, memory=memory, app=app)


class Scene:
    """Who is there, and what has happened to them."""

    def __init__(
        self, memory: MemoryStore, engine: ShownEngine, house: House, now: datetime
    ) -> None:
        self._memory = memory
        self._engine = engine
        self._house = house
        self._now = now
        self._number = 0

    def ago(self, minutes: float) -> datetime:
        """A moment in the past; negative: to come."""
        return self._now - timedelta(minutes=minutes)

    def run(
        self,
        service: str,
        number: int = 1,
        *,
        project: str = "shop",
        created: float = 4000,
        **labels: str,
    ) -> Container:
        """Have a container run."""
        self._number += 1
        name = f"{project}-{service}-{number}"
        one = container(
            name,
            self._number,
            labels=compose(project, service, number, **labels),
            created_at=self.ago(created),
        )
        self._engine.run(one)
        self._measured(one)
        return one

    def story(self, one: Container, minutes: float, **more: object) -> Remediation:
        """Have a story of a container that began so many minutes ago."""
        service = one.labels["com.docker.compose.service"]
        project = one.labels["com.docker.compose.project"]
        values: dict[str, object] = {
            "id": f"{one.name}-mwro{round(minutes):02d}g0",
            "target": f"{ENGINE}:{one.name}",
            "group": f"{ENGINE}:{project}/{service}",
            "container": one.name,
            "incarnation": incarnation(one),
            "policy": "default",
            "state": State.WAITING,
            "reason": Reason.FIRST_NEED,
            "opened_at": self.ago(minutes),
            "alerts": ("ContainerHighCPU",),
            "needed_since": self.ago(minutes),
            "planned_started_at": one.started_at,
        }
        record = Remediation(**(values | more))  # type: ignore[arg-type]
        self._memory._write(record.target, record)
        return record

    def alive(self, record: Remediation) -> None:
        """Have its alert fire on: its next step is carried out when its time has come."""
        firing = alert(
            labels={"alertname": record.alerts[0], "engine": ENGINE, "name": record.container},
            fingerprint=record.id,
            starts_at=record.opened_at,
        )
        at_ms = round(record.opened_at.timestamp() * 1000)
        self._memory._alerts.take(Notice(target=record.target, alert=firing), now_ms=at_ms)
        assert record.next_at is not None
        self._memory._pull_due(record.target, round(record.next_at.timestamp() * 1000))

    def tried(self, one: Container, number: int, minutes: float, **more: object) -> Attempt:
        """An attempt that acted so many minutes ago, with its case file."""
        values: dict[str, object] = {
            "id": f"{one.name}.{number}",
            "action": Action.RESTART,
            "reason": Reason.FIRST_NEED if number == 1 else Reason.BACKOFF,
            "container_id": one.id,
            "started_before": one.started_at,
            "intent_at": self.ago(minutes + 0.02),
            "acted_at": self.ago(minutes),
            "started_after": one.started_at,
        }
        made = Attempt(**(values | more))  # type: ignore[arg-type]
        self._memory.casefiles._files[made.id] = self._file(one, made)
        return made

    def failed(self, one: Container, number: int, minutes: float) -> Attempt:
        """A restart that did not help."""
        target, at_ms = f"{ENGINE}:{one.name}", round(self.ago(minutes - 3).timestamp() * 1000)
        self._memory._failures[target][f"{one.name}.{number}"] = at_ms
        self._memory._failing[target] = at_ms
        return self.tried(
            one,
            number,
            minutes,
            verdict=Verdict.SYMPTOM_PERSISTS,
            verdict_reason=Reason.DEADLINE,
            evidence="ContainerHighCPU was still active 3m after the restart",
            finished_at=self.ago(minutes - 3),
        )

    def log(
        self, *said: tuple[float, str, Reason], detail: str | None = None
    ) -> tuple[LogEntry, ...]:
        """Decisions, so many minutes ago each."""
        return tuple(
            LogEntry(
                at=self.ago(minutes),
                decision=decision,
                reason=reason,
                until=self.ago(minutes - 3) if decision in ("wait", "watch") else None,
                detail=detail if decision in ("hold", "escalate") else None,
            )
            for minutes, decision, reason in said
        )

    def tell(self) -> None:
        """Have something of everything."""
        self._climbing()
        self._ended()
        self._relieved()
        self._watched()
        self._stopped_by_people()
        self._past()
        self._noise()

    def _climbing(self) -> None:
        web = self.run("web", 1)
        self.run("web", 2)
        first, second = self.failed(web, 1, 21), self.failed(web, 2, 12)
        climbing = self.story(
            web,
            22,
            needed_since=self.ago(5.8),
            reason=Reason.BACKOFF,
            attempts=(first, second),
            next_action=Action.RESTART,
            next_at=self.ago(-4.2),
            log=self.log(
                (22, "wait", Reason.FIRST_NEED),
                (21, "restart", Reason.FIRST_NEED),
                (20.9, "watch", Reason.DEADLINE),
                (18, "conclude", Reason.DEADLINE),
                (18, "wait", Reason.BACKOFF),
                (12, "restart", Reason.BACKOFF),
                (11.9, "watch", Reason.DEADLINE),
                (9, "conclude", Reason.DEADLINE),
                (9, "wait", Reason.BACKOFF),
            ),
        )
        api = self.run("api", 1)
        beginning = self.story(
            api,
            0.1,
            next_action=Action.RESTART,
            next_at=self.ago(-0.9),
            alerts=("ContainerHighMemory",),
            log=self.log((0.1, "wait", Reason.FIRST_NEED)),
        )
        self.alive(climbing)
        self.alive(beginning)

    def _ended(self) -> None:
        worker = self.run("worker", 1, project="billing")
        tries = tuple(self.failed(worker, n, m) for n, m in ((1, 48), (2, 40), (3, 27)))
        self.story(
            worker,
            49,
            state=State.QUARANTINED,
            reason=Reason.QUARANTINE,
            attempts=tries,
            quarantined_at=self.ago(24),
            log=self.log(
                (49, "wait", Reason.FIRST_NEED),
                (48, "restart", Reason.FIRST_NEED),
                (47.9, "watch", Reason.DEADLINE),
                (45, "wait", Reason.BACKOFF),
                (40, "restart", Reason.BACKOFF),
                (39.9, "watch", Reason.DEADLINE),
                (37, "wait", Reason.BACKOFF),
                (27, "restart", Reason.BACKOFF),
                (26.9, "watch", Reason.DEADLINE),
                (24, "escalate", Reason.DATA_IN_ANONYMOUS_VOLUME),
                (23.9, "watch", Reason.QUARANTINE),
                detail="the anonymous volume at /data holds what a clone would lack",
            ),
        )

    def _relieved(self) -> None:
        search = self.run("search", 1)
        labels = dict(search.labels) | {
            "com.docker.compose.container-number": "2",
            "relevo.clone-of": search.name,
            "relevo.attempt": f"{search.name}.4",
        }
        clone = container("shop-search-2", 90, labels=labels, created_at=self.ago(6))
        self._engine.run(clone)
        tries = (
            *(self.failed(search, n, m) for n, m in ((1, 35), (2, 27), (3, 14))),
            self.tried(
                search,
                4,
                6,
                action=Action.SCALE_OUT,
                reason=Reason.WINDOW_FULL,
                clone="shop-search-2",
                clone_id=clone.id,
            ),
        )
        self._memory._failures[f"{ENGINE}:{search.name}"].clear()
        self.story(
            search,
            36,
            state=State.COOLDOWN,
            reason=Reason.RELIEF,
            attempts=tries,
            scaled_out_at=self.ago(5),
            log=self.log(
                (36, "wait", Reason.FIRST_NEED),
                (35, "restart", Reason.FIRST_NEED),
                (34.9, "watch", Reason.DEADLINE),
                (32, "wait", Reason.BACKOFF),
                (27, "restart", Reason.BACKOFF),
                (26.9, "watch", Reason.DEADLINE),
                (24, "wait", Reason.BACKOFF),
                (14, "restart", Reason.BACKOFF),
                (13.9, "watch", Reason.DEADLINE),
                (6, "scale_out", Reason.WINDOW_FULL),
                (5.8, "confirm", Reason.WARM_UP),
                (5, "watch", Reason.RELIEF),
            ),
        )
        self._memory.write_activity(
            Activity(
                id=f"{search.name}.4",
                group=f"{ENGINE}:shop/search",
                kind=ActivityKind.SCALE_OUT,
                cause="window_full: 3 restarts within 1h did not help",
                status=ActivityStatus.SUCCESSFUL,
                container="shop-search-2",
                container_id=clone.id,
                started_at=self.ago(6),
                finished_at=self.ago(5),
                target=f"{ENGINE}:{search.name}",
                reason=Reason.WINDOW_FULL,
            )
        )

    def _watched(self) -> None:
        cache = self.run("cache", 1)
        self.story(
            cache,
            4,
            state=State.VERIFYING,
            reason=Reason.DEADLINE,
            attempts=(self.tried(cache, 1, 2.4),),
            log=self.log(
                (4, "wait", Reason.FIRST_NEED),
                (2.4, "restart", Reason.FIRST_NEED),
                (2.3, "watch", Reason.DEADLINE),
            ),
        )
        queue = self.run("queue", 1, project="billing")
        self.story(
            queue,
            6,
            state=State.SETTLING,
            reason=Reason.SETTLING,
            absent_since=self.ago(2),
            attempts=(self.tried(queue, 1, 4.5),),
            alerts=("ContainerHighMemory",),
            log=self.log(
                (6, "wait", Reason.FIRST_NEED),
                (4.5, "restart", Reason.FIRST_NEED),
                (4.4, "watch", Reason.DEADLINE),
                (2, "watch", Reason.SETTLING),
            ),
        )
        mail = self.run("mail", 1, project="office", relevo__enable="observe")
        rehearsed = self.tried(
            mail,
            1,
            7,
            trigger=Trigger.REHEARSAL,
            verdict=Verdict.WOULD_HAVE,
            passed=True,
            evidence="the trouble passed by itself",
            finished_at=self.ago(1),
        )
        self.story(
            mail,
            8,
            state=State.HELD,
            reason=Reason.OBSERVE,
            attempts=(rehearsed,),
            log=self.log((8, "wait", Reason.FIRST_NEED), (7, "rehearse", Reason.OBSERVE)),
        )
        self._memory._tallies.update(
            {"would_have": 9, "would_have_passed": 6, "would_have_not_passed": 3}
        )

    def _stopped_by_people(self) -> None:
        database = self.run("db", 1)
        target = f"{ENGINE}:{database.name}"
        self._memory.controls._holds[target] = Halt(
            reason="moving it to the new disk",
            author="ana",
            since=self.ago(31),
            until=self.ago(-89),
        )
        self.story(
            database,
            12,
            state=State.HELD,
            reason=Reason.HOLD,
            alerts=("ContainerHighMemory",),
            log=self.log((12, "hold", Reason.HOLD), detail="held by ana"),
        )

    def _past(self) -> None:
        proxy = self.run("proxy", 1)
        one = self.tried(
            proxy,
            1,
            41,
            verdict=Verdict.RECOVERED,
            verdict_reason=Reason.SETTLED,
            evidence="ContainerHighCPU has been absent for 4m, and it is healthy",
            finished_at=self.ago(35),
        )
        self.story(
            proxy,
            42,
            state=State.CLOSED,
            reason=Reason.SETTLED,
            outcome=Outcome.RECOVERED,
            closed_at=self.ago(35),
            attempts=(one,),
            log=self.log(
                (42, "wait", Reason.FIRST_NEED),
                (41, "restart", Reason.FIRST_NEED),
                (40.9, "watch", Reason.DEADLINE),
                (39, "watch", Reason.SETTLING),
                (35, "close", Reason.SETTLED),
            ),
        )
        hostile = self.run("cron", 1, project="office", created=25)
        self.story(
            hostile,
            18,
            state=State.CLOSED,
            reason=Reason.RESOLVED,
            outcome=Outcome.CANCELLED,
            closed_at=self.ago(17.4),
            alerts=(HOSTILE,),
            called_off=f"{HOSTILE}: {HOSTILE}",
            log=(
                *self.log((18, "wait", Reason.FIRST_NEED)),
                LogEntry(
                    at=self.ago(17.4), decision="close", reason=Reason.RESOLVED, detail=HOSTILE
                ),
            ),
        )
        for service in ("auth", "images", "reports"):
            self.run(service, 1, project="office")
        # Two that their owners believe to be looked after.
        for number, labels in enumerate(
            ({"relevo.enabled": "true"}, {"relevo.enable": f"yes {HOSTILE}"}), start=1
        ):
            fax = container(f"office-fax-{number}", 95 + number, labels=labels)
            self._engine.run(fax)

    def _noise(self) -> None:
        aside = Aside(
            at=self.ago(14),
            reason="not_opted_in",
            detail=f"ContainerHighCPU about {HOSTILE}",
            excerpt="",
        )
        self._memory._asides[(round(aside.at.timestamp() * 1000), 0, aside)] = aside

    def fill(self, crowd: int) -> None:
        """Have more containers; one in ten has a story."""
        for number in range(1, crowd + 1):
            one = self.run("node", number, project="crowd")
            if number % 10 == 0:
                self.story(
                    one,
                    9,
                    reason=Reason.BACKOFF,
                    attempts=(self.failed(one, 1, 8),),
                    next_action=Action.RESTART,
                    next_at=self.ago(-number / 60),
                    log=self.log(
                        (9, "wait", Reason.FIRST_NEED),
                        (8, "restart", Reason.FIRST_NEED),
                        (7.9, "watch", Reason.DEADLINE),
                        (5, "wait", Reason.BACKOFF),
                    ),
                )

    def _measured(self, one: Container) -> None:
        """Have the last hour measured: a wave, and a climb while it was ill."""
        seed = self._number
        readings = []
        for step in range(120, -1, -1):
            minutes = step / 2
            base = 0.25 + 0.12 * math.sin(step / 5 + seed) + 0.03 * math.sin(step * 1.7)
            ill = 0.6 if one.name == "shop-web-1" and minutes < 24 else 0.0
            if ill and any(0 < start - minutes < 1.5 for start in (21, 12)):
                ill = 0.0
            memory = _held(seed, 60 - minutes)
            readings.append(
                Reading(at=self.ago(minutes), cpu_cores=base + ill, memory_bytes=memory)
            )
        samples = self._house.controller.samples
        samples._kept[f"{ENGINE}:{one.name}"] = deque(readings, maxlen=121)
        self._engine.uses[one.name] = self._uses(seed)

    def _uses(self, seed: int):  # type: ignore[no-untyped-def]
        clock = self._house.clock

        def measure(one: Container) -> Used:
            lived = (clock.now() - self._now).total_seconds()
            return Used(
                at=clock.now(),
                started_at=one.started_at,
                cpu_seconds=0.3 * lived,
                network_bytes=round(5000 * lived),
                memory_bytes=round(_held(seed, 60)),
            )

        return measure

    def _file(self, one: Container, made: Attempt) -> CaseFile:
        return CaseFile(
            container_id=one.id,
            container=one.name,
            taken_at=made.intent_at,
            state="running",
            started_at=one.started_at,
            exit_code=0,
            oom_killed=False,
            restart_count=0,
            logs=_logs(one.name),
            process_titles=("PID", "USER", "%CPU", "COMMAND"),
            processes=(
                ("1", "app", "0.1", "python -m shop.serve"),
                ("24", "app", "96.3", f"python -m shop.worker --queue {HOSTILE[:80]}"),
            ),
            stats={
                "cpu_seconds": 8123.4,
                "memory_bytes": 412.0 * 2**20,
                "pids": 12.0,
                "memory_limit_bytes": 512.0 * 2**20,
                "network_received_bytes": 91.0 * 2**20,
            },
            health_log=(
                HealthProbe(started_at="2026-11-22T10:00:01Z", exit_code=0, output="ok"),
                HealthProbe(started_at="2026-11-22T10:00:31Z", exit_code=1, output="timed out"),
            ),
        )


def _held(seed: int, minutes: float) -> float:
    return (110 + 30 * seed % 200 + minutes * 1.4) * 2**20


def _logs(name: str) -> tuple[str, ...]:
    lines: Iterable[str] = (
        f"GET /basket/{number} 200 in {number * 37 % 900} ms" for number in range(1, 18)
    )
    return (
        f"{name} serving on :8080",
        *lines,
        "WARNING pool exhausted, waiting for a connection",
        "\x1b[31mERROR\x1b[0m <script>alert('log')</script> \u202eesrever",
    )


async def serve(port: int, *, crowd: int, tokens: dict[Scope, list[str]] | None = None) -> None:
    """Serve it on loopback until interrupted."""
    shown = build_scene(LoopClock(), crowd=crowd, tokens=tokens)
    controller = shown.house.controller
    await controller.tenure.beat()
    server = uvicorn.Server(
        uvicorn.Config(
            shown.app,
            host="127.0.0.1",
            port=port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=3,
        )
    )
    loops = [
        controller.tenure.run,
        controller.feed.run,
        controller.samples.run,
        controller.worker.run,
    ]
    tasks = [asyncio.create_task(loop()) for loop in loops]
    sys.stdout.write(f"http://127.0.0.1:{port}/\n")
    sys.stdout.flush()
    try:
        await server.serve()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5080)
    parser.add_argument("--crowd", type=int, default=0, help="so many more containers")
    parser.add_argument("--token", help="ask for this token to operate, and read-TOKEN to read")
    chosen = parser.parse_args()
    tokens = None
    if chosen.token is not None:
        tokens = {Scope.OPERATE: [chosen.token], Scope.READ: [f"read-{chosen.token}"]}
    asyncio.run(serve(chosen.port, crowd=chosen.crowd, tokens=tokens))


if __name__ == "__main__":
    main()
