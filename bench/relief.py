"""
How long until a clone answers, where scaling out comes first: on the real stack, in real time.

    python -m bench.relief [--quick]

An example of examples/ behind its balancer, with the shipped warm-up of a minute; what is timed is
the way from the notice to the first request that the clone has answered. It waits for no restart.
The warm-up does not hold it up: a clone is asked as soon as its balancer knows it, and the warm-up
says only from when on its effect is judged.
"""

import tempfile
from pathlib import Path
from typing import Final

from bench.figures import Figure, Found
from bench.part import alone
from tests.stack.answers import Json
from tests.stack.example import EXAMPLES, Example, make_images
from tests.stack.lab import Lab
from tests.stack.test_load_restarts import GUARDS, SCALED, until_a_clone_serves

_WAY: Final = "nginx"
#: Durations as written: nothing that is measured here runs faster than it is shipped.
_POLICIES: Final[tuple[Json, ...]] = (
    {
        "name": "scales",
        "match": {"alerts": [SCALED]},
        "strategy": "scale_first",
        "scale_out": {"warm_up": "1m", "cooldown": "10m"},
    },
)


async def _once() -> float:
    home = Path(tempfile.mkdtemp(prefix="relevo-lab-"))
    service: Json = {
        "cpus": 0.3,
        "environment": {"COST_MS": "0"},
        "stop_grace_period": "1s",
        "healthcheck": {"interval": "1s"},
    }
    without = ("prometheus", "relevo-collect")
    async with Lab(home, policies=_POLICIES, guards=GUARDS, without=without) as lab:
        compose = EXAMPLES / _WAY / "compose.yaml"
        services: dict[str, Json] = {"web": service, "balancer": {}}
        async with Example(lab, compose, name=_WAY, patient="web", services=services) as example:
            url = f"http://{await example.address('balancer')}:8080/"
            await lab.until_answers(url)
            took = await until_a_clone_serves(lab, example, url)
    lab.remove_traces()
    return took


async def measure(quick: bool) -> Found:
    """Do it once, or a few times."""
    found = Found()
    complaint = await make_images(f"examples/{_WAY}")
    if complaint:
        found.missing.append(f"{_WAY}: {complaint}")
        return found
    found.take("relief_scale_first_s", Figure.of([await _once() for _ in range(1 if quick else 3)]))
    return found


if __name__ == "__main__":
    alone(measure, __doc__)
