"""Alerts on the containers that Relevo cannot do without, on the real engine: none is touched."""

import os
import secrets
import shutil
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.chaos.conftest import OpenHouse
from tests.chaos.controllers import Controller
from tests.chaos.guests import admit, seen
from tests.chaos.house import House, Patient
from tests.chaos.starts import Starts
from tests.chaos.visits import LONG_DUE, Visit
from tests.parts import require
from tests.stack.containers import IMAGE, docker, ensure_image
from tests.stack.program import Program, free_port
from tests.stack.wait import eventually

pytestmark = [
    pytest.mark.stack,
    pytest.mark.docker,
    pytest.mark.redis,
    pytest.mark.timeout(240),
]

#: Whom the settings lead to; the process finds all of them on loopback.
FAR_SIDES: Final = ("redis", "alertmanager", "prometheus")
#: Of the chain, by what their images are called.
PROGRAMS: Final = ("relevo", "alertmanager", "prometheus", "docker-socket-proxy")
#: What nobody may do to any of them.
WRITES: Final = ("kill", "stop", "die", "restart", "pause", "rename", "destroy")
#: Files of its own, as a container has them: its names, and what tells a process where it is.
AS_IN_A_CONTAINER: Final = """
mount --bind "$1" /etc/hosts && mount --bind "$2" "$3" && shift 3 && exec "$@"
"""


@pytest.fixture
async def tag() -> AsyncIterator[str]:
    """The images of a test, under the names of the chain's programs."""
    await ensure_image()
    tag = secrets.token_hex(4)
    for program in PROGRAMS:
        await docker("tag", IMAGE, f"{program}:{tag}")
    yield tag
    # After the containers of the house: those are gone by now.
    for program in PROGRAMS:
        await docker("rmi", f"{program}:{tag}")


async def protected_ones(house: House, tag: str) -> dict[str, Patient]:
    """Admit all of them: by why it is protected."""
    found = {"itself": await admit(house, f"{house.engine}-itself")}
    for name in FAR_SIDES:
        found[f"leads to {name}"] = await admit(house, f"{house.engine}-{name}")
    for program in PROGRAMS:
        name = f"{house.engine}-image-{program}"
        found[f"image {program}"] = await admit(house, name, image=f"{program}:{tag}")
    label = ("--label", f"{house.engine}.protected=true")
    found["label"] = await admit(house, f"{house.engine}-labelled", *label)
    return found


def prometheus(house: House) -> tuple[Program, int]:
    """One that measures nothing: it is there to be asked."""
    port, configured = free_port(), house.home / "prometheus.yml"
    configured.write_text("scrape_configs: []\n", encoding="utf-8")
    argv = [
        require("prometheus"),
        f"--config.file={configured}",
        f"--storage.tsdb.path={house.home}/prometheus",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    return Program("prometheus", argv, log=house.home / "prometheus.log"), port


async def controller_in(house: House, itself: Patient, prometheus_port: int) -> Controller:
    """Prepare one that takes a container for its own, and calls its far sides by their names."""
    hosts = house.home / "hosts"
    names = " ".join(f"{house.engine}-{name}" for name in FAR_SIDES)
    hosts.write_text(f"127.0.0.1 localhost {names}\n", encoding="utf-8")
    placeholder = house.home / "hostname"
    placeholder.touch()
    controller = Controller(
        house.home,
        "a",
        environment={
            "RELEVO_ENGINE_NAME": house.engine,
            "RELEVO_LABEL_PREFIX": house.engine,
            "RELEVO_POLICIES": str(house.home / "policies.yml"),
            "RELEVO_TIME_FACTOR": f"{house.plan.time_factor:g}",
            "RELEVO_REDIS_URL": f"redis://{house.engine}-redis:{house.redis.port}/0",
            "RELEVO_ALERTMANAGER_URL": (
                f"http://{house.engine}-alertmanager:{urlsplit(house.pager.url).port}"
            ),
            "RELEVO_PROMETHEUS_URL": f"http://{house.engine}-prometheus:{prometheus_port}",
        },
    )
    hostname = await seen(itself.id, "{{.HostnamePath}}")
    controller.program._argv = [
        *("unshare", "--mount", "sh", "-c", AS_IN_A_CONTAINER, "sh"),
        *(str(hosts), hostname, str(placeholder)),
        *controller.program._argv,
    ]
    return controller


async def test_none_of_the_chain_is_touched(
    tag: str, open_house: OpenHouse, starts: Starts
) -> None:
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("to be in a container without being in one needs unshare and root")
    house = await open_house(controllers=0, patients=1, stubborn=0)
    (patient,) = house.patients
    ours = await protected_ones(house, tag)
    samples, port = prometheus(house)
    controller = await controller_in(house, ours["itself"], port)
    house.controllers.append(controller)
    house.pager.receivers = (controller.url,)
    visit = Visit(house, starts)
    await samples.start()
    try:
        await controller.proxy.open()
        await controller.start()
        await controller.ready(house.http)
        for one in (*ours.values(), patient):
            house.pager.fire(house.labels(one))

        # The same alert on anybody else is acted on.
        await visit.restarted(patient, within=30)
        for one in ours.values():
            await visit.is_left_alone(one, 0, during=LONG_DUE / len(ours))

        assert {write.container_id for write in controller.proxy.writes} == {patient.id}
        for why, one in ours.items():
            assert not [what for what in WRITES if starts.of(one.id, what)], why
            assert await visit.stories(one) == [], why
        await eventually(lambda: told(visit, ours), within=10, what="each is told as protected")
    finally:
        await controller.close()
        await samples.stop()
        await house.discharge()


async def told(visit: Visit, ours: dict[str, Patient]) -> bool:
    """Tell whether the API says of each why it is left alone."""
    said = {one["detail"].partition(":")[0]: one for one in (await visit.status())["not_taken"]}
    reasons = {why: said.get(one.name, {"reason": "", "detail": ""}) for why, one in ours.items()}
    assert "runs in it" in reasons["itself"]["detail"]
    for name in FAR_SIDES:
        assert "own settings lead to it" in reasons[f"leads to {name}"]["detail"]
    for program in PROGRAMS:
        assert f"image {program} is part of" in reasons[f"image {program}"]["detail"]
    assert "label says so" in reasons["label"]["detail"]
    return {one["reason"] for one in reasons.values()} == {"protected"}
