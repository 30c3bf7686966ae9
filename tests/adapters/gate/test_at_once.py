"""Several that ask at the same moment: what each is judged by is how it is, not how it was."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.adapters.clock import LoopClock
from app.adapters.gate.client import GateEngine
from app.adapters.gate.journal import open_journal
from app.domain.gate import Bar, Fence, Trace, Verb
from app.errors import GateRefused
from app.policies.spec import ScaleOutRules
from app.policies.traces import CLONE_TAKES
from app.ports import CloneResult
from tests.adapters.gate.host import a_host
from tests.gate_lab import a_gate, a_line

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
ONE, TWO = "1" * 64, "2" * 64
SHOP = {"relevo.enable": "true", "relevo.workload": "shop"}
THREE_AT_MOST = "version: 1\ndefaults: {scale_out: {max_instances: 3}}\n"


async def clone(engine: GateEngine, source: str, attempt_id: str) -> CloneResult:
    return await engine.clone(source, attempt_id=attempt_id, rules=ScaleOutRules(), at=NOW)


async def test_what_was_made_while_another_was_looked_at_counts(folder: Path) -> None:
    """Listed before, judged after: by the old listing there is room for one more."""
    async with (
        a_host() as host,
        a_gate(host.url, folder, policies=THREE_AT_MOST) as path,
        a_line(path) as line,
    ):
        host.add(ONE, "one", **SHOP)
        host.add(TWO, "two", **SHOP)
        engine = GateEngine(line)
        # As an engine is that has its hands full with this one.
        slow = host.held[f"/containers/{ONE}/json"] = asyncio.Event()
        first = asyncio.create_task(clone(engine, ONE, "a"))
        await asyncio.wait_for(host.listed.wait(), 10)
        await clone(engine, TWO, "b")

        slow.set()
        with pytest.raises(GateRefused) as caught:
            await first

    assert caught.value.reason == Bar.AT_MAX
    assert len(host.containers) == 3


async def test_what_the_engine_may_be_making_yet_counts(folder: Path) -> None:
    """The gate was killed in the middle, or the engine silent: nobody waits, and yet it comes."""
    lost = Trace(
        verb=Verb.CLONE,
        about=TWO,
        attempt_id="b",
        at=asyncio.get_running_loop().time() - 10,
        boot=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        takes=CLONE_TAKES,
        before="",
        charged=True,
    )
    with open_journal(folder / "data", now=NOW) as journal:
        await journal.begin(lost, Fence(), written_at=LoopClock().now())
    async with (
        a_host() as host,
        a_gate(host.url, folder, policies=THREE_AT_MOST) as path,
        a_line(path) as line,
    ):
        host.add(ONE, "one", **SHOP)
        host.add(TWO, "two", **SHOP)
        engine = GateEngine(line)

        with pytest.raises(GateRefused) as caught:
            await clone(engine, ONE, "a")

    assert caught.value.reason == Bar.AT_MAX
    assert len(host.containers) == 2


async def test_an_attempt_makes_one_clone(folder: Path) -> None:
    """Of another source the same name would not be counted, and what it made gone on with."""
    async with (
        a_host() as host,
        a_gate(host.url, folder, policies=THREE_AT_MOST) as path,
        a_line(path) as line,
    ):
        host.add(ONE, "one", **SHOP)
        host.add(TWO, "two", **SHOP)
        engine = GateEngine(line)
        await clone(engine, ONE, "a")

        with pytest.raises(GateRefused) as caught:
            await clone(engine, TWO, "a")

    assert caught.value.reason == Bar.DONE_ALREADY
    assert len(host.containers) == 3
