"""What every test lives in."""

import asyncio

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

# looptime asks for the current loop in tests that have none, and asyncio would make one then
# that nobody closes: an error in whichever test finds it. Once set, it makes none.
asyncio.set_event_loop(None)

#: What measures time, waits for an engine that is quiet, or runs the real chain twenty times as
#: fast: one after the other, and last, when nothing else is under way.
_ALONE = ("tests/stack/", "tests/test_bench.py", "tests/adapters/engine/test_events_real.py")
#: Of these, what has time: no verdict and no load is measured there.
_BESIDE = tuple(
    f"tests/stack/test_{name}.py"
    for name in ("connect", "connect_safely", "demo", "demo_parts", "locked", "mistakes", "scale")
)


def _is_alone(nodeid: str) -> bool:
    return nodeid.startswith(_ALONE) and not nodeid.startswith(_BESIDE)


class _Files(LoadFileScheduling):  # type: ignore[misc]
    """A file is one worker's, and all that wants to be alone is the same worker's."""

    def _split_scope(self, nodeid: str) -> str:
        return "alone" if _is_alone(nodeid) else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _Files:
    """Share the files out in their order: see `make test`."""
    config.option.loadscopereorder = False
    return _Files(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put last what wants to be alone."""
    items.sort(key=lambda item: _is_alone(item.nodeid))
