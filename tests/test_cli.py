"""The relevo command: what it prints where, and what it exits with."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvicorn
from click.testing import CliRunner, Result

from app import __version__
from app.adapters.clock import LoopClock
from app.api.app import create_app
from app.api.deps import Scope
from app.cli.command import cli
from app.domain.activity import Activity
from app.domain.container import Container
from app.domain.decision import Action
from app.domain.remediation import Remediation
from app.ports import Entry, Notice, Store
from tests.api.conftest import parts_of
from tests.builders import START, alert, at, compose, container, remediation
from tests.controller.house import House, build
from tests.controller.test_scaling import made
from tests.fakes import FakeEngine, web
from tests.memory_store import MemoryStore, make_store

#: Nobody's own settings.
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.upper().startswith(("RELEVO_", "DOCKER_"))
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(os.environ) - set(CLEAN):
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What a server in a thread logs does not end up in what a command prints."""
    with structlog.testing.capture_logs():
        yield


def relevo(*words: str, **environment: str) -> Result:
    """
    The command, in this process, in a thread of its own.

    It runs a loop of its own; in this thread that would forget the one of the test runner.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(
            CliRunner().invoke, cli, list(words), env=environment, prog_name="relevo"
        ).result(60)


def process(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "app", *words],
        env=CLEAN | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def failed(result: Result) -> str:
    """What was said of a finding, on standard error only, in lines for people."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("relevo: ")
    assert "Traceback" not in result.stderr
    return result.stderr.removeprefix("relevo: ").rstrip("\n")


# ---------------------------------------------------------------- far sides


@contextmanager
def bound() -> Iterator[int]:
    """A port that is taken although nobody answers there."""
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        yield one.getsockname()[1]


class Served:
    """A Relevo over fakes at a port of its own, in a thread of its own."""

    def __init__(self, tokens: dict[Scope, list[str]]) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.house: House | None = None
        self._tokens = tokens
        self._memory = MemoryStore()
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> "Served":
        self._thread.start()
        assert self._is_up.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self.socket.close()

    async def _serve(self) -> None:
        clock = LoopClock(START)
        engine = FakeEngine(clock)
        self._loop = asyncio.get_running_loop()
        self.house = house = build(make_store(self._memory), clock, engine)
        await house.tenure.beat()
        # No test waits for it: the seat stays ours for as long as this serves.
        leading = asyncio.create_task(house.tenure.run())
        parts = parts_of(house, self._tokens)
        self._server = uvicorn.Server(
            uvicorn.Config(create_app(parts), log_config=None, lifespan="off", ws="none")
        )
        serving = asyncio.create_task(self._server.serve(sockets=[self.socket]))
        # The socket listens already: who calls now is answered as soon as it is up.
        self._is_up.set()
        await serving
        leading.cancel()

    def write(self, story: Remediation, *, activity: Activity | None = None) -> None:
        """Have a story in the store."""

        async def write() -> None:
            store = self.store
            notice = Notice(target=story.target, alert=alert())
            await store.inbox.accept([notice], [], now=START)
            claimed = await store.schedule.claim(now=START, lease=timedelta(hours=1), limit=1)
            entry = Entry(remediation=story, due=None, activity=activity)
            await store.records.note(claimed.claims[0], entry, now=START)

        self.run(write())

    def helped_by(self, one: Container, **more: Any) -> None:
        """Have a clone that is written down."""

        async def write() -> None:
            self._memory.write_activity(made(one, **more))
            self.engine.run(one)

        self.run(write())

    def run(self, doing: Coroutine[Any, Any, Any]) -> Any:
        """Have something done in its loop."""
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(20)

    @property
    def store(self) -> Store:
        return make_store(self._memory)

    @property
    def engine(self) -> FakeEngine:
        assert self.house is not None
        return self.house.engine


@pytest.fixture(scope="module")
def tokened() -> Iterator[Served]:
    with Served({Scope.INGEST: ["in"], Scope.OPERATE: ["op"]}) as one:
        yield one


@pytest.fixture
def served() -> Iterator[Served]:
    with Served({}) as one:
        yield one


@contextmanager
def answering(status: int, body: bytes, kind: str = "application/json") -> Iterator[str]:
    """Something that answers the same to everything, and is not Relevo."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


# ---------------------------------------------------------------- usage


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("nope",), id="no-such-command"),
        pytest.param(("status", "--nope"), id="no-such-option"),
        pytest.param(("status", "--output", "yaml"), id="no-such-output"),
        pytest.param(("check", "a", "b"), id="one-file-at-a-time"),
        pytest.param(("healthcheck", "--url"), id="an-option-without-its-value"),
        pytest.param((), id="nothing"),
    ],
)
def test_wrong_usage_exits_two(words: tuple[str, ...]) -> None:
    result = relevo(*words)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage: relevo" in result.stderr or "Error: Option" in result.stderr


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("status", "-h"), ("check", "--help")])
def test_help_is_no_fault(words: tuple[str, ...]) -> None:
    result = relevo(*words)

    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: relevo")


def test_the_version_is_told() -> None:
    assert relevo("--version").stdout == f"relevo, version {__version__}\n"


# ---------------------------------------------------------------- status


def test_status_is_a_table_of_targets(served: Served) -> None:
    served.engine.run(web())
    served.engine.run(container("shop-api-1", 2, labels=compose("shop", "api", 1)))
    served.write(
        remediation(
            target="host1:web",
            next_at=at(60),
            next_action=Action.RESTART,
        )
    )

    result = relevo("status", RELEVO_URL=served.url)

    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        f"Relevo {__version__} on engine host1, mode enforce",
        "  budget left: 3 actions in a row, 30 within the hour; 0 failing within the hour",
        f"TARGET            STATE    REASON      {'NEXT':35}  FAILURES  INSTANCES",
        f"host1:shop-api-1  ok       -           {'-':35}  0         1 of 3",
        "host1:web         waiting  first_need  restart at 2026-11-22T10:01:00.000Z  0         "
        "1 of 3",
    ]


def test_status_in_json_is_what_the_api_says(served: Served) -> None:
    served.engine.run(web())

    result = relevo("status", "--output", "json", RELEVO_URL=f"{served.url}/")

    answers = json.loads(result.stdout)
    assert result.exit_code == 0
    assert answers["status"]["engine"] == "host1"
    assert [target["target"] for target in answers["targets"]] == ["host1:web"]


def test_status_says_what_to_do_where_nobody_has_opted_in(served: Served) -> None:
    served.engine.run(container("web", labels={}))

    lines = relevo("status", RELEVO_URL=served.url).stdout.splitlines()

    assert lines[2:] == ["No container has opted in: give one the label relevo.enable=true."]


def test_status_says_what_is_down(served: Served) -> None:
    served.engine.down = True

    result = relevo("status", RELEVO_URL=served.url)

    assert result.exit_code == 0
    assert "on engine (not seen yet)" in result.stdout
    assert "  container engine: cannot connect" in result.stdout


@pytest.mark.parametrize(
    ("token", "said"),
    [
        pytest.param(None, "answered 401: show a token", id="none"),
        pytest.param("wrong", "answered 401: show a token", id="a-wrong-one"),
        pytest.param("in", "answered 403: this token does not open", id="one-for-something-else"),
    ],
)
def test_status_without_the_right_token_says_so(
    tokened: Served, token: str | None, said: str
) -> None:
    sent = {"RELEVO_TOKEN": token} if token else {}

    assert failed(relevo("status", RELEVO_URL=tokened.url, **sent)).startswith(
        f"{tokened.url} {said}"
    )


def test_status_sends_its_token(tokened: Served, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("op\nan-older-one\n", encoding="utf-8")

    by_file = relevo("status", RELEVO_URL=tokened.url, RELEVO_TOKEN_FILE=str(file))
    by_environment = relevo("status", RELEVO_URL=tokened.url, RELEVO_TOKEN="op")

    assert (by_file.exit_code, by_environment.exit_code) == (0, 0)


def test_status_says_that_nobody_answers() -> None:
    with bound() as port:
        said = failed(relevo("status", RELEVO_URL=f"http://127.0.0.1:{port}"))

    assert said.startswith(f"http://127.0.0.1:{port} does not answer")
    assert "RELEVO_URL" in said


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        pytest.param(200, b"<html>hello</html>", "answers, but it is not Relevo", id="a-page"),
        pytest.param(200, b"\xff\xfe\x00", "answers, but it is not Relevo", id="bytes"),
        pytest.param(200, b"", "answers, but it is not Relevo", id="nothing"),
        pytest.param(200, b'{"status": "success"}', "answers, but it is not Relevo", id="json"),
        pytest.param(200, b"[]", "answers, but it is not Relevo", id="a-list"),
        pytest.param(200, b"null", "answers, but it is not Relevo", id="null"),
        pytest.param(404, b"404 page not found", "answers, but it is not Relevo", id="no-page"),
        pytest.param(404, b'{"error": "x"}', "answers, but it is not Relevo", id="no-problem"),
        pytest.param(302, b"", "answers, but it is not Relevo", id="elsewhere"),
        pytest.param(
            503, b'{"detail": "the store is unavailable"}', "answered 503: the store", id="trouble"
        ),
    ],
)
def test_status_says_that_it_is_not_relevo_that_answers(
    status: int, body: bytes, said: str
) -> None:
    with answering(status, body) as url:
        assert failed(relevo("status", RELEVO_URL=url)).startswith(f"{url} {said}")


@pytest.mark.parametrize("command", ["status", "healthcheck"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RELEVO_URL", "localhost:5000"),
        ("RELEVO_URL", "http://["),
        ("RELEVO_URL", "http://127.0.0.1:99999"),
        ("RELEVO_TOKEN", "tök"),
        ("RELEVO_TOKEN", "\x01"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(command: str, name: str, value: str) -> None:
    assert failed(relevo(command, **{name: value})).removeprefix("no answer: ").startswith(name)


# ---------------------------------------------------------------- healthcheck


def test_a_relevo_that_answers_is_healthy(tokened: Served) -> None:
    by_setting = relevo("healthcheck", RELEVO_URL=tokened.url)
    by_option = relevo("healthcheck", "--url", f"{tokened.url}/-/healthy")

    assert (by_setting.exit_code, by_option.exit_code) == (0, 0)
    assert by_setting.output == ""


def test_one_that_answers_an_error_is_not() -> None:
    with answering(503, b"") as url:
        assert failed(relevo("healthcheck", RELEVO_URL=url)) == "answered 503"


def test_one_that_does_not_answer_is_not() -> None:
    with bound() as port:
        said = failed(relevo("healthcheck", RELEVO_URL=f"http://127.0.0.1:{port}"))

    assert said.startswith("no answer: ")


@pytest.mark.parametrize("url", ["nonsense", "http://[", "http://127.0.0.1:99999/", "ftp://x/"])
def test_an_address_that_is_none_is_said_to_be_so(url: str) -> None:
    assert failed(relevo("healthcheck", "--url", url)).startswith("no answer: ")


# ---------------------------------------------------------------- real processes


def refused(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def test_a_process_checks(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("pull: 30s\n", encoding="utf-8")
    good = process("check", str(file))
    file.write_text("pull: 30\n", encoding="utf-8")
    bad = process("check", str(file))

    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith(f"{file}: ok, defaults and 0 policies\n")
    assert refused(bad).startswith(f"relevo: {file}:1:1: pull: 30 is not a duration")


def test_a_process_is_used_wrongly() -> None:
    result = process("check", "a", "b")

    assert (result.returncode, result.stdout) == (2, "")


@pytest.mark.parametrize(
    ("command", "environment", "said"),
    [
        pytest.param(
            "serve",
            {"RELEVO_LISTEN": "0.0.0.0:0"},
            "relevo: RELEVO_LISTEN=0.0.0.0:0 can be reached from other machines",
            id="open-to-the-world-without-tokens",
        ),
        pytest.param(
            "serve",
            {"RELEVO_POLICIES": "/nowhere/p.yaml"},
            "relevo: /nowhere/p.yaml: cannot be read: No such file",
            id="no-policy-file",
        ),
        pytest.param(
            "serve",
            {"DOCKER_HOST": "nonsense"},
            "relevo: DOCKER_HOST: 'nonsense' must start with unix:// or tcp://",
            id="no-engines-address",
        ),
        pytest.param(
            "collect",
            {"RELEVO_COLLECT_LISTEN": "5001"},
            "relevo: RELEVO_COLLECT_LISTEN: '5001' must be host:port",
            id="no-address-for-the-collector",
        ),
    ],
)
def test_a_process_that_is_told_wrong_does_not_begin(
    command: str, environment: dict[str, str], said: str
) -> None:
    assert refused(process(command, **environment)).startswith(said)


def test_a_controller_does_not_begin_with_a_broken_policy_file(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("defaults:\n  mode: dry\n", encoding="utf-8")

    said = refused(process("serve", RELEVO_POLICIES=str(file), RELEVO_LISTEN="127.0.0.1:0"))

    assert said.startswith(f"relevo: {file}:2:3: defaults.mode: ")


@pytest.mark.parametrize(
    ("command", "setting"), [("serve", "RELEVO_LISTEN"), ("collect", "RELEVO_COLLECT_LISTEN")]
)
def test_a_port_that_is_taken_is_said_in_a_line(tmp_path: Path, command: str, setting: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        result = process(
            command,
            **{setting: f"127.0.0.1:{port}"},
            RELEVO_REDIS_URL="redis://127.0.0.1:1",
            DOCKER_HOST=f"unix://{tmp_path}/no.sock",
        )

    last = refused(result).splitlines()[-1]
    assert last.startswith("relevo: ")
    assert str(port) in last
    assert "in use" in last
