"""Containers that are out of the ordinary, in a house; removed with it."""

from tests.chaos.house import House, Patient
from tests.stack.containers import IMAGE, docker


async def admit(house: House, name: str, *options: str, image: str = IMAGE) -> Patient:
    """
    Start a container that is opted in.

    :param name: in full, not below the house's own
    :param options: more of them for `docker run`
    """
    container_id = await docker(
        *("run", "--detach", "--name", name, "--network", "none", "--memory", "16m"),
        *("--label", f"{house.plan.label}=1", "--label", f"{house.engine}.enable=true"),
        *("--label", f"{house.engine}.lab=1", "--stop-signal", "SIGKILL"),
        *(*options, image, "sleep", "100000"),
    )
    patient = Patient(name=name, id=container_id, stubborn=False)
    house.patients.append(patient)
    return patient


async def seen(container_id: str, what: str) -> str:
    """What the engine says of a container, by a template such as ``{{.State.StartedAt}}``."""
    return await docker("inspect", "--type", "container", "--format", what, container_id)
