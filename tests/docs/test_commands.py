"""Every command of the documents: run in a sandbox, or counted with the reason why not."""

import re
import secrets
import shlex
import subprocess
from pathlib import Path
from typing import Any, Final

import click
import pytest

from app.cli.command import cli
from tests.docs.pages import ROOT, Snippet, blocks, indented, spans, transcripts
from tests.docs.sandbox import STORY, Sandbox, answering, answers
from tests.docs.treatments import (
    ELSEWHERE,
    EXCLUDED,
    MOST_EXCLUDED,
    NOT_BY_ITSELF,
    left_out,
)
from tests.parts import require
from tests.stack.containers import IMAGE, ensure_image
from tests.test_cli import bare_environment, quiet, relevo

__all__ = ["bare_environment", "quiet"]

_HERE: Final = click.Context(cli, info_name="relevo", **cli.context_settings)
#: All commands: each is loaded when it is asked for.
COMMANDS: Final = {
    name: command
    for name in cli.list_commands(_HERE)
    if (command := cli.get_command(_HERE, name)) is not None
}
#: As what a command is written that a reader types, with or without the path of it.
_OURS = re.compile(r"^(?:\.venv/bin/)?relevo (?=[a-z-])")
#: Something that the reader has to fill in.
_OPEN = re.compile(r"\b[A-Z]{2,}\b|[\[\]|…{}]")
_DONE = [one.text for one in blocks("sh") if one.page in ELSEWHERE]
#: A block that stands on such a page too is done there.
BLOCKS = [one for one in blocks("sh") if one.text not in _DONE]


def lines(script: str) -> list[str]:
    """The commands of a block, joined where one goes on, comments left out."""
    joined = re.sub(r"\\\n\s*", " ", script).splitlines()
    return [line for line in joined if line.strip() and not line.startswith("#")]


# ---------------------------------------------------------------- blocks of commands


def pages() -> list[Any]:
    """Pages with commands; some of them need Docker itself."""
    with_docker = {one.page for one in BLOCKS if re.search(r"^docker (run|exec)", one.text, re.M)}
    return [
        pytest.param(page, marks=[pytest.mark.docker] if page in with_docker else [])
        for page in sorted({one.page for one in BLOCKS})
    ]


@pytest.mark.parametrize("page", pages())
async def test_a_page_can_be_followed_from_its_first_command_to_its_last(
    page: str, tmp_path: Path
) -> None:
    name = f"hello-{secrets.token_hex(4)}"
    todo = [one for one in BLOCKS if one.page == page]
    script = "\n".join(_as_here(line, name) for one in todo for line in lines(one.text))
    if re.search(r"^docker (run|exec)", script, re.MULTILINE):
        require("docker")
        await ensure_image()

    with answering(name, locked=True, helped="scale-in" in script) as served:
        for target in re.findall(r"relevo release (\S+)", script):
            who = {"RELEVO_URL": served.url, "RELEVO_TOKEN": "token-operate"}
            held = relevo("hold", target, "--reason", "a test", **who)
            assert held.exit_code == 0, held.output
        if "relevo audit" in script:
            # Something to export.
            who = {"RELEVO_URL": served.url, "RELEVO_TOKEN": "token-operate"}
            assert relevo("pause", "--reason", "a test", **who).exit_code == 0
        sandbox = Sandbox(tmp_path, served)
        _written_before(todo[-1], tmp_path)
        try:
            done = sandbox.do(script)
        finally:
            if "docker run" in script:
                subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False)

    assert done.returncode == 0, f"{page}\n{script}\n{done.stdout}{done.stderr}"
    for code, url in answers(done.stderr):
        # A 409: in the way is what the page itself has ordered a moment ago.
        assert code in (200, 202, 409), f"{page}: {url} answered {code}\n{done.stdout}"


def _as_here(line: str, name: str) -> str:
    """A command with the names of this place, or what stands for one that is not run."""
    entry = left_out(line)
    make = re.match(r"(?:\w+=\S+ )*make\b[\w -]*", line)
    if make is not None:
        assert entry is not None, f"say in treatments.py what becomes of: {line}"
        # It is not made, but there is such a thing to make.
        command, _, target = make[0].partition("make")
        return f"{command}make --dry-run {target} >/dev/null"
    if entry is not None:
        return ":"
    # What is written to /tmp there stays in the sandbox here.
    line = line.replace(" /tmp/", " ./").replace("remediations/ID/", f"remediations/{STORY}/")
    line = re.sub(r"\bbusybox\b", IMAGE, line)
    return re.sub(r"\bhello\b", name, line)


def _written_before(block: Snippet, folder: Path) -> None:
    """Keep the policy file that the page has the reader write before."""
    for one in blocks("yaml"):
        if one.page == block.page and one.line < block.line and one.text.startswith("version:"):
            (folder / "policies.yml").write_text(one.text, encoding="utf-8")


# ---------------------------------------------------------------- commands in the text


def is_named_only(words: list[str]) -> bool:
    """Tell whether something required is missing: it is spoken of, not typed."""
    try:
        COMMANDS[words[0]].make_context(words[0], words[1:], parent=_HERE)
    except click.MissingParameter:
        return True
    except click.BadParameter as exc:
        # A file of the reader's is not here.
        if "does not exist" not in exc.message:
            raise
    return False


def _words(command: str) -> list[str]:
    return shlex.split(command, comments=True)


def of_ours() -> list[Snippet]:
    """Every command of relevo in running text, in transcripts, in what is indented."""
    found = [*spans(), *transcripts(), *indented()]
    # In the stack it is run inside of a container.
    inside = re.compile(r"^deploy/compose\.sh exec relevo ")
    plain = [Snippet(one.page, one.line, one.language, inside.sub("", one.text)) for one in found]
    return [one for one in plain if _OURS.match(one.text) and not one.text.startswith("relevo:")]


def is_whole(one: Snippet) -> bool:
    """Tell whether it can be typed as it stands."""
    return _OPEN.search(re.sub(r'"[^"]*"', "", one.text)) is None


@pytest.mark.parametrize("command", of_ours(), ids=lambda one: f"{one}-{one.text[:40]}")
def test_a_command_in_the_text_is_one(command: Snippet) -> None:
    if not is_whole(command):
        name = _words(re.sub(r"[\[\]|{}…].*", "", command.text))
        known = {word for word in name if word.startswith("--") and "=" not in word}
        verbs = [word for word in name[1:] if word in COMMANDS][:1]
        assert verbs or name[1] in known, f"{command}: {command.text}"
        of_all = [cli, *(COMMANDS[verb] for verb in verbs)]
        options = {opt for one in of_all for each in one.params for opt in each.opts}
        assert known <= options, f"{command}: {command.text}"
        return
    words = _words(command.text)[1:]
    assert words[0] in COMMANDS, f"{command}: {command.text}"
    if is_named_only(words) or set(words) & set(NOT_BY_ITSELF):
        return

    with answering(helped="scale-in" in words) as served:
        if words[0] == "release":
            assert relevo("hold", words[1], "--reason", "a", RELEVO_URL=served.url).exit_code == 0
        done = relevo(*words, RELEVO_URL=served.url)

    assert done.exit_code == 0, f"{command}: {command.text}\n{done.output}"


def test_most_of_them_are_run() -> None:
    whole = [_words(one.text)[1:] for one in of_ours() if is_whole(one)]
    run = [one for one in whole if not set(one) & set(NOT_BY_ITSELF) and not is_named_only(one)]

    assert len(run) >= 30, run


# ---------------------------------------------------------------- what is not run


def test_few_commands_are_left_out_and_each_is_still_there() -> None:
    found = {left_out(line) for one in blocks("sh") for line in lines(one.text)}

    assert len(EXCLUDED) <= MOST_EXCLUDED
    commands = {entry for entry in (*EXCLUDED, *ELSEWHERE) if not entry.startswith("docs/")}
    assert found - {None} == commands


@pytest.mark.parametrize(("where", "sign"), {**ELSEWHERE, **NOT_BY_ITSELF}.values())
def test_what_is_done_elsewhere_is_done_there(where: str, sign: str) -> None:
    assert sign in (ROOT / where).read_text(encoding="utf-8")


def test_what_is_asked_of_make_is_there() -> None:
    """The long runs are told in the text; each target is one, with these variables."""
    asked = {one.text.split("#")[0] for one in (*spans(), *indented())}
    asked = {one for one in asked if re.match(r"(\w+=\w+ )?make [a-z]", one)}

    assert len(asked) > 8
    for command in sorted(asked):
        told = re.sub(r"\bmake\b", "make --dry-run", command)
        done = subprocess.run(["sh", "-c", told], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"


def test_commands_are_fenced() -> None:
    """What is typed is in a block of sh, where it is run; other blocks show what is said."""
    typed = re.compile(r"^(relevo|curl|docker|make|kill|sudo|apt-get|pip) ")
    wrong = [
        f"{one}: {one.text}"
        for one in indented()
        if typed.match(one.text) and one.page not in ELSEWHERE and not _known(one)
    ]

    assert wrong == []


def _known(one: Snippet) -> bool:
    return one.page == "docs/reliability.md" and one.text.startswith("make ")


def test_languages_are_those_that_are_looked_at() -> None:
    assert {one.language for one in blocks()} <= {
        *("sh", "yaml", "json", "jsonl", "promql", "text", "console")
    }
