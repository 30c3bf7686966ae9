"""
What an engine may answer: values of the types that are promised, or an error that is documented.

Most cases go straight to the functions that read an answer; one in so many goes the whole way,
over a socket, from a fake daemon to what the port gives.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from app.adapters.engine import headroom, queries, stats, swarm_translate, translate
from app.adapters.engine.connection import EngineConnection
from app.adapters.engine.docker import DockerEngine
from app.adapters.engine.stats import Allowance, EngineReader, Usage
from app.adapters.engine.swarm import SwarmServices
from app.domain.casefile import CaseFile
from app.domain.container import Container, EngineEvent, EngineIdentity, Listed
from app.domain.service import Service
from app.domain.usage import Room, Used
from app.errors import RelevoError
from app.policies.clone_config import Taken
from app.policies.cloning import plan_clone
from app.policies.roster import Roster
from app.policies.spec import ScaleOutRules
from app.ports import CloneResult
from tests.adapters.engine.conftest import IMPATIENT
from tests.adapters.engine.fake_daemon import (
    CONTAINER_ID,
    IMAGE_ID,
    STARTED_AT,
    FakeDaemon,
    Reply,
    event,
    fake_daemon,
    inspected,
    line,
)
from tests.adapters.engine.test_swarm_fake import ID, SPEC
from tests.builders import ENGINE, START
from tests.fuzz import soup
from tests.fuzz.shapes import wrong_within
from tests.fuzz.tally import Tally
from tests.policies.clone_builders import AT, source

#: One in so many goes over a socket.
_WHOLE_WAY: Final = 150
_WITHIN_S: Final = 20.0

_HEALTH: Final = {
    "Status": "unhealthy",
    "FailingStreak": 3,
    "Log": [{"Start": "2026-11-22T03:00:01Z", "ExitCode": 1, "Output": "no"}],
}
_INSPECTED: Final = inspected(
    Created="2026-11-22T02:00:00Z",
    State={"Health": _HEALTH},
    Config={
        "Labels": {"relevo.enable": "true", "com.docker.compose.project": "shop"},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9, "Timeout": 10**9, "Retries": 3},
        "StopTimeout": 5,
        "Env": ["A=b"],
        "Cmd": ["serve"],
    },
    HostConfig={"NetworkMode": "default", "Memory": 1 << 30, "NanoCpus": 10**9, "Binds": None},
)
_LINE: Final = line(
    Labels={"relevo.enable": "true"},
    Created=1_700_000_000,
    Status="Up 5 minutes (healthy)",
    NetworkSettings={"Networks": {"bridge": {}}},
    HostConfig={"NetworkMode": "default"},
)
_INFO: Final = {
    "Name": "host1",
    "ServerVersion": "20.10.24",
    "NCPU": 4,
    "MemTotal": 8 << 30,
    "SystemTime": STARTED_AT,
    "Swarm": {"ControlAvailable": True},
}
_STATS: Final = {
    "read": "2026-11-22T15:50:28.033866999Z",
    "preread": "2026-11-22T15:50:27.033866999Z",
    "cpu_stats": {
        "cpu_usage": {"total_usage": 1_500_000_000},
        "throttling_data": {"throttled_time": 1},
    },
    "precpu_stats": {"cpu_usage": {"total_usage": 1_000_000_000}},
    "memory_stats": {"usage": 1000, "stats": {"total_inactive_file": 300}, "limit": 2**40},
    "pids_stats": {"current": 3},
    "networks": {"eth0": {"rx_bytes": 5, "tx_bytes": 7}},
    "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 100}]},
}
_SERVICE: Final = {
    "ID": ID,
    "Version": {"Index": 7},
    "Spec": json.loads(json.dumps(dict(SPEC))),
    "PreviousSpec": {"TaskTemplate": {"ForceUpdate": 1}},
    "UpdateStatus": {"State": "completed", "StartedAt": STARTED_AT, "Message": "done"},
}
_TASK: Final = {
    "ID": "t" * 25,
    "ServiceID": ID,
    "Slot": 1,
    "NodeID": "n" * 25,
    "CreatedAt": STARTED_AT,
    "DesiredState": "running",
    "Spec": {"ContainerSpec": {"Image": "shop:1"}, "ForceUpdate": 4},
    "Status": {
        "State": "running",
        "Timestamp": STARTED_AT,
        "ContainerStatus": {"ContainerID": CONTAINER_ID, "ExitCode": 0},
    },
}
_TOP: Final = {"Titles": ["PID", "CMD"], "Processes": [["1", "serve"]]}
_IMAGE: Final = {"Id": IMAGE_ID, "Config": {"Env": ["A=b"], "Labels": {}}}
_CHANGES: Final = [{"Path": "/tmp", "Kind": 0}, {"Path": "/tmp/x", "Kind": 1}]


@dataclass(frozen=True)
class Reading:
    """A function that reads an answer."""

    read: Callable[[Any], Any]
    #: Such an answer, as it should be.
    told: Any
    gives: Any


def _plan(told: Any) -> Any:
    spoilt = replace(
        source(),
        container=queries.writable(told["container"]),
        image=queries.writable(told["image"]),
    )
    plan = plan_clone(
        spoilt,
        taken=Taken(),
        rules=ScaleOutRules(),
        label_prefix="relevo",
        attempt_id="a",
        at=AT,
    )
    return CloneResult(report=plan.report, clone=None)


def _roster(told: Any) -> Any:
    """A listing is read by the resolver as well: it must be one that this can go on with."""
    found = translate.listed(told)
    Roster(ENGINE, [found], prefix="relevo").targets()
    return found


_USAGE: Final[Any] = Usage | None
READINGS: Final[Mapping[str, Reading]] = {
    "listed": Reading(_roster, _LINE, Listed),
    "container": Reading(translate.container, _INSPECTED, Container),
    "identity": Reading(
        lambda told: translate.identity(told, api_version=(1, 41)),
        _INFO,
        EngineIdentity,
    ),
    "event": Reading(translate.event, event("health_status: unhealthy", exitCode="1"), EngineEvent),
    "usage": Reading(stats.usage, _STATS, _USAGE),
    "figures": Reading(stats.figures, _STATS, dict[str, float] | None),
    "allowance": Reading(stats.allowance, _INSPECTED, Allowance),
    "present": Reading(headroom.present, _STATS, headroom.Present | None),
    "service": Reading(
        lambda told: swarm_translate.service(told[0], told[1], prefix="relevo"),
        [_SERVICE, [_TASK]],
        Service,
    ),
    "plan": Reading(
        _plan,
        {"container": source().container, "image": source().image},
        CloneResult,
    ),
}


def misread(reading: Reading, told: Any) -> str | None:
    """Read an answer; say what is wrong with what is made of it."""
    try:
        found = reading.read(told)
    except translate.UNREADABLE:
        return None  # the connection turns it into an error of ours
    return wrong_within(found, reading.gives)


# ---------------------------------------------------------------- the whole way


_Ask = Callable[["_Ends"], Awaitable[object]]


@dataclass(frozen=True)
class _Ends:
    engine: DockerEngine
    reader: EngineReader
    services: SwarmServices
    daemon: FakeDaemon


async def _events(ends: _Ends) -> object:
    """Follow until the stream ends."""
    async with aclosing(ends.engine.events(since_ns=1)) as events:
        return [one async for one in events]


_BASE: Final = f"GET /containers/{CONTAINER_ID}"
_INSPECT, _STATS_OF, _TOP_OF = f"{_BASE}/json", f"{_BASE}/stats", f"{_BASE}/top"
_LIST, _INFO_OF, _IMAGE_OF = "GET /containers/json", "GET /info", f"GET /images/{IMAGE_ID}/json"
_CHANGES_OF, _SERVICES_OF = f"{_BASE}/changes", "GET /services"
_SERVICE_OF, _TASKS_OF = f"GET /services/{ID}", "GET /tasks"
#: Request -> as it should be answered.
ANSWERS: Final[Mapping[str, Any]] = {
    _INSPECT: _INSPECTED,
    _STATS_OF: _STATS,
    _TOP_OF: _TOP,
    _LIST: [_LINE],
    _INFO_OF: _INFO,
    _IMAGE_OF: _IMAGE,
    _CHANGES_OF: _CHANGES,
    _SERVICES_OF: [_SERVICE],
    _SERVICE_OF: _SERVICE,
    _TASKS_OF: [_TASK],
    f"{_BASE}/logs": "",
    "GET /version": {"ApiVersion": "1.41"},
    f"POST /services/{ID}/update": {"Warnings": None},
    f"POST /containers/{CONTAINER_ID}/restart": None,
    "POST /containers/create": {"Id": "c" * 64},
}
#: What is asked, which answers that takes, and what it gives.
ASKED: Final[tuple[tuple[str, _Ask, tuple[str, ...], Any], ...]] = (
    (
        "identity",
        lambda e: e.engine.identity(),
        (_INFO_OF, "GET /version"),
        EngineIdentity,
    ),
    ("containers", lambda e: e.engine.containers(), (_LIST,), tuple[Listed, ...]),
    ("inspect", lambda e: e.engine.inspect(CONTAINER_ID), (_INSPECT,), Container),
    (
        "used",
        lambda e: e.engine.used(CONTAINER_ID, at=START),
        (_INSPECT, _STATS_OF),
        Used | None,
    ),
    (
        "room",
        lambda e: e.engine.room(CONTAINER_ID),
        (_INSPECT, _STATS_OF, _INFO_OF, _LIST),
        Room,
    ),
    (
        "evidence",
        lambda e: e.engine.evidence(CONTAINER_ID, at=START),
        (_INSPECT, _STATS_OF, _TOP_OF, f"{_BASE}/logs"),
        CaseFile,
    ),
    ("events", _events, ("GET /events",), list[EngineEvent]),
    ("host", lambda e: e.reader.host(), (_INFO_OF,), EngineIdentity),
    ("running", lambda e: e.reader.running(), (_LIST,), tuple[Listed, ...]),
    ("usage", lambda e: e.reader.usage(CONTAINER_ID), (_STATS_OF,), _USAGE),
    ("allowance", lambda e: e.reader.allowance(CONTAINER_ID), (_INSPECT,), Allowance),
    ("manages", lambda e: e.services.manages(), (_INFO_OF,), bool),
    (
        "services",
        lambda e: e.services.services(),
        (_SERVICES_OF, _TASKS_OF),
        tuple[Service, ...],
    ),
    ("service", lambda e: e.services.service(ID), (_SERVICE_OF, _TASKS_OF), Service),
    (
        "scale",
        lambda e: e.services.scale(ID, attempt_id="a", expected_replicas=2, to=3),
        (_SERVICE_OF, _TASKS_OF, f"POST /services/{ID}/update"),
        Service,
    ),
    (
        "force",
        lambda e: e.services.force_update(
            ID,
            attempt_id="a",
            expected_template=_template(),
        ),
        (_SERVICE_OF, _TASKS_OF),
        Service,
    ),
    (
        "plan",
        lambda e: e.engine.clone(
            CONTAINER_ID, attempt_id="a", rules=ScaleOutRules(), at=START, dry_run=True
        ),
        (_INSPECT, _IMAGE_OF, _CHANGES_OF, _LIST),
        CloneResult,
    ),
    (
        "clone",
        lambda e: e.engine.clone(CONTAINER_ID, attempt_id="a", rules=ScaleOutRules(), at=START),
        (_INSPECT, _IMAGE_OF, _CHANGES_OF, _LIST, "POST /containers/create"),
        CloneResult,
    ),
    (
        "remove",
        lambda e: e.engine.remove_clone(CONTAINER_ID, attempt_id="a"),
        (_INSPECT,),
        None,
    ),
    (
        "aside",
        lambda e: e.engine.set_aside(
            CONTAINER_ID, attempt_id="a", networks="{}", expected_started_at=STARTED_AT
        ),
        (_INSPECT,),
        None,
    ),
    (
        "back",
        lambda e: e.engine.bring_back(
            CONTAINER_ID, attempt_id="a", networks="{}", ends=None, starts=False
        ),
        (_INSPECT,),
        tuple[str, ...],
    ),
)


def _template() -> str:
    return swarm_translate.service(_SERVICE, (), prefix="relevo").template


def _reply(chance: Random, answer: Any) -> Reply:
    """An answer that is wrong somewhere, or broken, or none of this API's."""
    kind = chance.random()
    if kind < 0.7:
        return Reply(body=soup.spoilt(chance, answer), status=200)
    if kind < 0.8:
        raw = soup.mutated(chance, soup.written(answer))
        return Reply(body=raw.decode("utf-8", "replace"))
    if kind < 0.9:
        status = chance.choice((200, 201, 204, 304, 400, 404, 409, 500, 503))
        return Reply(body=soup.value(chance), status=status)
    if kind < 0.92:
        return Reply(breaks=True)
    raw = soup.mutated(chance, soup.written(answer))
    return Reply(pieces=(raw[:20], raw[20:]), breaks=chance.random() < 0.3)


def _stream(chance: Random) -> Reply:
    lines = []
    for _ in range(chance.randrange(1, 6)):
        told = soup.spoilt(chance, event("die", exitCode="1"))
        raw = soup.written(told)
        lines.append((raw if chance.random() < 0.7 else soup.mutated(chance, raw)) + b"\n")
    return Reply(pieces=tuple(lines))


async def _ask(ends: _Ends, name: str, reply: Reply, spoilt: str) -> str | None:
    _, ask, _, gives = next(one for one in ASKED if one[0] == name)
    for request, answer in ANSWERS.items():
        ends.daemon.answer(request, Reply(body=answer))
    ends.daemon.answer(spoilt, reply)
    try:
        async with asyncio.timeout(_WITHIN_S):
            found = await ask(ends)
    except RelevoError:
        return None
    return wrong_within(found, gives)


def fuzz(tally: Tally, cases: int) -> None:
    """Read answers."""
    whole = cases // _WHOLE_WAY
    for number in tally.numbers(cases - whole):
        chance = tally.chance(number)
        name = chance.choice([*READINGS])
        told = soup.spoilt(chance, READINGS[name].told)
        tally.outcomes[name] += 1
        with tally.case(number, told):
            fault = misread(READINGS[name], told)
            if fault is not None:
                tally.find(number, f"{name}: {fault}", told)
    asyncio.run(_asked(tally, whole, first=cases))


async def _asked(tally: Tally, cases: int, first: int) -> None:
    async with fake_daemon() as daemon, DockerEngine(daemon.url, bounds=IMPATIENT) as engine:
        reader = EngineReader(daemon.url, bounds=IMPATIENT)
        connection = EngineConnection(daemon.url, IMPATIENT)
        ends = _Ends(engine, reader, SwarmServices(connection), daemon)
        try:
            for number in tally.numbers(cases, first):
                chance = tally.chance(number)
                name, _, takes, _ = chance.choice(ASKED)
                spoilt = chance.choice(takes)
                is_stream = spoilt == "GET /events"
                reply = _stream(chance) if is_stream else _reply(chance, ANSWERS[spoilt])
                tally.outcomes[f"{name}, the whole way"] += 1
                with tally.case(number, (name, spoilt, reply)):
                    fault = await _ask(ends, name, reply, spoilt)
                    if fault is not None:
                        tally.find(number, f"{name}, the whole way: {fault}", (spoilt, reply))
                daemon.requests.clear()
        finally:
            await reader.close()
            await connection.close()
