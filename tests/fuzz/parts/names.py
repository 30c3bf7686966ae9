"""
Names and labels through model, resolver and adapter: none becomes a request that is not listed.

The engine is a recording one over a real socket. A name that is no id of the listing causes no
request at all; text beside an id (networks, an attempt, a moment) only those that are listed.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from app.adapters.engine.connection import EngineConnection
from app.adapters.engine.docker import DockerEngine
from app.adapters.engine.endpoints import is_listed
from app.adapters.engine.swarm import SwarmServices
from app.adapters.gate.client import GateEngine
from app.adapters.gate.line import GateLine, no_fence
from app.api.notification import WebhookIn
from app.domain.alert import Alert
from app.errors import RelevoError
from app.policies.membership import OptIn
from app.policies.roster import Found, Roster, whose
from app.policies.spec import Rulebook, ScaleOutRules
from tests.adapters.engine.conftest import IMPATIENT
from tests.adapters.engine.fake_daemon import CONTAINER_ID, STARTED_AT, FakeDaemon, fake_daemon
from tests.adapters.engine.hostile import HOSTILE
from tests.adapters.gate.scenes import ready
from tests.builders import ENGINE, START, compose, listed
from tests.fuzz import soup
from tests.fuzz.parts.bodies import ALERT
from tests.fuzz.tally import Tally

#: One in so many really asks the recording engine: a request costs a hundred refusals.
_ASKING: Final = 25
_BOOK: Final = Rulebook()
_LISTING: Final = (
    listed("web", 1),
    listed("db", 2, labels={}),
    listed("shop-api-1", 3, labels=compose("shop", "api", 1)),
    listed("shop-api-2", 4, labels=compose("shop", "api", 2)),
    listed("web-relevo-1", 5, labels={"relevo.enable": "true", "relevo.clone-of": "web"}),
    listed("relevo", 6, labels={"relevo.enable": "true", "relevo.protected": "true"}),
    listed("a" * 64, 7),
    listed("prometheus", 8, image="prom/prometheus:1"),
)
_ROSTER: Final = Roster(ENGINE, _LISTING, prefix="relevo")
_NAMES: Final = tuple(name for one in _LISTING for name in (one.name, one.id, one.id[:12]))
_LABELS: Final = (
    *_BOOK.target_labels,
    *("engine", "instance", "alertname", "com_docker_compose_project"),
    *("container_label_com_docker_compose_project", "container_label_com_docker_compose_service"),
)
#: What an adapter is asked with a name that is no id.
_Call = Callable[[Any, str], Awaitable[object]]
_ACTS: Final[tuple[_Call, ...]] = (
    lambda engine, name: engine.inspect(name),
    lambda engine, name: engine.restart(
        name, attempt_id="a", expected_started_at=STARTED_AT, stop_grace=timedelta(0)
    ),
    lambda engine, name: engine.start(name, attempt_id="a"),
    lambda engine, name: engine.clone(name, attempt_id="a", rules=ScaleOutRules(), at=START),
    lambda engine, name: engine.remove_clone(name, attempt_id="a"),
    lambda engine, name: engine.set_aside(
        name, attempt_id="a", networks=None, expected_started_at=STARTED_AT
    ),
    lambda engine, name: engine.bring_back(
        name, attempt_id="a", networks="{}", ends=None, starts=True
    ),
    lambda engine, name: engine.used(name, at=START),
    lambda engine, name: engine.room(name),
    lambda engine, name: engine.evidence(name, at=START),
)
_SERVICES: Final[tuple[_Call, ...]] = (
    lambda services, name: services.service(name),
    lambda services, name: services.force_update(name, attempt_id="a", expected_template="t"),
    lambda services, name: services.scale(name, attempt_id="a", expected_replicas=1, to=2),
)


def name_of(chance: Random) -> str:
    """Make a name: a notorious one, or one that nearly is somebody's."""
    kind = chance.random()
    if kind < 0.3:
        return chance.choice(HOSTILE)
    if kind < 0.6:
        return soup.text(chance)
    name = chance.choice(_NAMES)
    if kind < 0.7:
        return name
    at = chance.randrange(len(name) + 1)
    odd: str = chance.choice((*soup.TEXTS[:50], *"/?#.%\\\n -_AaＡ"))
    return name[:at] + odd[:40] + name[at + chance.choice((0, 0, 1)) :]


def misread(labels: dict[str, str]) -> str | None:
    """Put an alert's labels through model and resolver; say what is wrong with what is found."""
    envelope = WebhookIn.model_validate({"version": "4", "alerts": [{**ALERT, "labels": labels}]})
    (alert,) = envelope.read_alerts()
    if not isinstance(alert, Alert):
        return None
    if whose(alert.labels, engine=ENGINE, instances=()) is not None:
        return None if labels["engine"] != ENGINE else "its own engine's is another's"
    found = _ROSTER.resolve(alert.labels, target_labels=_BOOK.target_labels)
    if not isinstance(found, Found):
        return None
    value = next((labels[name] for name in _BOOK.target_labels if labels.get(name)), None)
    its = {found.member.listed.name, found.member.target.slot}
    if value is not None and value not in its:
        return f"found {found.member.listed.name} by another name"
    if value is None and "shop" not in labels.values():
        return f"found {found.member.listed.name} by nothing"
    if found.root.opt_in is OptIn.NO or found.root.protected is not None:
        return f"found {found.root.listed.name}, which is not to be touched"
    if found.root.listed not in _LISTING:
        return "found what is not listed"
    return None


def is_id(name: str) -> bool:
    """Whether a name has the form of an id, said in other words than the adapter's."""
    return len(name) == 64 and set(name) <= set("0123456789abcdef")


def fuzz(tally: Tally, cases: int) -> None:
    """Try names."""
    asyncio.run(_tried(tally, cases))


class _Adapters:
    """All that a name may reach, and what came out at the far end."""

    def __init__(self, engine: Any, services: Any, gate: Any, daemon: FakeDaemon) -> None:
        self.engine, self.services, self.gate, self.daemon = engine, services, gate, daemon

    async def refused(self, chance: Random, name: str) -> str | None:
        """Ask for something with a name that is no id: a ValueError, and no request."""
        if chance.random() < 0.2:
            if len(name) == 25 and name.isalnum() and name.isascii():
                return None
            asked, subject = chance.choice(_SERVICES), self.services
        else:
            asked = chance.choice(_ACTS)
            # (What is a look over the gate is one question for each.)
            subject = self.gate if chance.random() < 0.3 else self.engine
        try:
            await asked(subject, name)
        except ValueError:
            pass
        except RelevoError as exc:
            return f"got as far as {type(exc).__name__}"
        else:
            return "was taken for an id"
        return None if not self.daemon.requests else f"asked for {self.daemon.requests[0]}"

    async def beside_an_id(self, chance: Random, name: str) -> str | None:
        """Send text that is not an id, with one that is: only what is listed may be asked for."""
        networks = chance.choice((name, json.dumps({name: {}}), json.dumps({"front": {name: 1}})))
        moment = chance.choice((STARTED_AT, name))
        asked: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: self.engine.bring_back(
                CONTAINER_ID, attempt_id=name, networks=networks, ends=moment, starts=True
            ),
            lambda: self.engine.set_aside(
                CONTAINER_ID, attempt_id=name, networks=networks, expected_started_at=moment
            ),
            lambda: self.engine.restart(
                CONTAINER_ID, attempt_id=name, expected_started_at=name, stop_grace=timedelta(0)
            ),
            lambda: self.engine.clone(
                CONTAINER_ID, attempt_id=name, rules=ScaleOutRules(), at=START
            ),
        )
        with suppress(RelevoError, ValueError):
            await chance.choice(asked)()
        for one in self.daemon.requests:
            method, path = one.partition("?")[0].split(" ", 1)
            if not is_listed(method, path):
                return f"asked for {method} {path}"
        return None


async def _tried(tally: Tally, cases: int) -> None:
    async with fake_daemon() as daemon, DockerEngine(daemon.url, bounds=IMPATIENT) as engine:
        ready(daemon)
        connection = EngineConnection(daemon.url, IMPATIENT)
        # Nobody listens there: a request would be EngineUnavailable.
        line = GateLine(Path("/nowhere/gate.sock"), fence=no_fence)
        adapters = _Adapters(engine, SwarmServices(connection), GateEngine(line), daemon)
        try:
            for number in tally.numbers(cases):
                await _one(tally, adapters, number)
        finally:
            await line.close()
            await connection.close()


async def _one(tally: Tally, adapters: _Adapters, number: int) -> None:
    chance = tally.chance(number)
    name = name_of(chance)
    with tally.case(number, name):
        if number % _ASKING == 0:
            adapters.daemon.requests.clear()
            fault = await adapters.beside_an_id(chance, name)
            adapters.daemon.requests.clear()
        else:
            labels = dict(ALERT["labels"]) | {chance.choice(_LABELS): name}
            if chance.random() < 0.5:
                labels[chance.choice(_LABELS)] = name_of(chance)
            fault = misread(labels)
            if fault is None and not is_id(name):
                fault = await adapters.refused(chance, name)
        tally.outcomes["refused" if fault is None else "fault"] += 1
        if fault is not None:
            tally.find(number, fault, name)
