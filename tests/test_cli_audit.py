"""``relevo audit``: what is kept elsewhere betrays what was changed here."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.adapters.store.codec import AUDIT_ENTRY
from app.api.deps import Scope
from app.controller.operate import Wish
from app.domain.audit import AuditEntry, AuditKind, AuditMark
from tests.builders import TARGET, at
from tests.memory_outbox import MemoryAudit
from tests.test_cli import Served, bare_environment, failed, quiet, relevo

__all__ = ["bare_environment", "quiet"]

HOSTILE = 'läuft \x9b31m\x7f \u202e »ü« "quoted" \\ \t'


@pytest.fixture
def served() -> Iterator[Served]:
    with Served({}) as one:
        yield one


def orders(served: Served, *reasons: str) -> None:
    """Have so many lines written."""

    async def hold() -> None:
        for reason in reasons:
            wish = Wish(reason=reason, author="ana", address="192.0.2.7")
            assert served.house is not None
            await served.house.operator.hold(TARGET, wish, lasts=None)

    served.run(hold())


def kept(served: Served) -> MemoryAudit:
    return served._memory.audit


def verify(served: Served, *words: str) -> tuple[int, Any]:
    result = relevo("audit", "verify", *words, "--output", "json", RELEVO_URL=served.url)
    return result.exit_code, json.loads(result.stdout)


def export(served: Served, *words: str) -> str:
    result = relevo("audit", "export", *words, RELEVO_URL=served.url)
    assert result.exit_code == 0, result.output
    return result.stdout


def forged(audit: MemoryAudit, *changes: tuple[str, str]) -> None:
    """Write the audit anew, a whole chain: what somebody can do who can write to the store."""
    entries = []
    for one in audit._lines:
        text = one.text
        for before, after in changes:
            text = text.replace(before, after)
        entries.append(AUDIT_ENTRY.load(text, key="audit"))
    audit._lines.clear()
    for entry in entries:
        audit.write([entry], now=entry.at)


def test_an_audit_without_lines_is_whole(served: Served) -> None:
    result = relevo("audit", "verify", RELEVO_URL=served.url)

    assert result.exit_code == 0
    assert result.stdout == "Relevo: no lines\nnothing is missing or changed\n"


def test_a_whole_audit_says_where_it_stands(served: Served) -> None:
    orders(served, "one", "two")
    head = kept(served)._lines[-1]

    result = relevo("audit", "verify", RELEVO_URL=served.url)

    assert result.exit_code == 0
    assert f"2 lines from number 1, to {head.id} {head.chain}" in result.stdout


def test_a_changed_line_is_a_finding(served: Served) -> None:
    orders(served, "one", "two", "three")
    lines = kept(served)._lines
    lines[1] = replace(lines[1], text=lines[1].text.replace("ana", "bob"))

    status, told = verify(served)

    assert status == 1
    assert told["findings"] == ["line 2 was changed, or lines before it are missing"]


def test_a_loss_is_a_finding_until_it_is_known(served: Served) -> None:
    orders(served, "one")
    kept(served).write([AuditEntry(at=at(1), kind=AuditKind.LOST, detail="gone")], now=at(1))

    assert verify(served)[0] == 1
    assert "see line 2" in verify(served)[1]["findings"][0]
    assert verify(served, "--after", "1")[0] == 1
    assert verify(served, "--after", "2")[0] == 0


def test_an_export_is_whole_and_stays_so(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    orders(served, HOSTILE, "two")
    export(served, "--out", str(file))
    orders(served, "three")
    export(served, "--out", str(file))
    export(served, "--out", str(file))

    entries = [json.loads(line)["entry"] for line in file.read_text().splitlines()]
    assert [entry["why"] for entry in entries] == [HOSTILE, "two", "three"]
    assert {entry["address"] for entry in entries} == {"192.0.2.7"}
    # Nothing in it that a terminal obeys.
    assert file.read_text().replace("\n", "").replace("\x7f", "").isascii()
    status, told = verify(served, str(file))
    assert (status, told["file"]["lines"]) == (0, 3)
    assert told["file"]["head"] == told["relevo"]["head"]
    result = relevo("audit", "verify", str(file), "--offline", RELEVO_URL="http://127.0.0.1:1")
    assert result.exit_code == 0


def test_what_goes_to_standard_output_can_be_verified(served: Served, tmp_path: Path) -> None:
    orders(served, *(f"no. {number}" for number in range(5)))
    file = tmp_path / "audit.jsonl"
    file.write_text(export(served))

    assert verify(served, str(file))[0] == 0


def test_it_comes_in_pages(served: Served, tmp_path: Path) -> None:
    entry = AuditEntry(at=at(1), kind=AuditKind.ORDER, order="hold")
    kept(served).write([entry] * 2500, now=at(1))

    assert len(export(served).splitlines()) == 2500


def test_an_audit_written_anew_does_not_match_the_export(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    orders(served, "one", "two", "three")
    export(served, "--out", str(file))
    forged(kept(served), ("ana", "bob"))

    assert verify(served)[1]["relevo"]["broken_at"] is None
    status, told = verify(served, str(file))

    assert status == 1
    assert "no longer tells line 3" in told["findings"][0]
    orders(served, "four")
    said = failed(relevo("audit", "export", "--out", str(file), RELEVO_URL=served.url))
    assert "does not follow line 3" in said
    assert len(file.read_text().splitlines()) == 3


def test_an_older_audit_does_not_match_the_export(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    orders(served, "one", "two", "three")
    export(served, "--out", str(file))
    del kept(served)._lines[1:]

    status, told = verify(served, str(file))

    assert status == 1
    assert "no longer tells line 3" in told["findings"][0]


def test_lines_that_have_given_way_are_no_finding(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    orders(served, "one", "two")
    export(served, "--out", str(file))
    orders(served, "three", "four")
    audit = kept(served)
    audit._anchor = audit._lines[2].mark
    del audit._lines[:3]

    assert verify(served, str(file))[0] == 0
    said = failed(relevo("audit", "export", "--out", str(file), RELEVO_URL=served.url))
    assert "lines have given way" in said


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(lambda lines: lines[1:], None, id="it may begin later"),
        pytest.param(lambda lines: lines[:-1], None, id="it may end earlier"),
        pytest.param(lambda lines: lines[:1] + lines[2:], ":2: line 3", id="one is missing"),
        pytest.param(
            lambda lines: [lines[0], lines[1].replace("ana", "bob"), lines[2]],
            ":2: line 2",
            id="one was changed",
        ),
        pytest.param(
            lambda lines: [lines[0].replace("ana", "bob"), *lines[1:]],
            ":1: line 1",
            id="the first was changed",
        ),
        pytest.param(lambda lines: [lines[1], lines[0]], ":2: line 1", id="two changed places"),
        pytest.param(lambda lines: [*lines, "nonsense"], ":4: is no line", id="no line"),
        pytest.param(lambda lines: ["[" * 100_000], ":1: is no line", id="deep"),
        pytest.param(lambda lines: ['{"id": 1}'], ":1: is no line", id="no id"),
        pytest.param(
            lambda lines: ['{"id":"a-b","chain":"","entry":{}}'], ":1: is no line", id="odd id"
        ),
    ],
)
def test_a_file_betrays_what_was_done_to_it(
    served: Served, tmp_path: Path, spoil: Any, said: str | None
) -> None:
    orders(served, "one", "two", "three")
    file = tmp_path / "audit.jsonl"
    file.write_text("".join(f"{line}\n" for line in spoil(export(served).splitlines())))

    status, told = verify(served, str(file))

    assert status == (1 if said else 0)
    assert (said or "") in "".join(told["findings"])


def test_a_line_that_cannot_be_read_is_exported_as_it_is(served: Served, tmp_path: Path) -> None:
    orders(served, "one")
    lines = kept(served)._lines
    lines[0] = replace(lines[0], text='{"a": 1, "a": 2}')
    file = tmp_path / "audit.jsonl"
    file.write_text(export(served))

    status, told = verify(served, str(file), "--offline")

    assert status == 1
    assert "line 1 was changed" in told["findings"][0]


def test_what_the_manual_shows_is_an_audit(tmp_path: Path) -> None:
    manual = (Path(__file__).parents[1] / "docs" / "audit.md").read_text(encoding="utf-8")
    file = tmp_path / "audit.jsonl"
    file.write_text("".join(f"{one}\n" for one in manual.splitlines() if one.startswith("{")))

    result = relevo("audit", "verify", str(file), "--offline", "--output", "json")

    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)["file"]
    assert told["lines"] == 2
    assert f"to {told['head']} {told['chain']}\n" in manual


def test_it_takes_an_administrator(tmp_path: Path) -> None:
    with Served({Scope.OPERATE: ["op"], Scope.ADMIN: ["root"]}) as served:
        for words in (["verify"], ["export"]):
            refused = relevo("audit", *words, RELEVO_URL=served.url, RELEVO_TOKEN="op")
            assert "RELEVO_TOKEN_ADMIN" in failed(refused)
            taken = relevo("audit", *words, RELEVO_URL=served.url, RELEVO_TOKEN="root")
            assert taken.exit_code == 0


def test_offline_takes_a_file() -> None:
    assert relevo("audit", "verify", "--offline").exit_code == 2


def test_a_place_before_all_lines_has_no_number() -> None:
    assert AuditMark().number == 0
    assert asyncio.run(MemoryAudit().holds(AuditMark()))
