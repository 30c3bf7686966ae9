"""The process ``relevo gate``: how it starts, and what keeps it from starting."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli.command import cli
from app.errors import BadConfiguration
from app.gate import open_gate
from app.settings import load_settings
from tests.adapters.engine.fake_daemon import fake_daemon
from tests.gate_lab import a_gate, gate_folder


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the developer's own settings."""
    for name in os.environ:
        if name.upper().startswith(("RELEVO_", "DOCKER_")):
            monkeypatch.delenv(name)


def test_without_an_address_it_says_what_to_set() -> None:
    done = CliRunner().invoke(cli, ["gate"])

    assert done.exit_code == 1
    assert done.output.startswith("relevo: RELEVO_GATE_SOCKET: say where to listen")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("gate_socket", "{home}/none/gate.sock", "RELEVO_GATE_SOCKET: cannot listen on"),
        ("gate_socket", "{home}/file", "RELEVO_GATE_SOCKET: cannot listen on"),
        ("gate_socket", "{home}/" + "x" * 120, "RELEVO_GATE_SOCKET: cannot listen on"),
        ("data_dir", "{home}/file", "RELEVO_DATA_DIR: the gate's journal"),
        ("policies", "{home}/none.yml", "none.yml: cannot be read"),
        ("policies", "{home}/file", "must be a mapping"),
    ],
)
async def test_what_keeps_it_from_starting_is_said_in_a_line(
    tmp_path: Path, name: str, value: str, said: str
) -> None:
    (tmp_path / "file").write_text("1")
    settings = {
        "gate_socket": tmp_path / "gate.sock",
        "data_dir": tmp_path / "data",
        name: value.format(home=tmp_path),
    }

    with pytest.raises(BadConfiguration, match=said):
        async with open_gate(load_settings(**settings)):
            pass

    # A file that is no socket is somebody's.
    assert (tmp_path / "file").read_text() == "1"


async def test_a_socket_of_a_gate_that_was_killed_is_not_in_the_way() -> None:
    async with fake_daemon() as daemon:
        with gate_folder() as folder:
            async with a_gate(daemon.url, folder) as path:
                left = path.rename(folder / "left")
            left.rename(path)
            async with a_gate(daemon.url, folder) as again:
                assert again.is_socket()
            assert not path.exists()
