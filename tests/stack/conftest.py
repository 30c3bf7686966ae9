"""Labs for the end-to-end tests: taken down after each test, their logs kept when it failed."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.parts import require
from tests.stack.lab import Lab

StartLab = Callable[..., Awaitable[Lab]]

_LABS: pytest.StashKey[list[Lab]] = pytest.StashKey()
_FAILED: pytest.StashKey[bool] = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the ends of a lab's logs, and where all of them are, beside what went wrong."""
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        item.stash[_FAILED] = True
        for lab in item.stash.get(_LABS, []):
            report.sections.append(("lab", lab.story()))  # type: ignore[attr-defined]
    return report


@pytest.fixture
async def start_lab(request: pytest.FixtureRequest) -> AsyncIterator[StartLab]:
    """Start a lab; its options are those of `Lab`."""
    for part in ("docker", "redis", "prometheus", "alertmanager", "busybox"):
        require(part)
    labs = request.node.stash.setdefault(_LABS, [])
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Lab:
            # Not pytest's own directory: its path is too long for the socket of Relevo's store.
            home = Path(tempfile.mkdtemp(prefix="relevo-lab-"))
            lab = Lab(home, **options)
            labs.append(lab)
            return await stack.enter_async_context(lab)

        yield start
    if not request.node.stash.get(_FAILED, False):
        for lab in labs:
            lab.remove_traces()
