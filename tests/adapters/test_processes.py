"""Which process on this machine is the one that listens on a port, by what the kernel says."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.adapters.processes import find_listening
from tests.parts import missing


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    _process(tmp_path / "proc", "self", [])
    return tmp_path / "proc"


_TABLE = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  inode\n"
)


def _process(
    proc: Path,
    pid: str,
    words: list[str],
    *,
    net: str = "1",
    mnt: str = "1",
    root: str = "/",
    listens: int | None = None,
    users: str = "1",
    uid: int = 0,
    addresses: tuple[str, ...] = (),
) -> Path:
    """A process as the kernel tells of it; of the network, each sees the same sockets."""
    entry = proc / pid
    table = proc.parent / f"sockets-{net}"
    if not table.exists():
        table.write_text(_TABLE)
    if listens is not None:
        with table.open("a") as file:
            row = "00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0"
            file.write(f"   0: 0100007F:{listens:04X} {row} 77{pid} 1 0 100 0 0 10 0\n")
    (entry / "net").mkdir(parents=True)
    (entry / "net/tcp").symlink_to(table)
    (entry / "net/fib_trie").write_text(
        "Main:\n  +-- 0.0.0.0/0 3 0 4\n     |-- 172.17.0.0\n        /16 link UNICAST\n"
        + "".join(f"        |-- {one}\n           /32 host LOCAL\n" for one in addresses)
        + "        |-- 172.17.255.255\n           /32 link BROADCAST\n"
    )
    (entry / "status").write_text(f"Name:\tx\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t0\n")
    (entry / "fd").mkdir()
    (entry / "fd/0").symlink_to("/dev/null")
    if listens is not None:
        (entry / "fd/6").symlink_to(f"socket:[77{pid}]")
    (entry / "root").symlink_to(root)
    (entry / "ns").mkdir(parents=True)
    (entry / "cmdline").write_bytes("".join(f"{word}\0" for word in words).encode())
    (entry / "ns/net").symlink_to(f"net:[{net}]")
    (entry / "ns/user").symlink_to(f"user:[{users}]")
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
    home = _process(proc, "7", words, listens=port)
    _process(proc, "8", ["prometheus-node-exporter", f"--web.listen-address=:{port}"])

    found = find_listening("prometheus", port, proc=proc)

    assert found is not None
    assert (found.pid, found.config_file) == (7, home / "prometheus.yml")
    assert found.shares_network
    assert find_listening("prometheus", port + 1, proc=proc) is None
    assert find_listening("alertmanager", port, proc=proc) is None


def test_one_that_only_says_so_is_not_believed(proc: Path) -> None:
    """Any user may start something that is called so, and name any file."""
    _process(proc, "6", ["prometheus", "--config.file=/etc/shadow"])
    _process(proc, "7", ["nginx"], listens=9090)
    assert find_listening("prometheus", 9090, proc=proc) is None

    home = _process(proc, "8", ["prometheus"], listens=9090)
    found = find_listening("prometheus", 9090, proc=proc)
    assert found is not None
    assert (found.pid, found.config_file) == (8, home / "prometheus.yml")


def test_the_files_of_one_with_another_root_are_not_ours(proc: Path) -> None:
    _process(proc, "7", ["prometheus"], listens=9090, root="/srv/jail")

    found = find_listening("prometheus", 9090, proc=proc)

    assert found is not None
    assert found.config_file is None


def test_the_file_of_one_in_another_network_is_not_believed(proc: Path) -> None:
    """Anybody can have a network of his own, and listen there."""
    _process(proc, "7", ["prometheus"], net="2", listens=9090)

    found = find_listening("prometheus", 9090, proc=proc)

    assert found is not None
    assert found.config_file is None


_PROXY = ["/usr/bin/docker-proxy", "-proto", "tcp", "-host-ip", "127.0.0.1", "-host-port", "9090"]
_PROXY += ["-container-ip", "172.17.0.2", "-container-port"]


@pytest.mark.parametrize(
    ("its", "proxy", "port", "proven"),
    [
        pytest.param({}, {}, "9090", True, id="Docker hands the port to it"),
        pytest.param({}, None, "9090", False, id="nobody does"),
        pytest.param({"users": "2"}, {}, "9090", False, id="root of his own making"),
        pytest.param({"addresses": ("172.17.0.3",)}, {}, "9090", False, id="to another one"),
        pytest.param({}, {}, "80", False, id="to another port"),
        pytest.param({"listens": None}, {}, "9090", False, id="it does not listen"),
        pytest.param({}, {"uid": 1000}, "9090", False, id="not root's proxy"),
        pytest.param({}, {"listens": None}, "9090", False, id="a proxy without the port"),
        pytest.param({}, {"net": "2"}, "9090", False, id="a proxy elsewhere"),
    ],
)
def test_one_in_another_network_is_proven_or_gets_nothing(
    proc: Path, its: dict[str, Any], proxy: dict[str, Any] | None, port: str, proven: bool
) -> None:
    """`unshare -Urn`, a name and an option are enough to look like a Prometheus."""
    words = ["prometheus", "--web.listen-address=:9090"]
    there = {"net": "2", "mnt": "2", "listens": 9090, "addresses": ("127.0.0.1", "172.17.0.2")}
    _process(proc, "7", words, **{**there, **its})
    if proxy is not None:
        _process(proc, "8", [*_PROXY, port], **{"listens": 9090, **proxy})

    found = find_listening("prometheus", 9090, proc=proc)

    assert found is not None
    assert (found.shares_network, found.is_proven) == (False, proven)


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_a_real_process_is_found_by_its_socket(tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").touch()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        argv = ["prometheus", "30", f"--web.listen-address=:{port}"]
        # Called so, and told so: the second one has the socket as well.
        words = [sys.executable, "-c", "import sys; sys.stdin.read()", *argv[1:]]
        started = [
            subprocess.Popen(
                ["prometheus", *words[1:]],
                executable=sys.executable,
                stdin=subprocess.PIPE,
                pass_fds=fds,
                cwd=tmp_path,
            )
            for fds in ((), (listening.fileno(),))
        ]
        try:
            found = find_listening("prometheus", port)
            assert found is not None
            assert found.pid == started[1].pid
            assert found.config_file == tmp_path / "prometheus.yml"
            assert found.shares_network
        finally:
            for one in started:
                one.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_a_real_network_of_ones_own_proves_nothing(tmp_path: Path) -> None:
    """All that it takes to look like one, without any rights."""
    unshare = shutil.which("unshare")
    if unshare is None:
        missing("unshare")
    called = tmp_path / "prometheus"
    called.symlink_to(sys.executable)
    program = (
        "import socket, sys; s = socket.socket(); s.bind(('', 39123)); s.listen(); "
        "print('up', flush=True); sys.stdin.read()"
    )
    words = [str(called), "-I", "-c", program, "--web.listen-address=:39123"]
    started = subprocess.Popen(
        [unshare, "-Urn", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdout is not None
        if started.stdout.readline() != "up\n":
            missing("users of one's own", started.communicate()[1].strip())
        found = find_listening("prometheus", 39123)
        assert found is not None
        assert (found.pid, found.shares_network, found.is_proven) == (started.pid, False, False)
    finally:
        started.communicate()


def test_of_two_none_is_chosen(proc: Path) -> None:
    _process(proc, "7", ["prometheus"], listens=9090)
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
