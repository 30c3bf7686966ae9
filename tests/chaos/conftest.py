"""Houses for tests: taken down after each test, their logs kept when it failed."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.chaos.house import House, Plan
from tests.chaos.starts import Starts
from tests.parts import require
from tests.stack.containers import ensure_image

OpenHouse = Callable[..., Awaitable[House]]

_HOUSES: pytest.StashKey[list[House]] = pytest.StashKey()
_FAILED: pytest.StashKey[bool] = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the ends of a house's logs, and where all of them are, beside what went wrong."""
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        item.stash[_FAILED] = True
        for house in item.stash.get(_HOUSES, []):
            report.sections.append(("house", house.last_words()))  # type: ignore[attr-defined]
    return report


@pytest.fixture
def label() -> str:
    """Carried by all containers of one test."""
    return f"relevo-chaos-{secrets.token_hex(4)}"


@pytest.fixture
async def starts(label: str) -> AsyncIterator[Starts]:
    """What the engine says that it did to them."""
    for part in ("docker", "redis", "busybox"):
        require(part)
    await ensure_image()
    async with Starts(label) as starts:
        yield starts


@pytest.fixture
async def open_house(
    request: pytest.FixtureRequest, starts: Starts, label: str
) -> AsyncIterator[OpenHouse]:
    """Open a house; its options are those of `Plan`."""
    houses = request.node.stash.setdefault(_HOUSES, [])
    async with AsyncExitStack() as stack:

        async def open_one(**options: Any) -> House:
            house = House(Plan(label=label, **options))
            houses.append(house)
            return await stack.enter_async_context(house)

        yield open_one
    if not request.node.stash.get(_FAILED, False):
        for house in houses:
            house.remove_traces()
