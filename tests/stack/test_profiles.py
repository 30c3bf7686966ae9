"""
Every sickness profile once: what the real chain says of it is true.

`python -m tests.stack.verdict_accuracy` does the same many times, and counts (docs/verdicts.md).
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest

from tests.parts import require
from tests.stack.profiles import PROFILES, Profile
from tests.stack.profiles_faults import SEQUENCES
from tests.stack.profiles_report import all_profiles, upper_bound
from tests.stack.profiles_visit import (
    FALSE_FAILED,
    FALSE_RECOVERED,
    OTHERWISE,
    Chart,
    Judgement,
    attend,
    endure,
)
from tests.stack.profiles_ward import Clinic


@asynccontextmanager
async def clinic() -> AsyncIterator[Clinic]:
    """A lab for profiles; what is known of those that went wrong stays there."""
    # Not pytest's own directory: its path is too long for the socket of Relevo's store.
    async with Clinic(Path(tempfile.mkdtemp(prefix="relevo-lab-"))) as lab:
        yield lab


async def in_a_lab(attending: Callable[[Clinic], Awaitable[list[Chart]]]) -> list[Chart]:
    """Go through some profiles in a lab of their own; keep the evidence of what went wrong."""
    async with clinic() as lab:
        charts = await attending(lab)
    bad = [asdict(chart) for chart in charts if chart.wrong]
    if bad:
        (lab.home / "charts.json").write_text(json.dumps(bad, indent=1), encoding="utf-8")
    else:
        lab.remove_traces()
    return charts


async def alone(lab: Clinic) -> list[Chart]:
    """
    The profiles of single containers; one that did not come about gets a second try.

    So does one that was judged wrongly, if it is the only one: a second of a busy machine is 20 s
    of this pace, and about one verdict in a hundred is wrong for it (docs/verdicts.md, where they
    are all counted). Two at once, or the same one twice, are a fault of Relevo.
    """
    charts = await attend(lab, PROFILES)
    wrong = {chart.profile for chart in charts if chart.wrong}
    again = {chart.profile for chart in charts if chart.void}
    if len(wrong) == 1:
        again |= wrong
    tried: list[Profile] = [profile for profile in PROFILES if profile.name in again]
    return [chart for chart in charts if chart.profile not in again] + await attend(lab, tried)


@pytest.mark.stack
@pytest.mark.docker
@pytest.mark.timeout(480)  # three minutes where nothing else runs
async def test_every_verdict_is_true() -> None:
    for part in ("docker", "redis", "prometheus", "alertmanager", "busybox"):
        require(part)

    labs = await asyncio.gather(
        in_a_lab(alone),
        *(in_a_lab(partial(endure, faults=faults)) for faults in SEQUENCES),
    )

    charts = [chart for lab in labs for chart in lab]
    wrong = [(chart.profile, said) for chart in charts for said in chart.wrong]
    assert [one for one in wrong if not _of_this_pace(*one)] == []
    # A machine that is busy with other things makes some containers well against their will.
    void = [f"{chart.profile}: {chart.void}" for chart in charts if chart.void]
    assert len(void) <= len(charts) // 4, void


def _of_this_pace(profile: str, said: str) -> bool:
    """
    Tell a fault of the factor from one of Relevo (docs/verdicts.md, counted as wrong there).

    A Prometheus that has just started knows no targets for 5 s, whatever our pace: 100 s of this
    time, in which the deadline may pass on an alert that nobody has sent since.
    """
    return profile == "prometheus-restarted, cured" and FALSE_FAILED in said


def judged(verdict: str, *accepts: str, relapses: bool = False, turned: bool = False) -> Judgement:
    return Judgement(
        profile="any",
        attempt=1,
        accepts=accepts,
        relapses=relapses,
        verdict=verdict,
        turned=turned,
        evidence="",
    )


@pytest.mark.parametrize(
    ("judgement", "expected"),
    [
        pytest.param(judged("recovered", "recovered"), None, id="cured"),
        pytest.param(judged("exited", "recovered"), FALSE_FAILED, id="cured-and-failed"),
        pytest.param(judged("recovered", "exited"), FALSE_RECOVERED, id="ill-and-recovered"),
        pytest.param(judged("unhealthy", "exited"), OTHERWISE, id="another-failure"),
        pytest.param(judged("recovered", "unknown"), FALSE_RECOVERED, id="recovered-in-the-dark"),
        pytest.param(judged("held", "cancelled"), OTHERWISE, id="another-that-does-not-count"),
        pytest.param(judged("none", "recovered"), OTHERWISE, id="no-verdict"),
        pytest.param(judged("recovered", "nothing"), OTHERWISE, id="restarted-without-need"),
        pytest.param(judged("recovered", "recovered", turned=True), OTHERWISE, id="turned"),
        pytest.param(
            judged("recovered", "recovered", relapses=True, turned=True), None, id="relapsed"
        ),
        pytest.param(
            judged("recovered", "recovered", relapses=True), FALSE_RECOVERED, id="relapse-missed"
        ),
    ],
)
def test_a_verdict_is_compared_with_the_truth(judgement: Judgement, expected: str | None) -> None:
    assert judgement.wrong == expected


def test_the_bound_is_that_of_the_tables() -> None:
    # "Rule of three": none in 300 is below 1% with 95% confidence.
    assert upper_bound(0, 300) == pytest.approx(0.00994, abs=1e-5)
    assert upper_bound(2, 100) == pytest.approx(0.06162, abs=1e-4)


def test_profiles_have_names_of_their_own() -> None:
    names = [profile.name for profile in all_profiles()]

    assert len(names) == len(set(names)) >= 20
