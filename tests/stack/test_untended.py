"""What nobody looks after: its alert begins and ends in Slack, whatever else goes on meanwhile."""

import pytest

from app.adapters.clock import LoopClock
from tests.stack.answers import Json
from tests.stack.conftest import StartLab
from tests.stack.containers import Illness, Patient
from tests.stack.lab import Lab
from tests.stack.wait import eventually

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.timeout(200)]


#: Seconds after which all that was restarted has been scraped again, some times over.
SETTLED = 8


def told(lab: Lab, patient: Patient) -> list[str]:
    """Titles of the messages about a container."""
    return [one["title"] for one in lab.slack.attachments() if f"{patient.name} " in one["title"]]


async def asked(lab: Lab, query: str) -> list[Json]:
    """Labels of what Prometheus answers."""
    answer = await lab.http.get(f"{lab.prometheus_url}/api/v1/query", params={"query": query})
    return [one["metric"] for one in answer.json()["data"]["result"]]


async def test_begin_and_end_are_told_once_each_while_the_chain_restarts(
    start_lab: StartLab,
) -> None:
    lab = await start_lab()
    # An empty label is none.
    opted = f"{lab.engine}.enable"
    lonely = await lab.ward.admit("lonely", Illness(cpu=(2,)), labels={opted: ""})

    async def begun() -> list[Json]:
        firing = await lab.alarm.listed("ContainerHighCPU")
        return [one for one in firing if one["labels"]["name"] == lonely.name]

    async def is_told() -> bool:
        return bool(told(lab, lonely))

    (alert,) = await eventually(begun, within=60, what="the alert fires")
    assert alert["labels"]["relevo_care"] == "none"
    assert {one["name"] for one in alert["receivers"]} == {"relevo", "slack"}
    await eventually(is_told, within=30, what="Slack hears of it")

    # Relevo goes, the collector is another one, the container itself is restarted by somebody.
    await lab.controller.kill()
    await lab.collector.kill()
    await lab.collector.start()
    await lonely.do("restart", "-t", "0")
    after = LoopClock().now().timestamp() + SETTLED

    async def burns_on() -> list[Json]:
        firing = (
            f'ALERTS{{name="{lonely.name}",alertstate="firing"}} and on () vector(time()) > {after}'
        )
        return await asked(lab, firing)

    await eventually(burns_on, within=60, what="it fires again")
    every = f'group by (relevo_care) (last_over_time(ALERTS{{name="{lonely.name}"}}[1h]))'
    assert await asked(lab, every) == [{"relevo_care": "none"}]

    await lonely.fall_quiet()

    async def is_over() -> bool:
        return told(lab, lonely)[-1].startswith("Over: ")

    await eventually(is_over, within=60, what="Slack hears of its end")
    began, *_ = titles = told(lab, lonely)
    assert began.startswith(f"{lonely.name} uses ")
    # A restart by somebody may let the alert end and come back once.
    assert [one.startswith("Over: ") for one in titles] in ([False, True], [False, True] * 2)
    assert lab.slack.complaints == []
