"""What may come in between while somebody else's files are joined: nothing of theirs is lost."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from app.cli.connect_mark import marked
from tests.parts import missing, require
from tests.stack.foreign import REPOSITORY, Foreign, relevo
from tests.stack.wait import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]


@pytest.fixture
async def foreign() -> AsyncIterator[Foreign]:
    for part in ("prometheus", "alertmanager", "node-exporter", "promtool", "amtool"):
        require(part)
    with tempfile.TemporaryDirectory(prefix="relevo-lab-") as home:
        async with Foreign(Path(home)) as one:
            yield one


@pytest.fixture
def root() -> None:
    if os.geteuid() != 0:
        missing("root", "only root mounts")


def join(
    foreign: Foreign, *words: str, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {} if path is None else {"PATH": path}
    return relevo(
        *("connect", "--apply", *foreign.options, *words), cwd=foreign.home, environment=environment
    )


def theirs(foreign: Foreign) -> dict[str, bytes]:
    """All files of both, as they are; what links lead to is told by name."""
    return {
        str(one): os.readlink(one).encode() if one.is_symlink() else one.read_bytes()
        for part in ("prometheus", "alertmanager")
        for one in sorted((foreign.home / part).rglob("*"))
        if "data" not in one.relative_to(foreign.home).parts and not one.is_dir()
    }


async def loaded(foreign: Foreign) -> str:
    found = await foreign.ask(foreign.prometheus_url, "/api/v1/status/config")
    other = await foreign.ask(foreign.alertmanager_url, "/api/v2/status")
    return str(found["data"]["yaml"]) + str(other["config"]["original"])


# ---------------------------------------------------------------- again


async def test_what_a_person_has_set_since_stays_so(foreign: Foreign) -> None:
    kit = foreign.home / "relevo"
    first = await asyncio.to_thread(join, foreign, "--enable", "web", "--match", 'severity="page"')
    assert first.returncode == 0, first.stderr

    url = foreign.alertmanager_url
    env = (kit / "relevo.env").read_text(encoding="utf-8")
    env = env.replace("RELEVO_MODE=observe", "RELEVO_MODE=enforce")
    env = env.replace(
        f"RELEVO_ALERTMANAGER_URL={url}", f"RELEVO_ALERTMANAGER_URL={url},http://second:9093"
    )
    env = env.replace("RELEVO_TOKEN_READ_FILE=", "# mine\nRELEVO_TOKEN_READ=own\n#")
    env += "RELEVO_GRAFANA_URL=http://127.0.0.1:3000\n"
    (kit / "relevo.env").write_text(env, encoding="utf-8")
    run = (kit / "run.sh").read_text(encoding="utf-8") + "# mine\n"
    (kit / "run.sh").write_text(run, encoding="utf-8")
    rules = foreign.prometheus_yml.with_name("relevo_rules.yml")
    raised = rules.read_text(encoding="utf-8").replace("> 0.8", "> 0.95")
    rules.write_text(raised, encoding="utf-8")
    snippet = (kit / "alertmanager.snippet.yml").read_text(encoding="utf-8")
    config = [one.read_bytes() for one in (foreign.prometheus_yml, foreign.alertmanager_yml)]

    # As docs/connect.md says it: without all that was said the first time.
    again = await asyncio.to_thread(
        relevo, "connect", "--apply", "--enable", "worker-*", cwd=foreign.home
    )

    assert again.returncode == 0, again.stderr
    assert (kit / "relevo.env").read_text(encoding="utf-8") == env
    assert (kit / "run.sh").read_text(encoding="utf-8") == run
    assert rules.read_text(encoding="utf-8") == raised
    assert (kit / "alertmanager.snippet.yml").read_text(encoding="utf-8") == snippet
    assert config == [
        one.read_bytes() for one in (foreign.prometheus_yml, foreign.alertmanager_yml)
    ]
    token = foreign.prometheus_yml.with_name("relevo_token_read")
    assert token.read_text(encoding="utf-8") == "own\n"
    assert "settings kept as they are (RELEVO_MODE: enforce)" in again.stdout
    assert f"{rules}: you have changed it, so it stays" in again.stdout
    assert f"{kit}/run.sh: you have changed it, so it stays" in again.stdout
    assert "http://second:9093 must get the same" in again.stdout
    assert "name: 'worker-*'" in (kit / "policies.yml").read_text(encoding="utf-8")
    assert "connect --test TARGET" in again.stdout


async def test_rules_that_nobody_has_changed_become_the_newest(foreign: Foreign) -> None:
    """And are loaded, by one that can only be sent a signal."""
    assert (await asyncio.to_thread(join, foreign)).returncode == 0
    rules = foreign.prometheus_yml.with_name("relevo_rules.yml")
    newest = rules.read_text(encoding="utf-8")
    older = "groups: []\n"
    made = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import sys; from app.cli.connect_mark import marked; print(end=marked(sys.argv[1]))",
            older,
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    rules.write_text(made.stdout, encoding="utf-8")

    seen = await asyncio.to_thread(join, foreign)

    assert seen.returncode == 0, seen.stderr
    assert "its rules are new" in seen.stdout
    assert rules.read_text(encoding="utf-8") == newest


async def test_another_directory_does_not_take_the_tokens_of_the_first(foreign: Foreign) -> None:
    """Its Relevo would answer 401 to every notice, and none is sent again."""
    assert (await asyncio.to_thread(join, foreign)).returncode == 0
    before = theirs(foreign)

    seen = await asyncio.to_thread(join, foreign, "--into", "other")
    assert seen.returncode == 1
    assert "name the directory of that run with --into" in seen.stderr
    assert theirs(foreign) == before

    # Removed on purpose, one is made anew, and handed on.
    (foreign.home / "relevo/relevo_token_read").unlink()
    seen = await asyncio.to_thread(join, foreign)
    assert seen.returncode == 0, seen.stderr
    made = (foreign.home / "relevo/relevo_token_read").read_bytes()
    token = foreign.prometheus_yml.with_name("relevo_token_read")
    assert token.read_bytes() == made != before[str(token)]


# ---------------------------------------------------------------- links


async def test_planted_links_lead_to_nothing(foreign: Foreign) -> None:
    """Whoever may write into their directory owns no other file of the machine by it."""
    victims = [foreign.home / f"victim-{number}" for number in range(4)]
    for one in victims[:3]:
        one.write_text("root's", encoding="utf-8")
        one.chmod(0o600)
    names = (
        "relevo_token_read",
        "relevo_rules.yml",
        "prometheus.yml.relevo-trial",
        "prometheus.yml.before-relevo",
    )
    for victim, name in zip(victims, names, strict=True):
        foreign.prometheus_yml.with_name(name).symlink_to(victim)

    seen = await asyncio.to_thread(join, foreign)

    assert seen.returncode == 0, seen.stderr
    for one in victims[:3]:
        assert one.read_text(encoding="utf-8") == "root's"
        assert (one.stat().st_uid, one.stat().st_mode & 0o777) == (os.geteuid(), 0o600)
    assert not victims[3].exists()
    token = foreign.prometheus_yml.with_name("relevo_token_read")
    assert not token.is_symlink()
    # They run as we do here: nobody else has to read it.
    assert token.stat().st_mode & 0o777 == 0o600


async def test_a_configuration_that_is_a_link_is_joined_where_it_is_looked_for(
    foreign: Foreign,
) -> None:
    """Prometheus looks for rules and tokens beside the path that it was given."""
    store = foreign.home / "store"
    store.mkdir()
    for one in (foreign.prometheus_yml, foreign.alertmanager_yml):
        one.rename(store / one.name)
        one.symlink_to(f"../store/{one.name}")

    seen = await asyncio.to_thread(join, foreign)

    assert seen.returncode == 0, seen.stderr
    assert foreign.prometheus_yml.is_symlink()
    assert foreign.alertmanager_yml.is_symlink()
    assert "job_name: relevo" in (store / "prometheus.yml").read_text(encoding="utf-8")
    assert not list(store.glob("relevo_*"))
    groups = await foreign.ask(foreign.prometheus_url, "/api/v1/rules")
    rules = [rule["name"] for group in groups["data"]["groups"] for rule in group["rules"]]
    assert "RelevoWatchdog" in rules
    assert foreign.alertmanager_yml.with_name("relevo_token_ingest").is_file()


# ---------------------------------------------------------------- failing half-way


@pytest.fixture
def small(foreign: Foreign, root: None) -> Iterator[Path]:
    """Their alertmanager.yml on a disk of 16 kB, on which there is no room left."""
    place = foreign.home / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "none", place],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        missing("mount", done.stderr.strip())
    try:
        data = foreign.alertmanager_yml.read_bytes()
        (place / "alertmanager.yml").write_bytes(data)
        foreign.alertmanager_yml.unlink()
        foreign.alertmanager_yml.symlink_to(place / "alertmanager.yml")
        (place / "filler").write_bytes(b"x" * (16384 - 4096 * -(-len(data) // 4096)))
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


async def test_on_a_full_disk_both_stay_as_they_were(foreign: Foreign, small: Path) -> None:
    before, configuration = theirs(foreign), await loaded(foreign)
    held = (small / "alertmanager.yml").read_bytes()

    seen = await asyncio.to_thread(join, foreign)

    assert seen.returncode == 1
    assert "No space left" in seen.stderr
    assert "alertmanager.yml are as they were before" in seen.stderr
    assert (small / "alertmanager.yml").read_bytes() == held
    assert sorted(one.name for one in small.iterdir()) == ["alertmanager.yml", "filler"]
    # Prometheus was joined by then: it is not any more, and neither are tokens left behind.
    assert theirs(foreign) == before
    assert await loaded(foreign) == configuration


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_stopped_in_between_both_stay_as_they_were(
    foreign: Foreign, how: signal.Signals
) -> None:
    """Ctrl-C, a kill, a terminal that is gone, while Prometheus has its new file."""
    before, configuration = theirs(foreign), await loaded(foreign)
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "connect", "--apply", *foreign.options),
        cwd=foreign.home,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # As in a terminal, also where the tests run in the background: there Ctrl-C is ignored.
        preexec_fn=partial(signal.signal, how, signal.SIG_DFL),
    )
    changed = b"job_name: relevo"
    async with asyncio.timeout(60):
        while changed not in foreign.prometheus_yml.read_bytes():
            assert running.returncode is None
            await asyncio.sleep(0.001)
    running.send_signal(how)
    _, stderr = await running.communicate()

    assert running.returncode == 1, stderr
    assert theirs(foreign) == before

    async def as_it_was() -> bool:
        return await loaded(foreign) == configuration

    await eventually(as_it_was, within=10, what="Prometheus has the old one again")


async def test_a_rejected_file_is_not_taken_for_a_loaded_one(foreign: Foreign) -> None:
    """Its job was there before; a signal is answered by nothing; no promtool is here."""
    assert (await asyncio.to_thread(join, foreign)).returncode == 0
    text = foreign.prometheus_yml.read_text(encoding="utf-8")
    text = text.replace("  - relevo_rules.yml\n", "") + "bogus: 1\n"
    foreign.prometheus_yml.write_text(text, encoding="utf-8")
    before = theirs(foreign)

    seen = await asyncio.to_thread(join, foreign, path="/nowhere")

    assert seen.returncode == 1
    assert "was told to load" in seen.stderr
    assert theirs(foreign) == before


async def test_lines_as_windows_ends_them_stay_so(foreign: Foreign) -> None:
    files = (foreign.prometheus_yml, foreign.alertmanager_yml)
    for one in files:
        one.write_bytes(one.read_bytes().replace(b"\n", b"\r\n"))
    broken = foreign.alertmanager_yml.read_bytes()
    foreign.alertmanager_yml.write_bytes(broken + b"bogus: 1\r\n")
    before = theirs(foreign)

    refused = await asyncio.to_thread(join, foreign, path="/nowhere")
    assert refused.returncode == 1
    assert "does not take its new configuration" in refused.stderr
    assert theirs(foreign) == before

    foreign.alertmanager_yml.write_bytes(broken)
    before = theirs(foreign)
    seen = await asyncio.to_thread(join, foreign)
    assert seen.returncode == 0, seen.stderr
    for one in files:
        after = one.read_bytes()
        assert b"\n" not in after.replace(b"\r\n", b"")
        rest = iter(after.splitlines())
        assert all(line in rest for line in before[str(one)].splitlines())


async def test_who_is_notified_anew_is_asked_for_first(foreign: Foreign) -> None:
    """What fires and is for the top receiver moves to a route of another key."""
    # Without times: it fires from now on, for as long as Alertmanager waits for news of it.
    alert = {"labels": {"alertname": "HostDown"}}
    posted = await foreign.http.post(f"{foreign.alertmanager_url}/api/v2/alerts", json=[alert])
    assert posted.status_code == 200
    before = theirs(foreign)

    refused = await asyncio.to_thread(join, foreign)
    assert refused.returncode == 1
    assert "1 alert that fires now would be notified once more" in refused.stderr
    assert "--yes" in refused.stderr
    assert theirs(foreign) == before

    seen = await asyncio.to_thread(join, foreign, "--yes")
    assert seen.returncode == 0, seen.stderr
    # And what comes of it is said: their people hear of Relevo's rules from now on.
    assert "your own receivers are told of ContainerHighCPU and ContainerHighMemory" in seen.stdout


async def test_rules_that_were_loaded_in_between_are_not_in_force_any_more(
    foreign: Foreign,
) -> None:
    """Named in their file before, with an older text; a job is added; then the other one fails."""
    rules = foreign.prometheus_yml.with_name("relevo_rules.yml")
    rules.write_text(marked("groups: []\n"), encoding="utf-8")
    text = foreign.prometheus_yml.read_text(encoding="utf-8")
    text = text.replace("scrape_configs:", "  - relevo_rules.yml\n\nscrape_configs:")
    foreign.prometheus_yml.write_text(text, encoding="utf-8")
    with foreign.alertmanager_yml.open("a", encoding="utf-8") as file:
        file.write("bogus: 1\n")
    os.kill(foreign.prometheus.pid, signal.SIGHUP)

    async def named() -> bool:
        return "relevo_rules.yml" in await loaded(foreign)

    await eventually(named, within=10, what="Prometheus has their file")
    before = theirs(foreign)

    seen = await asyncio.to_thread(join, foreign, path="/nowhere")

    assert seen.returncode == 1
    assert "Alertmanager" in seen.stderr
    assert theirs(foreign) == before

    async def as_they_were() -> bool:
        groups = await foreign.ask(foreign.prometheus_url, "/api/v1/rules")
        names = [rule["name"] for group in groups["data"]["groups"] for rule in group["rules"]]
        return "RelevoWatchdog" not in names

    await eventually(as_they_were, within=10, what="the rules in force are those on the disk")
