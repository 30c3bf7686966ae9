"""``relevo audit verify`` and ``export``: who did what, kept where nobody can change it."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from app.cli.asking import FINDINGS, ask, fail, output_option, show
from app.cli.client import ApiError, RelevoClient
from app.domain.audit import AuditMark, AuditText, compact

_PAGE: Final = 1000
#: Not one line of ours is longer.
_LONGEST: Final = 1_000_000
#: The token that was shown opens something else.
_FORBIDDEN: Final = 403
_ADMIN: Final = "the audit takes a token of RELEVO_TOKEN_ADMIN"


@click.group()
def audit() -> None:
    """Check the audit, and keep it elsewhere: every action and order, in lines that are chained."""


@audit.command()
@click.argument(
    "file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option("--after", default=0, metavar="NUMBER", help="Losses told up to this line are known.")
@click.option("--offline", is_flag=True, help="Look at FILE only, and ask no Relevo.")
@output_option
def verify(file: Path | None, after: int, offline: bool, output: str) -> None:
    """
    Check that no line is missing or was changed; exit 1 if one is.

    Relevo looks at its own lines, and for the one that it remembers outside of its store. With an
    exported FILE that is checked as well, and that Relevo still tells its last line: whoever can
    write to the store can write all of it anew, but not the file.
    """
    if offline and file is None:
        raise click.UsageError("--offline is about a FILE")
    found: dict[str, Any] = {"file": None, "relevo": None, "findings": []}
    findings: list[str] = found["findings"]
    if file is not None:
        end, number = _read_file(file, findings)
        found["file"] = {"lines": number, "head": end.id, "chain": end.chain}
        if not offline and not findings:
            findings += _missed(end)
    if not offline:
        told = ask(lambda client: client.audit_check(), advise=_advise)
        found["relevo"] = told
        findings += _findings(told, after)
    show(found, output, lambda: _lines(found))
    if findings:
        sys.exit(FINDINGS)


@audit.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file; one that is there is gone on with. Default: standard output.",
)
@click.option("--since", metavar="MOMENT", help="Written at or after: 2026-11-22T10:00:00Z.")
def export(out: Path | None, since: str | None) -> None:
    """
    Write the audit as JSON, a line each, the oldest first.

    Run it often enough and to another machine: Relevo keeps the newest 100,000 lines. Each new line
    must follow the last one in the file, else nothing is written and the exit code is 1.
    """
    before: AuditMark | None = None
    if out is not None and out.exists() and out.stat().st_size:
        trouble: list[str] = []
        before, _ = _read_file(out, trouble)
        if trouble:
            fail("\n".join([*trouble, "export to another file, and find out who changed this one"]))
    number = 0
    for page in _pages(before.id if before is not None else None, since):
        for line in page:
            one = _text_of(line)
            if before is not None and not one.follows(before):
                fail(
                    f"line {one.number} ({one.id}) does not follow line {before.number} "
                    f"({before.id}): lines have given way since, or were changed "
                    "(relevo audit verify)"
                )
            before = one.mark
        number += len(page)
        _write(out, page)
    if out is not None:
        if not number:
            _write(out, [])  # a file all the same: it can be verified, and gone on with
        click.echo(f"{number} lines written to {out}", err=True)


def _pages(after: str | None, since: str | None) -> Iterator[list[dict[str, Any]]]:
    while True:
        here = after

        async def question(client: RelevoClient, here: str | None = here) -> dict[str, Any]:
            return await client.audit(after=here, since=since, limit=_PAGE)

        told = ask(question, advise=_advise)
        if told["lines"]:
            yield told["lines"]
        after = told["next"]
        if after is None:
            return


def _write(out: Path | None, lines: list[dict[str, Any]]) -> None:
    # Other people's letters are escaped: a terminal may obey some of them.
    text = "".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines)
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        with out.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        fail(f"cannot write {out}: {exc}")


def _read_file(file: Path, findings: list[str]) -> tuple[AuditMark, int]:
    """Work the chain of a file out; tell where it ends, and how many lines it has."""
    before: AuditMark | None = None
    number = 0
    try:
        with file.open(encoding="utf-8") as lines:
            while raw := lines.readline(_LONGEST):
                number += 1
                try:
                    one = _text_of(json.loads(raw))
                except (ValueError, KeyError, TypeError, RecursionError):
                    findings.append(f"{file}:{number}: is no line of an audit")
                    break
                # What the first is chained to is not in the file, unless it is the first of all.
                start = AuditMark() if before is None and one.number == 1 else before
                if start is not None and not one.follows(start):
                    findings.append(
                        f"{file}:{number}: line {one.number} was changed, or does not follow"
                    )
                    break
                before = one.mark
    except (OSError, UnicodeDecodeError) as exc:
        fail(f"cannot read {file}: {exc}")
    return before or AuditMark(), number


def _text_of(line: Any) -> AuditText:
    """Read a line as Relevo tells it. :raises ValueError, KeyError, TypeError: it is none"""
    text = compact(line["entry"]) if line["entry"] is not None else line["text"]
    ms, _, number = line["id"].partition("-")
    if not (ms.isdecimal() and number.isdecimal() and isinstance(line["chain"], str)):
        raise ValueError("no id")
    return AuditText(id=line["id"], chain=line["chain"], text=str(text))


def _missed(end: AuditMark) -> list[str]:
    """Say whether Relevo still tells the last line of a file."""
    if not end.number:
        return []
    before = f"{end.id.partition('-')[0]}-{end.number - 1}"
    told = ask(lambda client: client.audit(after=before, limit=1), advise=_advise)
    first = ask(lambda client: client.audit(limit=1), advise=_advise)["lines"]
    if first and _text_of(first[0]).number > end.number:
        return []  # it has given way to younger ones
    found = [_text_of(line).mark for line in told["lines"]]
    if found == [end]:
        return []
    return [f"Relevo no longer tells line {end.number} ({end.id}) as the file has it"]


def _findings(told: dict[str, Any], after: int) -> list[str]:
    found = []
    if told["broken_at"] is not None:
        found.append(f"line {told['broken_at']} was changed, or lines before it are missing")
    losses = [number for number in told["losses"] if number > after]
    if losses:
        said = ", ".join(map(str, losses))
        found.append(f"lines were lost, as the audit itself tells: see line {said}")
    known = told["known"]
    if known is not None and not known["is_there"]:
        found.append(f"line {known['id']}, which Relevo remembers, is gone or was changed")
    return found


def _lines(found: dict[str, Any]) -> list[str]:
    lines = []
    if (file := found["file"]) is not None:
        lines.append(f"file: {file['lines']} lines, to {file['head']} {file['chain']}")
    if (told := found["relevo"]) is not None and told["head"] is None:
        lines.append("Relevo: no lines")
    elif told is not None:
        lines.append(
            f"Relevo: {told['lines']:,} lines from number {told['first']:,}, to {told['head']} "
            f"{told['chain']}"
        )
    return [*lines, *(found["findings"] or ["nothing is missing or changed"])]


def _advise(exc: ApiError) -> str:
    return _ADMIN if exc.status == _FORBIDDEN else ""
