"""A real Alertmanager that leaves alerts out of its notification: they are pulled first."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

import pytest

from app.adapters.clock import LoopClock
from tests.chaos.conftest import OpenHouse
from tests.chaos.house import POLICY, House
from tests.chaos.pager import WEBHOOK
from tests.chaos.starts import Starts
from tests.chaos.visits import LONG_DUE, Visit
from tests.parts import require
from tests.stack.program import Program, free_port
from tests.stack.wait import eventually, side_by_side

pytestmark = [
    pytest.mark.stack,
    pytest.mark.docker,
    pytest.mark.redis,
    pytest.mark.timeout(240),
]

PATIENTS: Final = 3
SAYS: Final = f"left {PATIENTS - 1} alerts out"


class Gate:
    """The way to Alertmanager's API; closed, nobody answers there."""

    def __init__(self, to: int) -> None:
        self.port = free_port()
        self.is_open = True
        self._to = to

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Carry what comes, or hang up."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        try:
            yield
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            if self.is_open:
                far_reader, far = await asyncio.open_connection("127.0.0.1", self._to)
                await asyncio.gather(_carry(reader, far), _carry(far_reader, writer))
        writer.transport.abort()


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


@asynccontextmanager
async def alertmanager(house: House, port: int) -> AsyncIterator[None]:
    """Run one that tells this house of one alert of each group."""
    hook = {"url": f"{house.controllers[0].url}{WEBHOOK}", "max_alerts": 1, "send_resolved": True}
    route = {"receiver": "relevo", "group_by": ["engine"], "group_wait": "1s"}
    configured = house.home / "alertmanager.yml"
    receivers = [{"name": "relevo", "webhook_configs": [hook]}]
    configured.write_text(json.dumps({"route": route, "receivers": receivers}), encoding="utf-8")
    program = Program(
        "alertmanager",
        [
            require("alertmanager"),
            f"--config.file={configured}",
            f"--storage.path={house.home}/alertmanager",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        log=house.home / "alertmanager.log",
    )
    await program.start()
    try:
        yield
    finally:
        await program.stop()


async def fire(house: House, port: int) -> None:
    """Post an alert on each container, all at once: one group."""
    now = LoopClock().now()
    alerts = [
        {
            "labels": house.labels(patient),
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(minutes=10)).isoformat(),
            "generatorURL": "http://prometheus/graph",
        }
        for patient in house.patients
    ]

    async def taken() -> bool:
        url = f"http://127.0.0.1:{port}/api/v2/alerts"
        return (await house.http.post(url, json=alerts)).status_code == 200

    await eventually(taken, within=30, what="Alertmanager takes the alerts")


async def test_what_was_left_out_is_pulled_for_first(open_house: OpenHouse, starts: Starts) -> None:
    require("alertmanager")
    await side_by_side(
        it_is_pulled_at_once(open_house, starts),
        nothing_is_done_before(open_house, starts),
    )


async def it_is_pulled_at_once(open_house: OpenHouse, starts: Starts) -> None:
    """The next pull is an hour away: what two of them are treated by is the one for the third."""
    port = free_port()
    url = {"RELEVO_ALERTMANAGER_URL": f"http://127.0.0.1:{port}"}
    house = await open_house(
        patients=PATIENTS, stubborn=0, policy={**POLICY, "pull": "1h"}, environment=url, pull=False
    )
    visit = Visit(house, starts)
    async with alertmanager(house, port):
        await fire(house, port)

        for patient in house.patients:
            await visit.restarted(patient, within=30)

    log = house.controllers[0].program.log.read_text(encoding="utf-8")
    assert log.count(SAYS) >= 1
    assert 0 < log.index(SAYS) < log.index("decision=restart")


async def nothing_is_done_before(open_house: OpenHouse, starts: Starts) -> None:
    """The API does not answer: what the notification told is not the whole picture."""
    port = free_port()
    gate = Gate(port)
    gate.is_open = False
    async with gate.listening():
        url = {"RELEVO_ALERTMANAGER_URL": f"http://127.0.0.1:{gate.port}"}
        house = await open_house(patients=PATIENTS, stubborn=0, environment=url, pull=False)
        visit = Visit(house, starts)

        async def says_so() -> bool:
            return any(SAYS in one for one in (await visit.status())["acting"]["trouble"])

        async with alertmanager(house, port):
            await fire(house, port)
            await eventually(says_so, within=20, what="the notification is known to be cut short")
            for patient in house.patients:
                await visit.is_left_alone(patient, 0, during=LONG_DUE / PATIENTS)
            assert await says_so()

            gate.is_open = True
            for patient in house.patients:
                await visit.restarted(patient, within=30)
            assert not await says_so()
