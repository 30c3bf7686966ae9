"""What tests wait for in the story of one container, and what they find in it."""

from datetime import datetime

from tests.stack.answers import Json
from tests.stack.containers import Patient
from tests.stack.lab import Lab
from tests.stack.wait import always, eventually

#: A refusal that holds is seen to hold for this long: several looks of Relevo's.
HOLDS = 3.0


async def newest(lab: Lab, patient: Patient) -> Json | None:
    """The newest story of a container."""
    stories = await lab.remediations(patient)
    return stories[0] if stories else None


async def comes_to(
    lab: Lab, patient: Patient, state: str, reason: str | None = None, *, within: float = 30
) -> Json:
    """Wait until the newest story of a container is in a state, for a reason."""

    async def look() -> Json | None:
        story = await newest(lab, patient)
        if story is None or story["state"] != state or reason not in (None, story["reason"]):
            return None
        return story

    what = f"{patient.name} is {state}" + (f" because of {reason}" if reason else "")
    try:
        return await eventually(look, within=within, what=what)
    except AssertionError as exc:
        exc.add_note(f"its stories: {await lab.remediations(patient)}")
        raise


async def closed(lab: Lab, patient: Patient, *, within: float) -> Json:
    """The first story of a container, once it has ended."""

    async def look() -> Json | None:
        stories = await lab.remediations(patient)
        return stories[-1] if stories and stories[-1]["state"] == "closed" else None

    return await eventually(look, within=within, what=f"the story of {patient.name} has ended")


async def verdicts(lab: Lab, patient: Patient, count: int = 1, *, within: float) -> list[Json]:
    """The first attempts on a container, once that many have a verdict."""

    async def look() -> list[Json]:
        done = [attempt for attempt in await lab.attempts(patient) if attempt["verdict"]]
        return done if len(done) >= count else []

    return await eventually(look, within=within, what=f"{count} verdicts on {patient.name}")


async def restarted(patient: Patient, count: int = 1, *, within: float = 30) -> list[datetime]:
    """When it was restarted, once it has been that often."""

    async def look() -> list[datetime]:
        found = await patient.restarts()
        return found if len(found) >= count else []

    found = await eventually(look, within=within, what=f"{patient.name} is restarted")
    assert len(found) == count, f"{patient.name} was restarted too often: {found}"
    return found


async def failures(lab: Lab, patient: Patient) -> int:
    """How many failed restarts count against a container now."""
    target = await lab.target(patient)
    assert target is not None
    return int(target["failures_in_window"])


async def is_left_alone(patient: Patient, *, state: str, restarts: int = 0) -> None:
    """See for a while that it stays as it is, in Docker's words, and is not restarted."""

    async def look() -> None:
        assert await patient.state() == state
        assert len(await patient.restarts()) == restarts

    await always(look, during=HOLDS)


async def recovers(lab: Lab, patient: Patient, *, within: float = 30) -> Json:
    """See its newest story end as recovered, and nothing count against it."""
    story = await comes_to(lab, patient, "closed", within=within)
    assert story["outcome"] == "recovered", story
    assert await failures(lab, patient) == 0
    return story
