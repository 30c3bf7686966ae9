"""Settings: the environment, secrets in files, and what must never be open to the world."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadConfiguration
from app.policies.spec import Mode
from app.settings import Address, Settings, load_settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the developer's own settings."""
    for name in os.environ:
        if name.upper().startswith(("RELEVO_", "DOCKER_")):
            monkeypatch.delenv(name)


def told(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def refused(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    with pytest.raises(BadConfiguration) as caught:
        told(monkeypatch, **environment)
    return str(caught.value)


def test_without_an_environment_the_documented_defaults_hold() -> None:
    settings = load_settings()

    assert (settings.listen, settings.collect_listen) == ("127.0.0.1:5000", "127.0.0.1:5001")
    assert (settings.url, settings.label_prefix) == ("http://127.0.0.1:5000", "relevo")
    assert (settings.mode, settings.alertmanager_receiver) == (Mode.ENFORCE, "relevo")
    assert (settings.redis_url, settings.policies, settings.engine_name) == (None, None, None)
    assert settings.data_dir == Path("data")
    assert settings.docker_host == "unix:///var/run/docker.sock"
    assert not settings.has_tokens


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("RELEVO_LISTEN", "127.0.0.1:8080", "listen", "127.0.0.1:8080"),
        ("RELEVO_COLLECT_LISTEN", "0.0.0.0:5001", "collect_listen", "0.0.0.0:5001"),
        ("RELEVO_URL", "https://relevo/", "url", "https://relevo"),
        ("RELEVO_EXTERNAL_URL", "https://x/relevo//", "external_url", "https://x/relevo"),
        ("RELEVO_LABEL_PREFIX", "heal.", "label_prefix", "heal"),
        ("RELEVO_ENGINE_NAME", "host-1", "engine_name", "host-1"),
        ("RELEVO_DATA_DIR", "/var/lib/relevo", "data_dir", Path("/var/lib/relevo")),
        ("RELEVO_POLICIES", "p.yaml", "policies", Path("p.yaml")),
        ("RELEVO_MODE", "observe", "mode", Mode.OBSERVE),
        ("RELEVO_ALERTMANAGER_RECEIVER", "heal", "alertmanager_receiver", "heal"),
        ("RELEVO_PROMETHEUS_URL", "http://[::1]:9090/", "prometheus_url", "http://[::1]:9090"),
        ("RELEVO_TIME_FACTOR", "20", "time_factor", 20.0),
        ("RELEVO_LOG_FORMAT", "json", "log_format", "json"),
        ("DOCKER_HOST", "tcp://gate:2375", "docker_host", "tcp://gate:2375"),
        ("relevo_mode", "observe", "mode", Mode.OBSERVE),
        ("RELEVO_MODE", "", "mode", Mode.ENFORCE),
        ("RELEVO_UNHEARD_OF", "x", "mode", Mode.ENFORCE),
        ("MODE", "observe", "mode", Mode.ENFORCE),
    ],
)
def test_a_setting_is_read(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str, expected: object
) -> None:
    assert getattr(told(monkeypatch, **{name: value}), field) == expected


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RELEVO_LISTEN", "5000", "RELEVO_LISTEN: '5000' must be host:port"),
        ("RELEVO_LISTEN", ":5000", "RELEVO_LISTEN: ':5000' must be host:port"),
        ("RELEVO_LISTEN", "127.0.0.1:", "RELEVO_LISTEN: '127.0.0.1:' must be host:port"),
        ("RELEVO_LISTEN", "127.0.0.1:http", "RELEVO_LISTEN: '127.0.0.1:http' must be host:port"),
        ("RELEVO_LISTEN", "127.0.0.1:65536", "RELEVO_LISTEN: '127.0.0.1:65536' must be host:port"),
        ("RELEVO_LISTEN", "127.0.0.1:-1", "RELEVO_LISTEN: '127.0.0.1:-1' must be host:port"),
        ("RELEVO_URL", "localhost:5000", "RELEVO_URL: 'localhost:5000' must start with http://"),
        ("RELEVO_URL", "http://", "RELEVO_URL: 'http://' must name a host"),
        ("RELEVO_URL", "http://[", "RELEVO_URL: 'http://[' must name a host"),
        ("RELEVO_URL", "http://x:65536", "RELEVO_URL: 'http://x:65536' must name a host"),
        ("RELEVO_URL", "http://x:0", "RELEVO_URL: 'http://x:0' must name a host"),
        ("RELEVO_GRAFANA_URL", "ftp://x", "RELEVO_GRAFANA_URL: 'ftp://x' must start with"),
        (
            "RELEVO_ALERTMANAGER_URL",
            "http://a:9093,b:9093",
            "RELEVO_ALERTMANAGER_URL: 'b:9093' must start with http://",
        ),
        ("RELEVO_MODE", "dry", "RELEVO_MODE: must be 'enforce' or 'observe'"),
        ("RELEVO_ENGINE_NAME", "a:b", "RELEVO_ENGINE_NAME: 'a:b' may hold letters"),
        ("RELEVO_LABEL_PREFIX", "a b", "RELEVO_LABEL_PREFIX: may hold letters"),
        ("RELEVO_TIME_FACTOR", "0.5", "RELEVO_TIME_FACTOR: "),
        ("RELEVO_LOG_FORMAT", "xml", "RELEVO_LOG_FORMAT: "),
        ("RELEVO_TOKEN_READ", "two words", "RELEVO_TOKEN_READ: a token holds visible ASCII"),
        ("RELEVO_TOKEN", "two words", "RELEVO_TOKEN: a token holds visible ASCII"),
        ("RELEVO_TOKEN", "tök", "RELEVO_TOKEN: a token holds visible ASCII"),
        ("RELEVO_GRAFANA_TOKEN", "a\nb", "RELEVO_GRAFANA_TOKEN: a token holds visible ASCII"),
        ("DOCKER_HOST", "/var/run/docker.sock", "DOCKER_HOST: '/var/run/docker.sock' must start"),
        ("DOCKER_HOST", "ssh://host", "DOCKER_HOST: 'ssh://host' must start with unix://"),
    ],
)
def test_a_wrong_setting_is_named_as_people_set_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    assert refused(monkeypatch, **{name: value}).startswith(said)


def test_every_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = refused(monkeypatch, RELEVO_LISTEN="x", RELEVO_MODE="y", RELEVO_URL="z").splitlines()

    assert {line.partition(":")[0] for line in lines} == {
        "RELEVO_LISTEN",
        "RELEVO_MODE",
        "RELEVO_URL",
    }


# ---------------------------------------------------------------- secrets


def secrets(value: tuple[Any, ...]) -> list[str]:
    return [one.get_secret_value() for one in value]


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        pytest.param("one", ["one"], id="one"),
        pytest.param("one\n", ["one"], id="a-line-end-is-no-part-of-it"),
        pytest.param("new\nold\n", ["new", "old"], id="two-while-they-are-rotated"),
        pytest.param("\n new \r\n\nold\n", ["new", "old"], id="blanks-and-empty-lines"),
    ],
)
def test_tokens_come_one_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, held: str, expected: list[str]
) -> None:
    file = tmp_path / "token"
    file.write_text(held, encoding="utf-8", newline="")

    from_file = told(monkeypatch, RELEVO_TOKEN_OPERATE_FILE=str(file))
    monkeypatch.delenv("RELEVO_TOKEN_OPERATE_FILE")
    from_environment = told(monkeypatch, RELEVO_TOKEN_OPERATE=held)

    assert secrets(from_file.token_operate) == secrets(from_environment.token_operate) == expected
    assert from_file.has_tokens


def test_the_command_line_sends_the_first_of_several(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It may be given the server's own file, which holds two while they are rotated."""
    file = tmp_path / "token"
    file.write_text("new\nold\n", encoding="utf-8")

    token = told(monkeypatch, RELEVO_TOKEN_FILE=str(file)).token

    assert token is not None
    assert token.get_secret_value() == "new"


def test_a_file_wins_over_the_environment_and_an_argument_over_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "url"
    file.write_text("redis://file\n", encoding="utf-8")
    monkeypatch.setenv("RELEVO_REDIS_URL", "redis://environment")
    monkeypatch.setenv("RELEVO_REDIS_URL_FILE", str(file))

    settings = load_settings()
    given = load_settings(redis_url="redis://argument")

    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://file"
    assert given.redis_url is not None
    assert given.redis_url.get_secret_value() == "redis://argument"


@pytest.mark.parametrize(
    ("held", "said"),
    [
        pytest.param(None, "cannot read", id="no-such-file"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b" \n\n", "is empty", id="blanks-only"),
        pytest.param(b"\xff\xfe", "cannot read", id="not-text"),
    ],
)
def test_a_secret_that_cannot_be_had_is_no_missing_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, held: bytes | None, said: str
) -> None:
    file = tmp_path / "token"
    if held is not None:
        file.write_bytes(held)

    message = refused(monkeypatch, RELEVO_TOKEN_READ_FILE=str(file))

    assert message.startswith("RELEVO_TOKEN_READ_FILE: ")
    assert said in message


def test_an_empty_name_of_a_file_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not told(monkeypatch, RELEVO_TOKEN_READ_FILE="").has_tokens


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = told(
        monkeypatch,
        RELEVO_TOKEN_READ="hush",
        RELEVO_TOKEN="hush",
        RELEVO_REDIS_URL="redis://:hush@x",
        RELEVO_GRAFANA_TOKEN="hush",
    )

    assert "hush" not in repr(settings)
    assert "hush" not in refused(monkeypatch, RELEVO_TOKEN_ADMIN="hush hush")


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("address", "host", "port", "is_loopback"),
    [
        ("127.0.0.1:5000", "127.0.0.1", 5000, True),
        ("127.1.2.3:1", "127.1.2.3", 1, True),
        ("localhost:5000", "localhost", 5000, True),
        ("[::1]:5000", "::1", 5000, True),
        ("::1:5000", "::1", 5000, True),
        ("0.0.0.0:5000", "0.0.0.0", 5000, False),
        ("[::]:5000", "::", 5000, False),
        ("192.168.1.2:65535", "192.168.1.2", 65535, False),
        ("localhost.example.org:5000", "localhost.example.org", 5000, False),
        ("127.0.0.1.example.org:5000", "127.0.0.1.example.org", 5000, False),
        ("host:0", "host", 0, False),
    ],
)
def test_an_address_knows_who_can_reach_it(
    address: str, host: str, port: int, is_loopback: bool
) -> None:
    one = Address(address)

    assert (one.host, one.port, one.is_loopback) == (host, port, is_loopback)


@pytest.mark.parametrize("token", ["INGEST", "READ", "OPERATE", "ADMIN"])
def test_with_a_token_the_world_may_knock(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    settings = told(
        monkeypatch, RELEVO_LISTEN="0.0.0.0:5000", **{f"RELEVO_TOKEN_{token}": "secret"}
    )

    assert not settings.listen.is_loopback


@pytest.mark.parametrize("listen", ["0.0.0.0:5000", "[::]:5000", "relevo.example.org:5000"])
def test_without_tokens_only_this_machine_may(monkeypatch: pytest.MonkeyPatch, listen: str) -> None:
    message = refused(monkeypatch, RELEVO_LISTEN=listen, RELEVO_TOKEN="the-clients-own")

    assert message.startswith(f"RELEVO_LISTEN={listen} can be reached from other machines")
    assert "RELEVO_TOKEN_INGEST_FILE" in message
    assert "127.0.0.1" in message


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("http://a:9093", ("http://a:9093",)),
        ("http://a:9093/, http://b:9093", ("http://a:9093", "http://b:9093")),
        (" , http://a:9093,,", ("http://a:9093",)),
        (",", ()),
    ],
)
def test_several_alertmanagers_are_comma_separated(
    monkeypatch: pytest.MonkeyPatch, written: str, expected: tuple[str, ...]
) -> None:
    assert told(monkeypatch, RELEVO_ALERTMANAGER_URL=written).alertmanager_url == expected


@given(st.text(alphabet=st.characters(exclude_characters="\x00"), max_size=20))
def test_no_address_is_worse_than_refused(address: str) -> None:
    try:
        settings = load_settings(listen=address)
    except BadConfiguration:
        return
    assert settings.listen.is_loopback
    assert 0 <= settings.listen.port <= 65535
