"""
What is told of actions: annotations in Grafana, and the audit, held against the engine's events.

Grafana is the strict fake of the adapter's tests, over a real socket; it is away while things
happen, and the controller is killed before it could tell of them.
"""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from app.adapters.store import open_store
from app.domain.audit import AuditKind
from tests.adapters.grafana_api import TOKEN, Grafana, running_grafana
from tests.adapters.store.server import RedisServer
from tests.parts import require
from tests.stack.answers import Json
from tests.stack.conftest import StartLab
from tests.stack.containers import Illness, Patient
from tests.stack.lab import NO_BOUNDS, Lab
from tests.stack.stories import recovers, restarted, verdicts
from tests.stack.wait import eventually

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.redis, pytest.mark.timeout(200)]

FIRST_WAIT = timedelta(seconds=2)
PATIENT: Json = {
    "name": "patient",
    "restart": {"delays": [f"{FIRST_WAIT.seconds}s", "4s"]},
    "verify": {"deadline": "6s", "settle": "3s", "poll": "500ms"},
    "scale_out": {"enabled": False},
}


async def test_each_restart_is_told_once_whoever_dies_meanwhile(start_lab: StartLab) -> None:
    with TemporaryDirectory(prefix="relevo-") as directory:
        durable = ("--appendonly", "yes", "--appendfsync", "always")
        server = RedisServer(require("redis"), Path(directory) / "redis", *durable).start()
        try:
            async with running_grafana("/grafana") as grafana:
                await _story(start_lab, server, grafana)
        finally:
            server.kill()


async def _story(start_lab: StartLab, server: RedisServer, grafana: Grafana) -> None:
    lab = await start_lab(
        policies=(PATIENT,),
        guards=NO_BOUNDS,
        without=("prometheus", "relevo-collect"),
        environment={
            "RELEVO_REDIS_URL": server.url,
            "RELEVO_GRAFANA_URL": grafana.url,
            "RELEVO_GRAFANA_TOKEN": TOKEN,
            "RELEVO_EXTERNAL_URL": "https://relevo.example",
        },
    )
    await grafana.stop()
    cured = await lab.ward.admit("cured", Illness())
    stubborn = await lab.ward.admit("stubborn", Illness())
    for patient in (cured, stubborn):
        await lab.alarm.fire(patient)
        await restarted(patient)
    await lab.alarm.calm(cured)
    await verdicts(lab, stubborn, within=30)
    await _trouble_is_shown(lab)
    await lab.controller.kill()
    assert grafana.annotations == {}

    await grafana.start()
    await lab.controller.start()
    await recovers(lab, cured, within=60)
    await restarted(stubborn, 2, within=60)
    await verdicts(lab, stubborn, 2, within=60)
    await lab.alarm.calm(stubborn)

    told = await _told(lab, grafana, (cured, stubborn))
    assert set(told.values()) == {1}
    assert (await lab.get("/api/v1/status"))["messages"] == {"pending": 0, "trouble": None}
    await _audited(server, (cured, stubborn))


async def _trouble_is_shown(lab: Lab) -> None:
    """Whoever asks how Relevo is hears that Grafana is away, and how much waits."""

    async def look() -> bool:
        told = (await lab.get("/api/v1/status"))["messages"]
        return told["pending"] >= 2 and "Grafana at http" in (told["trouble"] or "")

    await eventually(look, within=20, what="the status tells of a Grafana that is away")
    log = lab.controller.log.read_text(encoding="utf-8")
    assert log.count("messages not delivered, will be repeated") == 1


async def _told(lab: Lab, grafana: Grafana, patients: tuple[Patient, ...]) -> Counter[str]:
    """Count annotations by attempt, once each judged attempt has its region."""
    attempts = [one for patient in patients for one in await lab.attempts(patient)]
    judged = {f"attempt:{one['id']}": one["verdict"] for one in attempts if one["verdict"]}

    async def look() -> bool:
        regions = {
            tag: tags
            for tags, begun, end in grafana.told()
            if end > begun
            for tag in tags
            if tag in judged
        }
        return regions.keys() == judged.keys()

    await eventually(look, within=60, what=f"regions for {judged}")
    for one in grafana.annotations.values():
        (tag,) = (tag for tag in one["tags"] if tag.startswith("attempt:"))
        assert f"verdict:{judged[tag]}" in one["tags"]
        assert f"engine:{lab.engine}" in one["tags"]
        assert "https://relevo.example/remediations/" in one["text"]
    return Counter(tag for tags, _, _ in grafana.told() for tag in tags if tag in judged)


async def _audited(server: RedisServer, patients: tuple[Patient, ...]) -> None:
    """Hold the audit against what the engine says has happened."""
    async with open_store(server.url) as store:
        lines = [line.entry for line in await store.audit.entries()]
        check = await store.audit.verify()
    assert (check.broken_at, check.first, check.lines) == (None, 1, len(lines))
    for patient in patients:
        starts = await patient.restarts()
        mine = [one for one in lines if one.container_id == patient.id]
        by_kind = Counter(one.kind for one in mine)
        assert by_kind[AuditKind.INTENT] == by_kind[AuditKind.OUTCOME] == len(starts)
        assert by_kind[AuditKind.ACTED] == len(starts)
        intents = [one.at for one in mine if one.kind is AuditKind.INTENT]
        answers = [one.at for one in mine if one.kind is AuditKind.ACTED]
        slack = timedelta(milliseconds=200)  # two clocks of one machine, read apart
        for intent, start, answer in zip(intents, starts, answers, strict=True):
            assert intent - slack <= start <= answer + slack
