"""
Every query of the dashboards and of the rules finds data in the Prometheus of a real chain.

While one container is restarted in vain and then relieved, everything that the shipped dashboards
ask is asked again and again until it has found something: what is there only for a while (a next
action, a firing alert) has its time too. A series that was renamed, a label that does not join, a
range that is too short: none of them parses any worse, and each of them leaves a panel empty.
"""

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.demo.scale import FACTOR, scaled
from tests.deploy.dashboards import BUILT_IN, NAMES, Query, load, queries, selectors
from tests.deploy.places import load_yaml
from tests.stack.answers import Json
from tests.stack.conftest import StartLab
from tests.stack.containers import Illness, Patient, docker
from tests.stack.lab import NO_BOUNDS, Lab
from tests.stack.stories import closed, verdicts
from tests.stack.wait import eventually

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.timeout(240)]

POLICY: Json = {
    "name": "soon",
    "restart": {"delays": ["4s"], "max_failed": 1},
    "verify": {"deadline": "6s", "settle": "3s", "poll": "500ms"},
    "scale_out": {"warm_up": "1s", "cooldown": "5s", "traffic_proof": "0s"},
}
#: Between two rounds of questions: more often than a sample comes would be no use.
ROUND = 1.0
#: After the story: the last of its samples are scraped, and rates over them known.
SETTLES = 20.0


@dataclass
class Asker:
    """Asks what has not found anything yet."""

    lab: Lab
    values: Mapping[str, str]
    open: list[Query]
    #: Answers with an error: each is a finding, whatever comes later.
    refused: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Ask round by round, until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(ROUND)

    async def ask(self) -> bool:
        """Ask once; tell whether everything has found something."""
        for query in tuple(self.open):
            if await self._finds(query):
                self.open.remove(query)
        return not self.open

    async def _finds(self, query: Query) -> bool:
        promql = query.filled(self.values)
        url = f"{self.lab.prometheus_url}/api/v1/query"
        answer = await self.lab.http.get(url, params={"query": promql})
        if answer.status_code != 200:
            self.refused.append(f"{query.board}, {query.where}: {answer.text}")
            return True
        found: list[Json] = answer.json()["data"]["result"]
        if query.label is not None:
            return any(query.label in one["metric"] for one in found)
        return any(math.isfinite(float(one["value"][1])) for one in found)


async def test_every_query_finds_data(start_lab: StartLab) -> None:
    lab = await start_lab(policies=(POLICY,), guards=NO_BOUNDS)
    compose = {f"com.docker.compose.{key}": lab.engine for key in ("project", "service")}
    labels = {f"{lab.engine}.cpus": "0.5", "com.docker.compose.container-number": "1", **compose}
    await lab.ward.admit("well", Illness(), labels=labels)
    patient = await lab.ward.admit(
        "patient", Illness(cpu=(2,)), labels={f"{lab.engine}.stateless": "true"}
    )
    asker = Asker(lab, values_of(lab, patient), [*asked_by_dashboards(lab), *asked_by_rules(lab)])
    number = len(asker.open)
    assert number > 100

    asking = asyncio.create_task(asker.run())
    try:
        await restarted_and_relieved(lab, patient)
        # Those few that wait for the newest sample, by the same hand.
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        with suppress(AssertionError):
            await eventually(asker.ask, within=SETTLES, what="every query finds data")
    finally:
        asking.cancel()

    assert asker.refused == []
    assert [f"{one.board}, {one.where}: {one.expr}" for one in asker.open] == []


async def restarted_and_relieved(lab: Lab, patient: Patient) -> None:
    """Let a restart be in vain; let the load end once there is a clone, as if it had moved."""
    (first,) = await verdicts(lab, patient, within=60)
    assert (first["action"], first["verdict"]) == ("restart", "symptom_persists")
    (clone,) = await eventually(lab.ward.clones, within=60, what="a clone")
    await patient.fall_quiet()
    await docker("exec", clone, "touch", "/tmp/quiet")
    story = await closed(lab, patient, within=60)
    assert story["outcome"] == "relieved"


def asked_by_dashboards(lab: Lab) -> list[Query]:
    """All queries of the lab's copy of the dashboards: what they look back on is scaled."""
    folder = config(lab) / "grafana" / "dashboards"
    return [query for name in NAMES for query in queries(name, load(name, folder))]


def asked_by_rules(lab: Lab) -> list[Query]:
    """
    All that the rules select.

    An alert that does not fire is an empty answer; what it compares must be there all the same.
    """
    groups = load_yaml(config(lab) / "prometheus" / "alert_rules.yml")["groups"]
    return [
        Query(board="rules", where=rule.get("alert", rule.get("record")), expr=selector.prettify())
        for group in groups
        for rule in group["rules"]
        for selector in selectors(rule["expr"])
    ]


def values_of(lab: Lab, patient: Patient) -> dict[str, str]:
    """What Grafana puts in for the variables, when this container is looked at."""
    own = {name: scaled(duration, FACTOR) for name, duration in BUILT_IN.items()}
    return own | {
        "engine": lab.engine,
        "instance": ".+",
        "container": patient.name,
        "target": f"{lab.engine}:{patient.slot}",
        "slot": patient.slot,
        "group": patient.name,
    }


def config(lab: Lab) -> Path:
    """Where the lab's configuration is."""
    return lab.home / "config"
