"""
How long until a service is relieved by the default ladder: on the real stack, at a time factor.

    python -m bench.ladder [--quick]

The shipped rules and policies, twenty times faster as in the demo, and a service that costs CPU per
request behind a real balancer: three restarts do not help, a clone does. At real speed that takes
twenty minutes and more, sixteen of them the ladder's own waits. What is measured is what Relevo,
the engine and the chain add to these waits and to the verifications: what is not scaled (the
engine's work, its figures, the programs' own polls) counts twenty times here, so at real speed less
is added.
"""

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from app.domain.duration import parse_duration
from bench.figures import Found
from bench.part import alone
from deploy.demo import scale
from tests.stack.answers import Json
from tests.stack.example import Example, make_images
from tests.stack.lab import FACTOR, NO_BOUNDS, Lab
from tests.stack.stories import newest
from tests.stack.test_load_moves import http_example
from tests.stack.wait import eventually

_WAY: Final = "nginx"
_WITHIN_S: Final = 300.0
#: The host has room, and nobody deploys: neither is the question here.
_GUARDS: Final[Json] = {
    **NO_BOUNDS,
    "reserve": {"memory": "0%", "cpus": 0},
    "deploy_hold": "0s",
}


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _minutes(span: timedelta) -> float:
    """As it would be at real speed."""
    return span.total_seconds() * FACTOR / 60


async def _relieved(lab: Lab, example: Example) -> list[Json]:
    """Wait for the story's good end; return its attempts, and those of stories before it."""

    async def look() -> Json | None:
        story = await newest(lab, example.patient)
        return story if story is not None and story["outcome"] == "relieved" else None

    await eventually(look, within=_WITHIN_S, what=f"{example.patient.name} is relieved")
    return await lab.attempts(example.patient)


def _told(attempts: list[Json], noticed_at: datetime) -> dict[str, float]:
    """Sum up a ladder, in minutes of real speed."""
    *restarts, relief = attempts
    if [one["action"] for one in restarts] != ["restart"] * 3 or relief["action"] != "scale_out":
        raise RuntimeError(f"no default ladder: {[one['action'] for one in attempts]}")
    delays = scale.policies(scale.REPOSITORY / "deploy" / "relevo" / "policies.yml", FACTOR)
    waits = sum(map(parse_duration, delays["defaults"]["restart"]["delays"]), timedelta())
    verified = sum(
        (_at(one["finished_at"]) - _at(one["acted_at"]) for one in restarts), timedelta()
    )
    served = _at(relief["acted_at"]) - noticed_at
    return {
        "served": _minutes(served),
        "relieved": _minutes(_at(relief["finished_at"]) - noticed_at),
        "waits": _minutes(waits),
        "verifications": _minutes(verified),
        "beyond": _minutes(served - waits - verified),
    }


async def measure(quick: bool) -> Found:
    """Play it once, quick or not: it takes two minutes."""
    found = Found()
    complaint = await make_images(f"examples/{_WAY}")
    if complaint:
        found.missing.append(f"{_WAY}: {complaint}")
        return found
    home = Path(tempfile.mkdtemp(prefix="relevo-lab-"))
    async with Lab(home, guards=_GUARDS) as lab, http_example(lab, _WAY) as example:
        attempts = await _relieved(lab, example)
        stories = await lab.remediations(example.patient)
    lab.remove_traces()
    told = _told(attempts, _at(stories[-1]["opened_at"]))
    at = f"min_at_factor_{FACTOR:g}"
    found.goals[f"relief_ladder_beyond_{at}"] = told.pop("beyond")
    found.figures |= {f"relief_ladder_{name}_{at}": minutes for name, minutes in told.items()}
    return found


if __name__ == "__main__":
    alone(measure, __doc__)
