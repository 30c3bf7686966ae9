"""Which process on this machine is the one that listens on a port, by what the kernel says."""

from pathlib import Path

import pytest

from app.adapters.processes import find_listening


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    _process(tmp_path / "proc", "self", [])
    return tmp_path / "proc"


def _process(proc: Path, pid: str, words: list[str], *, net: str = "1", mnt: str = "1") -> Path:
    entry = proc / pid
    (entry / "ns").mkdir(parents=True)
    (entry / "cmdline").write_bytes("".join(f"{word}\0" for word in words).encode())
    (entry / "ns/net").symlink_to(f"net:[{net}]")
    (entry / "ns/mnt").symlink_to(f"mnt:[{mnt}]")
    home = proc.parent / f"home-{pid}"
    home.mkdir()
    (home / "prometheus.yml").write_text("")
    (entry / "cwd").symlink_to(home)
    return home


@pytest.mark.parametrize(
    ("words", "port"),
    [
        pytest.param(["/usr/bin/prometheus"], 9090, id="all by default"),
        pytest.param(["prometheus", "--web.listen-address=:9095"], 9095, id="a port"),
        pytest.param(["prometheus", "-web.listen-address", "127.0.0.1:9095"], 9095, id="two words"),
        pytest.param(["prometheus", "--config.file=prometheus.yml"], 9090, id="a relative file"),
    ],
)
def test_it_is_found_with_its_file(proc: Path, words: list[str], port: int) -> None:
    home = _process(proc, "7", words)
    _process(proc, "8", ["prometheus-node-exporter", f"--web.listen-address=:{port}"])

    found = find_listening("prometheus", port, proc=proc)

    assert found is not None
    assert (found.pid, found.config_file) == (7, home / "prometheus.yml")
    assert found.shares_network
    assert find_listening("prometheus", port + 1, proc=proc) is None
    assert find_listening("alertmanager", port, proc=proc) is None


def test_of_two_none_is_chosen(proc: Path) -> None:
    _process(proc, "7", ["prometheus"])
    _process(proc, "8", ["prometheus"], net="2")

    assert find_listening("prometheus", 9090, proc=proc) is None


def test_one_in_a_container_has_other_files_and_another_network(proc: Path) -> None:
    _process(proc, "7", ["prometheus"], net="2", mnt="2")

    found = find_listening("prometheus", 9090, proc=proc)

    assert found is not None
    assert found.config_file is None
    assert not found.shares_network


def test_without_such_a_kernel_nobody_is_found(tmp_path: Path) -> None:
    assert find_listening("prometheus", 9090, proc=tmp_path / "nowhere") is None
