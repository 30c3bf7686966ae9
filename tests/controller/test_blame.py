"""A 5xx for one container is its failure; for everybody it is the engine's, and counts nowhere."""

import pytest

from app.domain.decision import Verdict
from app.errors import ContainerGone, EngineRefused, EngineUnavailable
from app.policies.spec import Guards, Rulebook
from tests.builders import alert, container
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import FakeEngine
from tests.memory_store import make_store

pytestmark = pytest.mark.looptime


class Sick(FakeEngine):
    """An engine that fails whoever looks at another container after the first failed action."""

    answer: Exception | None = None

    async def inspect(self, container_id: str):  # type: ignore[no-untyped-def]
        found = await super().inspect(container_id)
        if self.answer is not None and found.name == "other" and not self.errors:
            raise self.answer
        return found


@pytest.fixture
async def sick(clock: VirtualClock) -> Sick:
    one = Sick(clock)
    one.run(container("web", 1))
    one.run(container("other", 2))
    return one


@pytest.fixture
async def house(clock: VirtualClock, sick: Sick) -> House:
    plenty = Guards(concurrent=10, burst=100, per_hour=1000)
    return build(make_store(), clock, sick, rulebook=Rulebook(guards=plenty))


async def first_verdict(house: House) -> tuple[Verdict | None, int]:
    async with working(house):
        await house.take(alert())
        await pass_time(seconds=100)
        story = await house.story()
        (_, web) = await house.desk.targets()
    return story.attempts[0].verdict, web.failures


async def test_for_one_container_alone_it_is_a_failed_restart(house: House, sick: Sick) -> None:
    sick.errors.append(EngineRefused(500, "cannot start: port is taken"))

    assert await first_verdict(house) == (Verdict.ENGINE_ERROR, 1)


@pytest.mark.parametrize(
    "answer", [EngineRefused(500, "layer does not exist"), EngineUnavailable("no answer")]
)
async def test_where_others_cannot_even_be_looked_at_it_is_the_engine(
    house: House, sick: Sick, answer: Exception
) -> None:
    sick.errors.append(EngineRefused(500, "layer does not exist"))
    sick.answer = answer

    assert await first_verdict(house) == (Verdict.INFRASTRUCTURE, 0)


@pytest.mark.parametrize("answer", [EngineRefused(404, "?"), ContainerGone("other")])
async def test_another_one_that_is_gone_says_nothing(
    house: House, sick: Sick, answer: Exception
) -> None:
    sick.errors.append(EngineRefused(500, "cannot start"))
    sick.answer = answer

    assert await first_verdict(house) == (Verdict.ENGINE_ERROR, 1)


async def test_a_conflict_is_the_containers(house: House, sick: Sick) -> None:
    sick.errors.append(EngineRefused(409, "it is being removed"))
    sick.answer = EngineRefused(500, "ill as well")

    assert await first_verdict(house) == (Verdict.ENGINE_ERROR, 1)
