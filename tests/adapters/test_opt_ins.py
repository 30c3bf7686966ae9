"""Whom the policy file opts in, as it is now, for the collector."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.adapters.opt_ins import OptIns
from app.policies.spec import Enable
from tests.adapters.far_side import eventually

WEB, API = (Enable(name="web"),), (Enable(name="api"),)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policies.yml"
    path.write_text("enable: [{name: web}]\n")
    return path


async def test_without_a_file_nobody_knows() -> None:
    opt_ins = OptIns(None)
    await opt_ins.look()
    assert opt_ins.enable is None


async def test_an_empty_file_opts_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "policies.yml").write_text("")
    opt_ins = OptIns(tmp_path / "policies.yml")
    await opt_ins.look()
    assert opt_ins.enable == ()


async def test_another_file_is_read_anew(file: Path) -> None:
    opt_ins = OptIns(file)
    await opt_ins.look()
    assert opt_ins.enable == WEB

    # As editors do it; of the same size, and no older.
    other = file.with_name("other")
    other.write_text("enable: [{name: api}]\n")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)
    await opt_ins.look()
    assert opt_ins.enable == API


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("enable: [{nam: web}]\n", "policies.yml:1:11: ", id="wrong"),
        pytest.param(None, "cannot be read", id="gone"),
    ],
)
async def test_a_file_that_cannot_be_taken_changes_nothing_and_is_told_once(
    file: Path, text: str | None, said: str
) -> None:
    opt_ins = OptIns(file)
    await opt_ins.look()
    if text is None:
        file.unlink()
    else:
        file.write_text(text)

    with capture_logs() as logs:
        await opt_ins.look()
        await opt_ins.look()

    assert opt_ins.enable == WEB
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("collector.policies_unread", "warning")
    assert said in line["error"]

    file.write_text("enable: [{name: api}]\n")
    await opt_ins.look()
    assert opt_ins.enable == API


async def test_a_wrong_file_at_the_start_tells_nothing_until_it_is_right(file: Path) -> None:
    file.write_text("enable: web\n")
    opt_ins = OptIns(file)
    await opt_ins.look()
    assert opt_ins.enable is None

    watching = asyncio.create_task(opt_ins.run(every=timedelta(milliseconds=20)))
    try:
        file.write_text("enable: [{name: web}]\n")

        async def is_read() -> bool:
            return opt_ins.enable == WEB

        await eventually(is_read, seconds=10)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_an_answer_that_nobody_foresaw_ends_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Path) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("app.adapters.opt_ins.load_rulebook", fails)
    opt_ins = OptIns(file)
    with capture_logs() as logs:
        await opt_ins.look()
    assert "RecursionError: too deep" in logs[0]["error"]
    monkeypatch.undo()
    await opt_ins.look()
    assert opt_ins.enable == WEB
