"""
No decision is without a reason anywhere: each word is produced, and told everywhere.

One story per word, over the whole controller in virtual time; then the word must stand in an
answer of the API, in the log, in a metric, and in docs/reasons.md.
"""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from app.controller.operate import Wish
from app.domain.activity import Activity
from app.domain.alert import AlertStatus, ListedState
from app.domain.audit import AuditEntry, AuditKind
from app.domain.container import Container, EngineEvent, Health, HealthCheck, RunState
from app.domain.control import OrderKind
from app.domain.fidelity import Fate, FidelityItem, FidelityReport, RefusalReason
from app.domain.reason import Reason
from app.domain.usage import Used
from app.errors import CloneRefused, EngineSilent, GateRefused, StoreUnavailable
from app.policies.spec import (
    Guards,
    Mode,
    Policy,
    Rulebook,
    ScaleOutRules,
    SourceAfterwards,
    Strategy,
)
from app.ports import Store
from tests.api.conftest import application
from tests.builders import (
    ENGINE,
    START,
    TARGET,
    alert,
    at,
    compose,
    container,
    listed_alert,
    scaled_in,
)
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.controller.test_scaling import clone, made
from tests.fakes import PLENTY, FakeAlertmanager, FakeEngine, FakePrometheus, web
from tests.log_lines import keep_the_promise
from tests.memory_store import MemoryStore, make_store

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]

DOCS = Path(__file__).resolve().parents[1] / "docs" / "reasons.md"
ANNA = Wish(reason="I know better", author="anna")
RESOLVED = alert(status=AlertStatus.RESOLVED)
SCALE_FIRST = Policy(strategy=Strategy.SCALE_FIRST)


@dataclass
class Scene:
    """A controller and its outside, as one story needs them."""

    clock: VirtualClock
    engine: FakeEngine
    memory: MemoryStore
    store: Store
    alertmanager: FakeAlertmanager
    rulebook: Rulebook = field(default_factory=Rulebook)
    mode: Mode = Mode.ENFORCE
    #: Ask Alertmanager and Prometheus.
    watched: bool = False
    #: Answers of the API that the story itself was given.
    answers: list[str] = field(default_factory=list)
    _house: House | None = None

    @property
    def house(self) -> House:
        """The controller; wired when it is first needed."""
        if self._house is None:
            self._house = build(
                self.store,
                self.clock,
                self.engine,
                alerts=self.alertmanager if self.watched else None,
                samples=FakePrometheus(self.clock) if self.watched else None,
                rulebook=self.rulebook,
                mode=self.mode,
            )
        return self._house

    def http(self) -> httpx.AsyncClient:
        """Whoever asks the API."""
        transport = httpx.ASGITransport(app=application(self.house))
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5000")

    async def ill_for(self, **span: float) -> None:
        """Have the one container ill for a while."""
        async with working(self.house, pulling=self.watched):
            await self.house.take(alert())
            await pass_time(**span)

    async def skips(self, **labels: str) -> None:
        """Take an alert that is not taken on."""
        await self.house.take(alert(labels={"alertname": "X", "name": "web"} | labels))

    async def goes_on(self, *, leaving: bool = False, **span: float) -> None:
        """Let the controller work for a while longer."""
        async with working(self.house, pulling=self.watched, leaving=leaving):
            await pass_time(**span)

    async def helped_by(self, one: Container, *, record: Activity | None = None) -> None:
        """Have a clone that is written down, and time for it to leave."""
        self.memory.write_activity(record or made(one))
        self.engine.run(one)
        await self.goes_on(leaving=True, minutes=1)


Story = Callable[[Scene], Awaitable[None]]
STORIES: dict[Reason, Story] = {}


def tells(*reasons: Reason) -> Callable[[Story], Story]:
    """Say which words a story produces."""

    def keep(story: Story) -> Story:
        for reason in reasons:
            assert reason not in STORIES
            STORIES[reason] = story
        return story

    return keep


@tells(Reason.FIRST_NEED, Reason.BACKOFF, Reason.DEADLINE, Reason.WINDOW_FULL, Reason.WARM_UP)
async def the_ladder(scene: Scene) -> None:
    await scene.ill_for(minutes=27)


@tells(Reason.RELIEF, Reason.ALREADY_SCALED, Reason.STILL_NEEDED, Reason.AT_MAX, Reason.QUARANTINE)
async def beyond_relief(scene: Scene) -> None:
    scene.rulebook = Rulebook(defaults=SCALE_FIRST)
    await scene.ill_for(minutes=40)


@tells(Reason.SETTLING, Reason.SETTLED, Reason.RELAPSED)
async def a_recovery_that_does_not_last(scene: Scene) -> None:
    await scene.ill_for(seconds=70)
    async with working(scene.house):
        await scene.house.take(RESOLVED)
        await pass_time(minutes=5)
        await scene.house.take(alert(starts_at=at(400)))
        await pass_time(seconds=30)


@tells(Reason.CLONE_SICK)
async def a_sick_clone(scene: Scene) -> None:
    scene.engine.run(container("web_new", 7, labels={"relevo.clone-of": "web"}))
    async with working(scene.house):
        await scene.house.take(alert(labels={"alertname": "X", "name": "web_new"}))
        await pass_time(seconds=5)


@tells(Reason.INTERRUPTED)
async def an_engine_that_is_silent(scene: Scene) -> None:
    scene.engine.errors.append(EngineSilent("no answer"))
    await scene.ill_for(seconds=80)


@tells(Reason.FOUND_STOPPED)
async def left_stopped_by_the_engine(scene: Scene) -> None:
    scene.engine.errors.append(EngineSilent("no answer"))
    await scene.ill_for(seconds=61)
    scene.engine.run(replace(scene.engine.named("web"), state=RunState.EXITED))
    await scene.goes_on(minutes=1)


@tells(Reason.RESOLVED)
async def resolved_in_the_wait(scene: Scene) -> None:
    await scene.ill_for(seconds=20)
    async with working(scene.house):
        await scene.house.take(RESOLVED)
        await pass_time(seconds=5)


@tells(Reason.SILENCED)
async def silenced_in_the_wait(scene: Scene) -> None:
    scene.watched = True
    scene.alertmanager.alerts = [listed_alert()]
    await scene.ill_for(seconds=20)
    scene.alertmanager.alerts = [listed_alert(ListedState.SUPPRESSED)]
    await scene.goes_on(seconds=60)


@tells(Reason.NO_FRESH_DATA, Reason.UNKNOWN_TOO_LONG)
async def nobody_can_tell(scene: Scene) -> None:
    scene.watched = True
    scene.alertmanager.alerts = [listed_alert()]
    await scene.ill_for(seconds=20)
    scene.alertmanager.alerts = []
    scene.alertmanager.watchdog = False
    await scene.goes_on(minutes=20)


@tells(Reason.POISON)
async def its_step_ends_the_controller(scene: Scene) -> None:
    await scene.ill_for(seconds=10)

    async def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect that only this container brings out")

    inspect, scene.engine.inspect = scene.engine.inspect, crash  # type: ignore[method-assign,assignment]
    await scene.goes_on(minutes=3)
    scene.engine.inspect = inspect  # type: ignore[method-assign]
    await scene.goes_on(minutes=1)


@tells(Reason.COOLDOWN)
async def another_target_of_the_group_was_relieved(scene: Scene) -> None:
    scene.engine.inside.clear()
    for number in (1, 2):
        labels = compose("shop", "web", number)
        scene.engine.run(container(f"shop-web-{number}", number, labels=labels))
    scene.rulebook = Rulebook(
        defaults=replace(SCALE_FIRST, scale_out=ScaleOutRules(max_instances=9))
    )
    async with working(scene.house):
        for number in (1, 2):
            labels = {"alertname": "X", "name": f"shop-web-{number}"}
            await scene.house.take(alert(labels=labels, fingerprint=str(number)))
            await pass_time(seconds=5)


@tells(Reason.RESTARTED_MEANWHILE)
async def somebody_restarted_it(scene: Scene) -> None:
    await scene.ill_for(seconds=30)
    scene.engine.started(web().id)
    await scene.goes_on(seconds=60)


async def found(scene: Scene, **more: Any) -> None:
    """Find the container so when its restart is due."""
    await scene.ill_for(seconds=30)
    scene.engine.run(replace(scene.engine.named("web"), **more))
    await scene.goes_on(seconds=60)


@tells(Reason.NOT_RUNNING)
async def it_does_not_run(scene: Scene) -> None:
    await found(scene, state=RunState.EXITED)


@tells(Reason.PAUSED_CONTAINER)
async def it_is_paused(scene: Scene) -> None:
    await found(scene, state=RunState.PAUSED)


@tells(Reason.NEW_INCARNATION)
async def it_was_made_anew(scene: Scene) -> None:
    await scene.ill_for(seconds=30)
    scene.engine.inside.clear()
    scene.engine.run(container("web", 2, image_id="sha256:" + "b" * 64))
    await scene.goes_on(seconds=60)


@tells(Reason.NO_SUCH_TARGET)
async def it_was_removed(scene: Scene) -> None:
    await scene.ill_for(seconds=30)
    scene.engine.inside.clear()
    await scene.goes_on(minutes=2)


@tells(Reason.AMBIGUOUS_TARGET)
async def two_claim_its_slot(scene: Scene) -> None:
    scene.engine.inside.clear()
    labels = compose("shop", "web", 1)
    scene.engine.run(container("shop-web-1", 1, labels=labels))
    async with working(scene.house):
        await scene.house.take(alert(labels={"alertname": "X", "name": "shop-web-1"}))
        await pass_time(seconds=30)
        scene.engine.run(container("old_shop-web-1", 2, labels=labels))
        await pass_time(seconds=60)


@tells(Reason.ENGINE_DOWN)
async def the_engine_is_down(scene: Scene) -> None:
    await scene.ill_for(seconds=30)
    scene.engine.down = True
    await scene.goes_on(seconds=60)


@tells(Reason.STORE_DOWN)
async def the_store_is_down(scene: Scene) -> None:
    class Down:
        async def accept(self, *_: object, **__: object) -> None:
            raise StoreUnavailable("Redis is full")

    scene.store = replace(scene.store, inbox=Down())  # type: ignore[arg-type]
    await scene.house.tenure.beat()
    body = {
        "version": "4",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "X", "engine": ENGINE, "name": "web"},
                "startsAt": START.isoformat(),
                "fingerprint": "f",
            }
        ],
    }
    async with scene.http() as http:
        answer = await http.post("/api/v1/webhooks/alertmanager", json=body)
    assert answer.status_code == 503
    scene.answers.append(answer.text)


@tells(Reason.OBSERVE)
async def observe_mode(scene: Scene) -> None:
    scene.mode = Mode.OBSERVE
    scene.rulebook = Rulebook(defaults=SCALE_FIRST)
    await scene.ill_for(minutes=10)


@tells(Reason.HUMAN)
async def a_person_stopped_it(scene: Scene) -> None:
    await scene.ill_for(seconds=30)
    one = scene.engine.named("web")
    scene.engine.run(replace(one, state=RunState.EXITED, exit_code=143))
    for action in ("kill", "die", "stop"):
        told = EngineEvent(
            at_ns=int(at(31).timestamp()) * 10**9,
            container_id=one.id,
            name=one.name,
            action=action,
            attributes={"signal": "15"},
        )
        await scene.house.witness.see(told)
    await scene.goes_on(seconds=60)


@tells(Reason.HOLD)
async def it_is_on_hold(scene: Scene) -> None:
    await scene.house.operator.hold(TARGET, ANNA, lasts=None)
    await scene.ill_for(seconds=70)


@tells(Reason.PAUSE)
async def everything_is_paused(scene: Scene) -> None:
    await scene.house.operator.pause(ANNA, lasts=None)
    await scene.ill_for(seconds=70)


@tells(Reason.BRAKE)
async def too_much_fails_at_once(scene: Scene) -> None:
    plenty = Guards(concurrent=100, burst=100, per_hour=1000)
    scene.rulebook = Rulebook(guards=plenty)
    async with working(scene.house, pulling=True):
        for number in range(2, 7):
            scene.engine.run(container(f"c{number}", number))
        for number in range(2, 7):
            labels = {"alertname": "X", "name": f"c{number}"}
            await scene.house.take(alert(labels=labels, fingerprint=str(number)))
        await pass_time(minutes=10)


@tells(Reason.BUDGET)
async def the_budget_is_spent(scene: Scene) -> None:
    scene.rulebook = Rulebook(guards=Guards(burst=1))
    scene.engine.run(container("other", 2))
    async with working(scene.house):
        for name in ("web", "other"):
            labels = {"alertname": "X", "name": name}
            await scene.house.take(alert(labels=labels, fingerprint=name))
        await pass_time(seconds=70)


@tells(Reason.MIN_HEALTHY)
async def the_last_one_that_serves(scene: Scene) -> None:
    scene.engine.inside.clear()
    for number, health in ((1, Health.HEALTHY), (2, Health.UNHEALTHY)):
        labels = compose("shop", "web", number)
        scene.engine.run(container(f"shop-web-{number}", number, labels=labels, health=health))
    async with working(scene.house):
        await scene.house.take(alert(labels={"alertname": "X", "name": "shop-web-1"}))
        await pass_time(seconds=70)


@tells(Reason.DEPLOY)
async def its_project_is_being_deployed(scene: Scene) -> None:
    scene.engine.inside.clear()
    for number, born in ((1, -3600), (2, 50)):
        labels = compose("shop", f"web{number}", 1)
        one = container(f"shop-web{number}-1", number, labels=labels, created_at=at(born))
        scene.engine.run(one)
    async with working(scene.house):
        await scene.house.take(alert(labels={"alertname": "X", "name": "shop-web1-1"}))
        await pass_time(seconds=70)


@tells(Reason.START_GRACE)
async def it_has_only_just_started(scene: Scene) -> None:
    check = HealthCheck(
        interval=timedelta(seconds=5),
        timeout=timedelta(seconds=1),
        retries=3,
        start_period=timedelta(minutes=10),
    )
    started = at(0).isoformat().replace("+00:00", "Z")
    one = replace(web(), health=Health.STARTING, health_check=check, started_at=started)
    scene.engine.run(one)
    await scene.ill_for(seconds=70)


@tells(Reason.PROTECTED)
async def it_is_protected(scene: Scene) -> None:
    scene.rulebook = Rulebook(guards=Guards(protected=("web",)))
    await scene.skips()
    async with scene.http() as http:
        answer = await http.post("/api/v1/targets/web/restart", json={"reason": "try"})
    assert answer.status_code == 422
    scene.answers.append(answer.text)


@tells(Reason.MANUAL)
async def a_person_restarts_it(scene: Scene) -> None:
    await scene.house.operator.act(TARGET, OrderKind.RESTART, ANNA)
    await scene.goes_on(seconds=5)


@tells(Reason.OPERATOR)
async def a_person_calls_it_off(scene: Scene) -> None:
    await scene.ill_for(seconds=30)
    await scene.house.operator.cancel(await scene.house.story(), ANNA)
    await scene.goes_on(seconds=30)


@tells(Reason.BUSY)
async def an_order_that_came_too_late(scene: Scene) -> None:
    """Between the question and the step, Relevo itself has begun."""
    await scene.ill_for(seconds=59)
    await scene.house.operator.act(TARGET, OrderKind.RESTART, ANNA)
    record = await scene.store.records.remediation_of(TARGET)
    assert record is not None
    order = await scene.store.orders.pending(TARGET)
    assert order is not None
    scene.engine.errors.append(EngineSilent("no answer"))
    await scene.goes_on(seconds=5)
    late = replace(order, id=f"{record.id}.9m", at=scene.clock.now())
    await scene.store.orders.place(TARGET, late, now=scene.clock.now())
    await scene.goes_on(seconds=5)


@tells(Reason.OWN_ALERT)
async def our_own_alert(scene: Scene) -> None:
    await scene.skips(alertname="RelevoEscalated")


@tells(Reason.OTHER_ENGINE)
async def another_engines_alert(scene: Scene) -> None:
    await scene.skips(engine="host2")


@tells(Reason.AMBIGUOUS_ENGINE)
async def nobodys_alert(scene: Scene) -> None:
    scene.rulebook = Rulebook(instances=("host1:5001",))
    await scene.skips(instance="host7:5001")


@tells(Reason.NOT_OPTED_IN)
async def not_opted_in(scene: Scene) -> None:
    scene.engine.run(replace(web(), labels={}))
    await scene.skips()


@tells(Reason.SWARM_TASK)
async def a_swarm_task(scene: Scene) -> None:
    swarm = {
        "relevo.enable": "true",
        "com.docker.swarm.service.name": "web",
        "com.docker.swarm.task.name": "web.1.abc",
    }
    scene.engine.run(replace(web(), labels=swarm))
    await scene.skips()


@tells(Reason.STALE)
async def an_old_notice(scene: Scene) -> None:
    await scene.house.take(RESOLVED)
    counts = await scene.house.take(alert())
    scene.answers.append(json.dumps({"stale": counts.stale}) if counts.stale else "")


@tells(Reason.UNDER_COVER)
async def one_restart_beside_a_clone(scene: Scene) -> None:
    await scene.ill_for(minutes=37)


@tells(Reason.COVER)
async def a_clone_before_the_restart(scene: Scene) -> None:
    scene.rulebook = Rulebook(defaults=Policy(strategy=Strategy.RELIEVE_FIRST))
    await scene.ill_for(minutes=3)


@tells(Reason.SCALED_IN_LATELY)
async def needed_again(scene: Scene) -> None:
    await scene.house.tenure.beat()
    told = AuditEntry(at=START, kind=AuditKind.OUTCOME, attempt="in1")
    await scene.store.scaling.end(scaled_in(), now=START, told=told)
    await scene.ill_for(seconds=5)


def spends(scene: Scene, *use: float) -> Callable[[Container], Used]:
    def measure(one: Container) -> Used:
        lived = (scene.clock.now() - START).total_seconds()
        return Used(
            at=scene.clock.now(),
            started_at=one.started_at,
            cpu_seconds=use[0] * lived,
            network_bytes=round(use[1] * lived),
        )

    return measure


def shares(cores: float, bytes_a_second: float) -> Story:
    """Beside a source with plenty to do, the clone uses so much."""

    async def a_clone_that_does_not_help(scene: Scene) -> None:
        scene.rulebook = Rulebook(defaults=SCALE_FIRST)
        scene.engine.uses["web"] = spends(scene, 1.0, 100_000)
        scene.engine.uses["web_new101"] = spends(scene, cores, bytes_a_second)
        await scene.ill_for(minutes=5)

    return a_clone_that_does_not_help


tells(Reason.NO_TRAFFIC)(shares(0, 0))
tells(Reason.NO_EFFECT)(shares(0, 100_000))


def lacking(**free: float) -> Story:
    async def the_host_is_full(scene: Scene) -> None:
        scene.rulebook = Rulebook(defaults=SCALE_FIRST)
        scene.engine.free = replace(PLENTY, **free)  # type: ignore[arg-type]
        await scene.ill_for(seconds=5)

    return the_host_is_full


tells(Reason.NO_MEMORY_HEADROOM)(lacking(free_memory=0))
tells(Reason.NO_CPU_HEADROOM)(lacking(free_cpus=0))


@tells(Reason.NEEDED)
async def a_clone_that_has_come_lately(scene: Scene) -> None:
    await scene.helped_by(clone())


@tells(Reason.QUIET)
async def a_clone_that_nobody_needs(scene: Scene) -> None:
    await scene.helped_by(clone())
    await scene.goes_on(leaving=True, minutes=31)


@tells(Reason.CLONE_DOWN)
async def a_clone_that_has_stopped(scene: Scene) -> None:
    await scene.helped_by(clone(state=RunState.EXITED))


@tells(Reason.COVER_OVER)
async def a_cover_that_is_not_needed_any_more(scene: Scene) -> None:
    await scene.helped_by(clone(), record=made(clone(), reason=Reason.COVER))


@tells(Reason.NO_CLONE)
async def a_copy_of_a_clone(scene: Scene) -> None:
    await scene.helped_by(clone(), record=made(clone(), container_id="f" * 64))


@tells(Reason.LAST_INSTANCE)
async def a_clone_that_serves_alone(scene: Scene) -> None:
    scene.engine.run(web(health=Health.UNHEALTHY))
    await scene.helped_by(clone())


@tells(Reason.REPLACED, Reason.ISOLATION_OVER)
async def a_source_in_whose_place_a_clone_serves(scene: Scene) -> None:
    scene.engine.run(web(networks=("front",)))
    rules = ScaleOutRules(source=SourceAfterwards.ISOLATE, isolate_for=timedelta(hours=1))
    scene.rulebook = Rulebook(defaults=replace(SCALE_FIRST, scale_out=rules))
    for name in ("web", "web_new101"):
        scene.engine.uses[name] = spends(scene, 1.0, 100_000)
    await scene.ill_for(seconds=5)
    await scene.goes_on(leaving=True, hours=2)


@tells(Reason.SCALE_OUT_DISABLED)
async def scale_out_is_off(scene: Scene) -> None:
    off = replace(SCALE_FIRST, scale_out=ScaleOutRules(enabled=False))
    scene.rulebook = Rulebook(defaults=off)
    await scene.ill_for(seconds=5)


@tells(Reason.SCALE_OUT_FAILED)
async def the_clone_is_refused_at_last(scene: Scene) -> None:
    scene.rulebook = Rulebook(defaults=SCALE_FIRST)
    scene.engine.errors.append(CloneRefused("its layer has changed since the dry run"))
    await scene.ill_for(seconds=30)


@tells(Reason.GATE)
async def the_gate_lets_nothing_through(scene: Scene) -> None:
    scene.engine.errors.append(GateRefused("stop", "the STOP file is there"))
    await scene.ill_for(seconds=90)


@tells(Reason.MAX_CLONES)
async def too_many_clones_of_all_groups(scene: Scene) -> None:
    scene.rulebook = Rulebook(defaults=SCALE_FIRST, guards=Guards(max_clones=0))
    await scene.ill_for(seconds=5)


def refused_for(word: RefusalReason) -> Story:
    async def no_faithful_clone(scene: Scene) -> None:
        scene.rulebook = Rulebook(defaults=SCALE_FIRST)
        item = FidelityItem(field="X", fate=Fate.REFUSED, detail="because", reason=word)
        scene.engine.report = FidelityReport(items=(item,), traffic="alias")
        await scene.ill_for(seconds=5)

    return no_faithful_clone


for _word in RefusalReason:
    if Reason(_word.value) not in STORIES:
        tells(Reason(_word.value))(refused_for(_word))


async def told_by_api(scene: Scene) -> str:
    """Everything that the API tells, as text."""
    async with scene.http() as http:
        stories = (await http.get("/api/v1/remediations")).json().get("remediations", [])
        paths = [f"/api/v1/remediations/{story['id']}" for story in stories]
        paths += ["/api/v1/targets", "/api/v1/status", "/api/v1/activities"]
        texts = [*scene.answers, *[(await http.get(path)).text for path in paths]]
    return "\n".join(texts)


async def told_by_metrics(scene: Scene) -> str:
    async with scene.http() as http:
        return (await http.get("/metrics")).text


@pytest.mark.parametrize("reason", list(Reason))
async def test_every_reason_is_produced_and_told_everywhere(reason: Reason) -> None:
    clock = VirtualClock()
    engine = FakeEngine(clock)
    engine.run(web())
    alertmanager = FakeAlertmanager(up_since=START - timedelta(days=1))
    memory = MemoryStore()
    scene = Scene(
        clock=clock,
        engine=engine,
        memory=memory,
        store=make_store(memory),
        alertmanager=alertmanager,
    )

    with capture_logs() as logs:
        await STORIES[reason](scene)
        api = await told_by_api(scene)

    keep_the_promise(logs)
    quoted = re.compile(rf'"{reason}"')
    assert quoted.search(api), "in the API"
    logged = {str(value) for line in logs for value in line.values()}
    assert any(reason in line.split(",") for line in logged), "in the log"
    assert f'reason="{reason}"' in await told_by_metrics(scene), "in a metric"
    assert f"`{reason}`" in DOCS.read_text(encoding="utf-8"), "in docs/reasons.md"
