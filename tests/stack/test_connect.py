"""From somebody else's Prometheus and Alertmanager to the first observed decision: 3 commands."""

import asyncio
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from ruamel.yaml import YAML

from app.adapters.policy_file import load_rulebook
from app.policies.spec import Enable
from tests.parts import require
from tests.stack.containers import IMAGE, docker, ensure_image
from tests.stack.foreign import REPOSITORY, Foreign, command, relevo
from tests.stack.program import Program, free_port
from tests.stack.wait import eventually

pytestmark = [pytest.mark.stack, pytest.mark.docker, pytest.mark.redis, pytest.mark.timeout(240)]


@pytest.fixture
async def foreign() -> AsyncIterator[Foreign]:
    for part in (
        "docker",
        "redis",
        "prometheus",
        "alertmanager",
        "node-exporter",
        "promtool",
        "amtool",
    ):
        require(part)
    # Not pytest's own directory: its path is too long for the socket of Relevo's store.
    with tempfile.TemporaryDirectory(prefix="relevo-lab-") as home:
        async with Foreign(Path(home)) as one:
            yield one


@pytest.fixture
async def plain() -> AsyncIterator[str]:
    """A container that runs already, of somebody who has never heard of Relevo."""
    await ensure_image()
    name = f"plain-{secrets.token_hex(4)}"
    await docker("run", "-d", "--name", name, "--entrypoint", "sleep", IMAGE, "600")
    try:
        yield name
    finally:
        await docker("rm", "-f", name)


def documented() -> list[list[str]]:
    """The commands of docs/connect.md, block by block."""
    text = (REPOSITORY / "docs/connect.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block.splitlines() for block in blocks]


@pytest.fixture
def installed(foreign: Foreign) -> dict[str, str]:
    """A PATH with the command on it, as a package leaves it behind."""
    program = foreign.home / "bin" / "relevo"
    program.parent.mkdir()
    run = "import sys; sys.argv[0] = 'relevo'; from app.cli.command import main; main()"
    program.write_text(
        f"#!/bin/sh\nPYTHONPATH='{REPOSITORY}' exec '{sys.executable}' -c \"{run}\" \"$@\"\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


async def test_the_documented_commands_lead_to_the_first_observed_decision(
    foreign: Foreign, plain: str, installed: dict[str, str]
) -> None:
    (connect, run, test), later = documented()
    # The ports of this machine are shared with other tests: all that is told besides.
    settings = installed | {
        "RELEVO_LISTEN": f"127.0.0.1:{free_port()}",
        "RELEVO_COLLECT_LISTEN": f"127.0.0.1:{free_port()}",
        "RELEVO_ENGINE_NAME": f"relevo-lab-{secrets.token_hex(4)}",
        "RELEVO_PROMETHEUS_URL": foreign.prometheus_url,
        "RELEVO_ALERTMANAGER_URL": foreign.alertmanager_url,
    }
    before = await docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", plain)

    joined = await shell(foreign, connect, plain, settings)
    assert joined.returncode == 0, joined.stderr
    # Each command that is told next is one that works.
    assert f"next  sh {foreign.home}/relevo/run.sh" in joined.stdout
    assert f"relevo --env-file {foreign.home}/relevo/relevo.env connect --test" in joined.stdout

    # The second one runs until it is stopped; here, as in a terminal of its own.
    running = Program(
        "run", run.split(), log=foreign.home / "run.log", cwd=foreign.home, env=dict(os.environ)
    )
    await running.start()
    try:
        # No settings of its own: they are in the file that the first has written.
        tested = await shell(foreign, test, plain, installed)
        assert tested.returncode == 0, tested.stdout + tested.stderr + running.last_words(40)
        assert f"ConnectionTest for {plain}" in tested.stdout
        assert " wait first_need: " in tested.stdout
        assert "observed: a restart would come at " in tested.stdout

        # The container is the same one, and has not been started anew.
        after = await docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", plain)
        assert after == before

        await _people_are_told_as_well(foreign)
        doctor, status = later
        await _everything_holds(foreign, doctor, installed)
        shown = await shell(foreign, status, plain, installed)
        assert f":{plain} " in shown.stdout
        assert "observe mode: Relevo only says what it would do" in shown.stdout
    finally:
        await running.stop()


async def shell(
    foreign: Foreign, line: str, container: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Type a line of the document, with the name of a container that is here."""
    line = re.sub(r"\bweb\b", container, line)
    return await asyncio.to_thread(
        command, "sh", "-c", line, cwd=foreign.home, environment=environment
    )


async def _people_are_told_as_well(foreign: Foreign) -> None:
    """Their own receiver hears of the alert, although Relevo does now."""

    async def look() -> bool:
        names = [a["labels"]["alertname"] for body in foreign.people.taken for a in body["alerts"]]
        return "ConnectionTest" in names

    await eventually(look, within=20, what="their receiver was told")


async def _everything_holds(foreign: Foreign, line: str, environment: dict[str, str]) -> None:
    """And the doctor, asked by a person who waits for the first scrapes, finds nothing to mend."""

    async def look() -> bool:
        seen = await shell(foreign, line, "", environment)
        if seen.returncode != 0:
            raise httpx.TransportError(seen.stdout + seen.stderr)
        assert "The chain holds." in seen.stdout
        # Their rule that was copied from a Kubernetes page is theirs to mend: said, no more.
        assert "ContainerHighCpuUtilization never fires" in seen.stdout
        return True

    await eventually(look, within=150, what="the doctor finds nothing")


def test_the_units_are_units(foreign_kit: Path) -> None:
    """By systemd's own program, where there is one."""
    verify = shutil.which("systemd-analyze")
    units = sorted(foreign_kit.glob("*.service"))
    assert [one.name for one in units] == ["relevo-collect.service", "relevo-serve.service"]
    if verify is None:
        pytest.skip("missing part: systemd-analyze")

    seen = command(verify, "verify", *map(str, units), cwd=foreign_kit)

    assert (seen.returncode, seen.stderr) == (0, "")


@pytest.fixture
async def foreign_kit(foreign: Foreign) -> Path:
    seen = relevo("connect", *foreign.options, "--into", "kit", cwd=foreign.home)
    assert seen.returncode == 0, seen.stderr
    return foreign.home / "kit"


async def test_cadvisor_stays_the_only_source(foreign: Foreign, plain: str) -> None:
    """Played by Relevo's collector under a job of theirs: the names of the series are the same."""
    port = free_port()
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RELEVO_")}
    exporter = Program(
        "cadvisor",
        [sys.executable, "-m", "app", "collect"],
        log=foreign.home / "cadvisor.log",
        env=clean | {"RELEVO_COLLECT_LISTEN": f"127.0.0.1:{port}"},
        cwd=REPOSITORY,
    )
    await exporter.start()
    try:
        with foreign.prometheus_yml.open("a", encoding="utf-8") as file:
            file.write(
                "  - job_name: cadvisor\n    metrics_path: /metrics/containers\n"
                f"    static_configs:\n      - targets: ['127.0.0.1:{port}']\n"
            )
        os.kill(foreign.prometheus.pid, signal.SIGHUP)
        query = f'container_last_seen{{name="{plain}",job="cadvisor"}}'

        async def scraped() -> bool:
            found = await foreign.ask(foreign.prometheus_url, "/api/v1/query", query=query)
            return bool(found["data"]["result"])

        await eventually(scraped, within=40, what="their job has series of containers")

        seen = await asyncio.to_thread(
            relevo, *("connect", "--apply", *foreign.options), cwd=foreign.home
        )
    finally:
        await exporter.stop()

    assert seen.returncode == 0, seen.stderr
    assert "series of containers: by job cadvisor, as they are" in seen.stdout
    jobs = YAML(typ="safe").load(foreign.prometheus_yml)["scrape_configs"]
    assert [job["job_name"] for job in jobs] == ["prometheus", "node", "cadvisor", "relevo"]
    rules = foreign.prometheus_yml.with_name("relevo_rules.yml").read_text(encoding="utf-8")
    assert 'absent(up{job="cadvisor"})' in rules
    assert "collect" not in (foreign.home / "relevo/run.sh").read_text(encoding="utf-8")


async def test_connecting_again_changes_nothing(foreign: Foreign) -> None:
    where = {
        "RELEVO_PROMETHEUS_URL": foreign.prometheus_url,
        "RELEVO_ALERTMANAGER_URL": foreign.alertmanager_url,
    }
    files = (foreign.prometheus_yml, foreign.alertmanager_yml)
    old = [one.read_text(encoding="utf-8") for one in files]

    first = relevo("connect", "--apply", "--enable", "web", cwd=foreign.home, environment=where)
    assert first.returncode == 0, first.stderr
    once = [one.read_text(encoding="utf-8") for one in files]
    tokens = sorted((foreign.home / "relevo").glob("relevo_token_*"))
    held = [one.read_text(encoding="utf-8") for one in tokens]
    again = relevo(
        "connect", "--apply", "--enable", "shop/api", cwd=foreign.home, environment=where
    )

    assert again.returncode == 0, again.stderr
    assert [one.read_text(encoding="utf-8") for one in files] == once
    assert [one.read_text(encoding="utf-8") for one in tokens] == held
    book = load_rulebook(foreign.home / "relevo/policies.yml")
    assert book.enable == (Enable(name="web"), Enable(project="shop", service="api"))
    # Not a line of theirs has changed, and the copies are what they had.
    for before, after, file in zip(old, once, files, strict=True):
        rest = iter(after.splitlines())
        assert all(line in rest for line in before.splitlines()), after
        copy = file.with_name(f"{file.name}.before-relevo")
        assert copy.read_text(encoding="utf-8") == before


async def test_without_apply_nothing_of_theirs_is_touched(foreign: Foreign) -> None:
    where = foreign.options
    files = sorted(one for one in foreign.home.rglob("*.yml"))
    old = {one: one.read_bytes() for one in files}

    seen = relevo("connect", *where, "--into", "kit", cwd=foreign.home)

    assert seen.returncode == 0, seen.stderr
    assert {one: one.read_bytes() for one in files} == old
    assert "ContainerHighCpuUtilization" in seen.stdout
    assert "it never fires" in seen.stdout
    kit = foreign.home / "kit"
    written = {one.name for one in kit.iterdir()}
    assert {"prometheus.snippet.yml", "alertmanager.snippet.yml", "relevo_rules.yml"} <= written
    assert oct((kit / "relevo.env").stat().st_mode)[-3:] == "600"


async def test_a_receiver_of_theirs_is_not_taken_for_ours(foreign: Foreign) -> None:
    """Called as ours, and leading elsewhere: said before anything is written."""
    text = foreign.alertmanager_yml.read_text(encoding="utf-8").replace("team-Y", "relevo")
    foreign.alertmanager_yml.write_text(text, encoding="utf-8")
    old = foreign.prometheus_yml.read_text(encoding="utf-8")

    seen = relevo("connect", "--apply", *foreign.options, cwd=foreign.home)

    assert seen.returncode == 1
    assert "the receiver 'relevo' leads elsewhere" in seen.stderr
    assert "--receiver" in seen.stderr
    assert foreign.prometheus_yml.read_text(encoding="utf-8") == old
    assert foreign.alertmanager_yml.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        pytest.param(None, "amtool does not take it with the additions", id="checked before"),
        pytest.param("/nowhere", "does not take its new configuration", id="loaded, and put back"),
    ],
)
async def test_what_alertmanager_would_not_load_stays_as_it_was(
    foreign: Foreign, path: str | None, said: str
) -> None:
    """Somebody has left a mistake in the file, and has not loaded it since."""
    text = foreign.alertmanager_yml.read_text(encoding="utf-8") + "bogus: 1\n"
    foreign.alertmanager_yml.write_text(text, encoding="utf-8")

    seen = await asyncio.to_thread(
        relevo,
        *("connect", "--apply", *foreign.options),
        cwd=foreign.home,
        environment={} if path is None else {"PATH": path},
    )

    assert seen.returncode == 1
    assert said in seen.stderr
    assert "bogus" in seen.stderr
    assert foreign.alertmanager_yml.read_text(encoding="utf-8") == text
    assert not list(foreign.home.rglob("*.relevo-trial"))


async def test_files_that_cannot_be_found_are_asked_for(foreign: Foreign) -> None:
    """Theirs are found by their processes; by another name of this machine they are not."""
    port = foreign.ports["alertmanager"]
    elsewhere = ("--alertmanager-url", f"http://[::ffff:127.0.0.1]:{port}")
    options = ("connect", "--apply", *foreign.options, *elsewhere)

    unnamed = relevo(*options, cwd=foreign.home)
    named = relevo(
        *options, "--alertmanager-config", str(foreign.alertmanager_yml), cwd=foreign.home
    )

    assert unnamed.returncode == 1
    assert "name it with --alertmanager-config FILE" in unnamed.stderr
    assert named.returncode == 0, named.stderr
    assert "name: relevo\n" in foreign.alertmanager_yml.read_text(encoding="utf-8")
