"""What ``relevo connect`` keeps of a person, whom it lets read, and what the doctor says of it."""

import os
import shutil
import socket
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.adapters.join_files import Join
from app.adapters.monitoring import Sample
from app.adapters.processes import Neighbour
from app.cli import checks_prometheus, checks_relevo, doctor
from app.cli.checks_alertmanager import receiver_checks
from app.cli.connect_apply import apply, is_older
from app.cli.connect_env import addresses, matchers_of, reached_at, seen_by_others, settle, shown
from app.cli.connect_files import Kit, Wish, write_kit
from app.cli.connect_mark import is_unchanged, marked
from app.cli.connect_place import Access, access
from app.cli.connect_survey import Survey
from app.cli.finding import Level
from app.errors import BadConfiguration
from app.settings import Address
from tests.builders import at
from tests.parts import missing
from tests.test_cli import Served, bare_environment, quiet, relevo, served

__all__ = ["bare_environment", "quiet", "served"]

JOIN = Join(relevo="127.0.0.1:5000", collector="127.0.0.1:5001")
FOUND = Survey(
    prometheus_url="http://127.0.0.1:9090",
    alertmanager_url="http://127.0.0.1:9093",
    prometheus=None,
    alertmanager=None,
    sends_alerts=True,
    container_job=None,
    nameless=False,
    rules=(),
    receivers=(),
    is_joined=False,
)

# ---------------------------------------------------------------- relevo.env

OURS = {"RELEVO_MODE": "observe", "RELEVO_LISTEN": "127.0.0.1:5000", "RELEVO_TOKEN_READ_FILE": "t"}


def settled(there: str | None, *given: str, **environment: str) -> tuple[str, str]:
    return settle(there, OURS, environment=environment, given=given)


def test_a_first_file_holds_all_and_what_was_set_for_the_command() -> None:
    text, said = settled(None, RELEVO_GRAFANA_URL="http://g", PATH="/bin", RELEVO_TOKEN_READ="x")

    assert text.splitlines()[1:] == [
        "RELEVO_GRAFANA_URL=http://g",
        "RELEVO_LISTEN=127.0.0.1:5000",
        "RELEVO_MODE=observe",
        "RELEVO_TOKEN_READ_FILE=t",
    ]
    assert said == ""


@pytest.mark.parametrize(
    ("there", "given", "environment", "text", "said"),
    [
        pytest.param(
            "# mine\r\nRELEVO_MODE=enforce\r\n\r\nRELEVO_X='y'",
            (),
            {},
            "# mine\r\nRELEVO_MODE=enforce\r\n\r\nRELEVO_X='y'",
            "2 settings kept as they are (RELEVO_MODE: enforce)",
            id="nothing was asked for",
        ),
        pytest.param(
            "RELEVO_LISTEN=0.0.0.0:1\n",
            (),
            {},
            "RELEVO_LISTEN=0.0.0.0:1\n",
            "RELEVO_MODE: not set, which is enforce",
            id="observing was taken out",
        ),
        pytest.param(
            "RELEVO_MODE=enforce\nRELEVO_LISTEN=0.0.0.0:1\n#end",
            ("RELEVO_LISTEN",),
            {},
            "RELEVO_MODE=enforce\nRELEVO_LISTEN=127.0.0.1:5000\n#end",
            "1 settings kept as they are (RELEVO_MODE: enforce); changed: "
            "RELEVO_LISTEN=127.0.0.1:5000",
            id="an address was given",
        ),
        pytest.param(
            "RELEVO_MODE=enforce",
            ("RELEVO_LISTEN",),
            {"DOCKER_HOST": "unix:///a"},
            "RELEVO_MODE=enforce\nDOCKER_HOST=unix:///a\nRELEVO_LISTEN=127.0.0.1:5000\n",
            "added: DOCKER_HOST, RELEVO_LISTEN",
            id="what is not there is added",
        ),
        pytest.param(
            "RELEVO_MODE=enforce\nRELEVO_GRAFANA_TOKEN=a\n",
            (),
            {"RELEVO_MODE": "observe", "RELEVO_GRAFANA_TOKEN_FILE": "b"},
            "RELEVO_MODE=enforce\nRELEVO_GRAFANA_TOKEN=a\n",
            "not taken over from the environment: RELEVO_MODE",
            id="the environment does not win over a file",
        ),
    ],
)
def test_what_a_person_has_set_or_taken_out_stays_so(
    there: str, given: tuple[str, ...], environment: dict[str, str], text: str, said: str
) -> None:
    assert settled(there, *given, **environment)[0] == text
    assert said in settled(there, *given, **environment)[1]


def test_a_pair_of_alertmanagers_stays_a_pair(tmp_path: Path) -> None:
    pair = ("http://127.0.0.1:9093", "http://am2:9093")
    kit = write_kit(tmp_path / "kit", FOUND, JOIN, Wish(alertmanagers=pair))

    assert f"RELEVO_ALERTMANAGER_URL={','.join(pair)}\n" in kit.env.read_text(encoding="utf-8")


def test_containers_are_added_to_the_policies_that_relevo_reads(tmp_path: Path) -> None:
    write_kit(tmp_path / "kit", FOUND, JOIN, Wish())
    own = tmp_path / "own.yml"
    own.write_bytes(b"version: 1\r\n# mine\r\nenable:\r\n  - name: a\r\n")
    own.chmod(0o640)

    write_kit(tmp_path / "kit", FOUND, JOIN, Wish(enable=["shop/api"], policies=own))

    assert own.read_bytes() == (
        b"version: 1\r\n# mine\r\nenable:\r\n  - name: a\r\n"
        b"  - {project: 'shop', service: 'api'}\r\n"
    )
    assert stat.S_IMODE(own.stat().st_mode) == 0o640
    assert "shop" not in (tmp_path / "kit/policies.yml").read_text(encoding="utf-8")


def test_on_a_full_disk_the_settings_stay_whole(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        missing("root", "only root mounts")
    place = tmp_path / "kit"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], check=False)
    if done.returncode != 0:
        missing("mount")
    try:
        kit = write_kit(place, FOUND, JOIN, Wish(enable=["a"]))
        held = {one: one.read_bytes() for one in (kit.env, place / "policies.yml")}
        with (place / "filler").open("wb", 0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        wish = Wish(enable=["b"], given=["RELEVO_LISTEN"])
        with pytest.raises(BadConfiguration, match="No space"):
            write_kit(place, FOUND, replace(JOIN, relevo="127.0.0.1:6000"), wish)
        assert {one: one.read_bytes() for one in held} == held
    finally:
        subprocess.run(["umount", place], check=True)


def test_what_was_said_before_is_known_again(tmp_path: Path) -> None:
    join = Join(
        relevo="relevo.lan:5000",
        collector="172.17.0.1:5001",
        matchers=("severity='page'", 'a="b"'),
        names=("name", "container"),
    )
    assert (seen_by_others(tmp_path), matchers_of(tmp_path)) == ({}, ())
    write_kit(tmp_path, FOUND, join, Wish())

    told = {"relevo": "relevo.lan:5000", "relevo-containers": "172.17.0.1:5001"}
    assert seen_by_others(tmp_path) == told
    assert matchers_of(tmp_path) == join.matchers
    assert reached_at(Address("0.0.0.0:5005"), told["relevo"]) == "relevo.lan:5005"
    assert reached_at(Address("10.0.0.1:5005"), told["relevo"]) == "10.0.0.1:5005"


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("listens", "before", "expected"),
    [
        ("0.0.0.0:5005", None, "127.0.0.1:5005"),
        ("[::]:5005", None, "[::1]:5005"),
        # Of a connect that did not know better.
        ("0.0.0.0:5005", "0.0.0.0:5000", "127.0.0.1:5005"),
        ("0.0.0.0:5005", "172.17.0.1:5000", "172.17.0.1:5005"),
        ("127.0.0.1:5005", None, "127.0.0.1:5005"),
    ],
)
def test_nobody_is_told_to_post_to_all_addresses(
    listens: str, before: str | None, expected: str
) -> None:
    """In a container that is the container itself: Alertmanager would post to nobody."""
    assert reached_at(Address(listens), before) == expected


def test_who_listens_everywhere_goes_on_to(tmp_path: Path) -> None:
    wide = {"RELEVO_LISTEN": "0.0.0.0:5000"}
    kit = write_kit(tmp_path / "kit", FOUND, JOIN, Wish(wide=wide, environment=wide))

    lines = kit.env.read_text(encoding="utf-8").splitlines()
    assert {"RELEVO_LISTEN=0.0.0.0:5000", "RELEVO_URL=http://127.0.0.1:5000"} < {*lines}
    assert "RELEVO_COLLECT_LISTEN=127.0.0.1:5001" in lines
    for name in ("prometheus", "alertmanager"):
        snippet = (kit.directory / f"{name}.snippet.yml").read_text(encoding="utf-8")
        assert "0.0.0.0" not in snippet
        assert "127.0.0.1:5000" in snippet


@pytest.mark.parametrize(
    ("who", "join", "says"),
    [
        ("prometheus", JOIN, "Prometheus .* where 127.0.0.1:5000 is not Relevo"),
        ("alertmanager", JOIN, "Alertmanager .* where 127.0.0.1:5000 is not Relevo"),
        ("alertmanager", replace(JOIN, relevo="0.0.0.0:5000"), "where 0.0.0.0:5000 is not Relevo"),
        ("prometheus", replace(JOIN, relevo="172.17.0.1:5000"), "127.0.0.1:5001 is not its coll"),
    ],
)
async def test_whoever_cannot_reach_relevo_is_not_joined(
    tmp_path: Path, who: str, join: Join, says: str
) -> None:
    inside = replace(process(7, 7), shares_network=False)
    is_first = who == "prometheus"
    found = replace(
        FOUND,
        prometheus=inside if is_first else None,
        alertmanager=None if is_first else inside,
    )
    with pytest.raises(BadConfiguration, match=says):
        await apply(Kit(tmp_path), found, join, prometheus=None, alertmanager=None, anyway=False)


@pytest.mark.parametrize(
    ("relevo_at", "listen", "url"),
    [
        ("127.0.0.1:5000", "127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("localhost:5000", "localhost:5000", "http://localhost:5000"),
        ("127.0.0.53:5000", "127.0.0.53:5000", "http://127.0.0.53:5000"),
        ("[::1]:5000", "[::1]:5000", "http://[::1]:5000"),
        # Documentation's own: an address of nobody.
        ("192.0.2.1:5000", "0.0.0.0:5000", "http://127.0.0.1:5000"),
        ("relevo.example:5000", "0.0.0.0:5000", "http://127.0.0.1:5000"),
        ("0.0.0.0:5000", "0.0.0.0:5000", "http://127.0.0.1:5000"),
    ],
)
def test_it_listens_where_it_is_looked_for_and_nowhere_else(
    relevo_at: str, listen: str, url: str
) -> None:
    found = addresses(Join(relevo=relevo_at, collector=relevo_at))

    assert (found["RELEVO_LISTEN"], found["RELEVO_URL"]) == (listen, url)
    assert found["RELEVO_COLLECT_LISTEN"] == listen


def test_an_address_of_this_host_is_listened_on_alone() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect(("192.0.2.1", 9))  # sends nothing: only the way is looked up
        except OSError:
            missing("network", "no way leads out of here")
        own = one.getsockname()[0]

    assert addresses(Join(relevo=f"{own}:5000", collector=None)) == {
        "RELEVO_LISTEN": f"{own}:5000",
        "RELEVO_URL": f"http://{own}:5000",
    }


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://me:se%2Fcret@a:1/x", "http://a:1/x"),
        ("http://u:p@a,https://v:q@b/c", "http://a,https://b/c"),
        ("http://a:1/@x", "http://a:1/@x"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
    ],
)
def test_passwords_are_not_shown(url: str, says: str) -> None:
    assert shown(url) == says


# ---------------------------------------------------------------- who may read a token


def process(uid: int, gid: int) -> Neighbour:
    return Neighbour(pid=1, config_file=None, uid=uid, gid=gid, shares_network=True)


def configuration(mode: int, uid: int = 0, gid: int = 0) -> os.stat_result:
    return os.stat_result((stat.S_IFREG | mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("reader", "like", "euid", "expected"),
    [
        pytest.param(process(7, 7), configuration(0o644), 7, (-1, -1, 0o600), id="it is we"),
        pytest.param(process(0, 0), configuration(0o644), 7, (-1, -1, 0o600), id="it is root"),
        pytest.param(process(7, 8), configuration(0o644), 0, (7, 8, 0o600), id="root knows it"),
        pytest.param(process(7, 50), configuration(0o644), 9, (-1, 50, 0o640), id="a group of us"),
        pytest.param(process(7, 8), configuration(0o644), 9, (-1, -1, 0o644), id="no way but all"),
        pytest.param(
            process(7, 8), configuration(0o640, 9, 50), 9, (-1, 50, 0o640), id="by the file's group"
        ),
        pytest.param(None, configuration(0o644), 0, (0, 0, 0o644), id="nobody knows"),
        pytest.param(
            replace(process(7, 8), is_proven=False),
            configuration(0o640, 5, 6),
            0,
            (5, 6, 0o640),
            id="who only says that it is he",
        ),
        pytest.param(
            replace(process(0, 0), is_proven=False),
            configuration(0o644),
            0,
            (0, 0, 0o644),
            id="or is root, he says",
        ),
        pytest.param(None, configuration(0o640, 5, 6), 0, (5, 6, 0o640), id="as the file has it"),
        pytest.param(None, configuration(0o600, 5, 6), 0, (5, 6, 0o600), id="its owner alone"),
        pytest.param(
            None, configuration(0o664, 9, 50), 9, (-1, 50, 0o644), id="public as the file"
        ),
    ],
)
def test_a_token_is_for_its_reader(
    reader: Neighbour | None, like: os.stat_result, euid: int, expected: tuple[int, int, int]
) -> None:
    found = access(reader, like, euid=euid, groups={50})

    assert found == Access(*expected)
    assert found.is_public is (expected[2] == 0o644)


# ---------------------------------------------------------------- what is written anew


def test_a_change_of_a_person_is_seen() -> None:
    text = marked("a\nb\n")

    assert is_unchanged(text)
    for other in ("a\nb\n", text.replace("b", "c"), text + "more\n", text[:-1], ""):
        assert not is_unchanged(other)


def test_units_are_units_wherever_they_are(tmp_path: Path) -> None:
    """By systemd's own program: a place with blanks, percent and dollar signs."""
    verify = shutil.which("systemd-analyze")
    place = tmp_path / "my 50% $HOME's kit"
    kit = write_kit(place, FOUND, JOIN, Wish())
    unit = (kit.directory / "relevo-serve.service").read_text(encoding="utf-8")
    assert f'"{str(place).replace("%", "%%").replace("$", "$$")}/relevo.env"' in unit
    assert f"WorkingDirectory={str(place).replace('%', '%%')}\n" in unit
    if verify is None:
        pytest.skip("missing part: systemd-analyze")
    seen = subprocess.run(
        [verify, "verify", *kit.directory.glob("*.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (seen.returncode, seen.stderr) == (0, "")


def test_tokens_that_a_person_has_set_are_handed_on(tmp_path: Path) -> None:
    first = write_kit(tmp_path, FOUND, JOIN, Wish(tokens={"read": "of the environment"}))
    again = write_kit(tmp_path, FOUND, JOIN, Wish(tokens={"read": "own"}))

    assert first.secret("read") == first.token("read").read_text(encoding="utf-8")
    assert again.secret("read") == "own"
    assert again.secret("ingest") == first.secret("ingest")
    with pytest.raises(BadConfiguration):
        Kit(tmp_path / "nowhere").secret("read")


@pytest.mark.parametrize(
    ("version", "old"),
    [("0.21.0", True), ("0.22.0", False), ("v0.9", True), ("1.0", False), ("", False)],
)
def test_a_version_that_is_too_old_is_known(version: str, old: bool) -> None:
    assert is_older(version, (0, 22)) is old


# ---------------------------------------------------------------- the doctor

WEBHOOK = "http://me:secret@relevo:5000/api/v1/webhooks/alertmanager"


@pytest.mark.parametrize(
    ("hook", "counted", "expected"),
    [
        ({"url": WEBHOOK}, (0, 0), [(Level.OK, "webhook at relevo:5000")]),
        ({"url": "http://b/x"}, (0, 0), [(Level.FINDING, "does not lead to")]),
        ({"url": "<secret>"}, (0, 0), [(Level.WARNING, "is hidden, nothing proven")]),
        ({"url": "<secret>"}, (3, 3), [(Level.WARNING, "is hidden, nothing proven")]),
        ({"url": "<secret>"}, (3, 1), [(Level.OK, "2 webhook notifications were delivered")]),
        (
            {"url": "<secret>", "send_resolved": "false"},
            (0, 0),
            [(Level.FINDING, "not told of what is over"), (Level.WARNING, "hidden")],
        ),
        (
            {"url": WEBHOOK, "send_resolved": "false"},
            (3, 0),
            [(Level.FINDING, "not told of what is over")],
        ),
    ],
)
def test_a_hidden_address_is_no_comfort(
    hook: dict[str, str], counted: tuple[float, float], expected: list[tuple[Level, str]]
) -> None:
    receivers = {"receivers": [{"name": "relevo", "webhook_configs": [hook]}]}

    checks = receiver_checks(receivers, "relevo", counted)

    assert [one.level for one in checks] == [level for level, _ in expected]
    for check, (_, said) in zip(checks, expected, strict=True):
        assert said in check.said
        assert "secret@" not in check.said


def test_two_clocks_that_are_apart_are_told_although_each_is_near_ours() -> None:
    (check,) = doctor.clock_checks({"A": at(4.9) - at(0), "B": at(-4.9) - at(0)})

    assert (check.level, check.said) == (
        Level.FINDING,
        "the clock of A is 10 s ahead of that of B",
    )


class Asked:
    """A client of a Relevo that says so, and no more."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    async def metrics(self) -> str:
        return str(self.answers["metrics"])


@pytest.mark.parametrize(
    ("value", "level"), [("1.0", Level.OK), ("0.0", Level.FINDING)], ids=["up", "down"]
)
async def test_whether_relevo_itself_reaches_alertmanager_is_told(value: str, level: Level) -> None:
    text = f'# TYPE relevo_pull_up gauge\nrelevo_pull_up{{engine="host1"}} {value}\n'

    (check,) = await checks_relevo.pulls(Asked(metrics=text))  # type: ignore[arg-type]

    assert check.level is level


def test_whether_grafana_is_told_is_told() -> None:
    assert checks_relevo.messages({"messages": None}) == []
    trouble = {"pending": 3, "trouble": "Grafana answered 401"}
    (check,) = checks_relevo.messages({"messages": trouble})
    assert (check.level, "Grafana answered 401" in check.said) == (Level.WARNING, True)
    (check,) = checks_relevo.messages({"messages": {"pending": 0, "trouble": None}})
    assert check.level is Level.OK


def test_the_policies_in_force_are_looked_at(served: Served, tmp_path: Path) -> None:
    """Without the server's settings as well; and a file that it has not read is told."""
    told = relevo("doctor", RELEVO_URL=served.url)
    assert "those in force: can be reached" in told.stdout

    file = tmp_path / "policies.yml"
    file.write_text("version: 1\nenable: [{name: x}]\n", encoding="utf-8")
    told = relevo("doctor", RELEVO_URL=served.url, RELEVO_POLICIES=str(file))
    assert f"{file} is not what is in force" in told.stdout


def test_no_proxy_of_the_environment_gets_the_token(served: Served) -> None:
    told = relevo(
        "status", RELEVO_URL=served.url, http_proxy="http://127.0.0.1:1", RELEVO_TOKEN="x"
    )

    assert told.exit_code == 0, told.output


def test_of_more_than_can_be_shown_the_number_is() -> None:
    target = {"target": "host1:a", "readiness": None}
    known = {"status": {"label_typos": []}, "targets": [target] * 25}

    checks = checks_relevo.targets(known)

    assert any("and 5 more" in one.said for one in checks)


class Series:
    """A Prometheus with these series of containers."""

    def __init__(self, *found: dict[str, str]) -> None:
        self.found = [Sample(metric=one, value=(0, "1")) for one in found]

    async def query(self, _: str) -> list[Sample]:
        return self.found


@pytest.mark.parametrize(
    ("series", "said"),
    [
        ([{"name": "web", "engine": "host1"}], "containers: 1"),
        ([{"name": "web"}], "containers: 1"),
        ([{"name": "web", "engine": "host2"}], "series of containers of host2, and none of host1"),
        (
            [{"name": "web", "engine": "host2"}, {"name": "db", "engine": "host1"}],
            "web has opted in and has no series",
        ),
    ],
    ids=["ours", "of cAdvisor", "of another", "of another besides"],
)
async def test_a_container_of_that_name_elsewhere_is_another(
    series: list[dict[str, str]], said: str
) -> None:
    evidence = checks_prometheus.Evidence()

    checks = await checks_prometheus.series_checks(
        Series(*series),  # type: ignore[arg-type]
        [],
        ["web"],
        evidence,
        "host1",
    )

    assert any(said in one.said for one in checks), checks
