"""A Prometheus or Alertmanager that runs on this machine: which process it is (Linux only)."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

#: Where each listens unless told otherwise.
_PORTS: Final = {"prometheus": ":9090", "alertmanager": ":9093"}
#: As the kernel writes that state.
_LISTEN: Final = "0A"


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A process of somebody else's on this machine."""

    pid: int
    #: Its file, where it can be opened from here; a process in a container sees other files.
    config_file: Path | None
    uid: int
    gid: int
    #: Whether ``127.0.0.1`` is the same place for it as for us.
    shares_network: bool
    #: Whether the kernel says that it is the one that answers. Anybody may have a network of his
    #: own, be called so and listen there: he is given nothing.
    is_proven: bool = True

    def reload(self) -> None:
        """Have it load its configuration. :raises OSError: it is not ours to signal, or gone"""
        os.kill(self.pid, signal.SIGHUP)


def find_listening(program: str, port: int, *, proc: Path = Path("/proc")) -> Neighbour | None:
    """
    Find the one process of a program that was told to listen on a port.

    None for none, or several, or one whose port is mapped: better none than somebody else's. What
    a process is called, and was told, anybody may make up: of those in our network, only the one
    that holds the socket is taken; one in another network is proven where Docker's own proxy hands
    that port to it.

    :param program: what its name ends with: ``prometheus`` or ``alertmanager``
    """
    found = [one for entry in _entries(proc) if (one := _neighbour(entry, program, port, proc))]
    return found[0] if len(found) == 1 else None


def _entries(proc: Path) -> list[Path]:
    try:
        return [one for one in proc.iterdir() if one.name.isdecimal()]
    except OSError:
        return []


def _neighbour(entry: Path, program: str, port: int, proc: Path) -> Neighbour | None:
    words = _words(entry)
    if not words or not Path(words[0]).name.endswith(program):
        return None
    listens = _flag(words, "web.listen-address", _PORTS.get(program, ""))
    if listens.rpartition(":")[2] != str(port):
        return None
    try:
        about = entry.stat()
        network = (entry / "ns" / "net").readlink()
        shares_network = network == (proc / "self/ns/net").readlink()
        if shares_network and not _holds(entry, port):
            return None
        # In a network of its own it is not the one that answers us, whatever files it sees.
        sees_our_files = shares_network and all(
            (entry / one).readlink() == (proc / "self" / one).readlink()
            for one in ("ns/mnt", "root")
        )
        config = (entry / "cwd").readlink() / _flag(words, "config.file", f"{program}.yml")
        return Neighbour(
            pid=int(entry.name),
            config_file=config if sees_our_files and config.is_file() else None,
            uid=about.st_uid,
            gid=about.st_gid,
            shares_network=shares_network,
            is_proven=shares_network or _is_published(entry, port, proc),
        )
    except OSError:
        return None  # it has just ended, or is somebody else's


def _is_published(entry: Path, port: int, proc: Path) -> bool:
    """Tell whether root's docker-proxy, which holds the port here, hands it to that process."""
    # Without rights nobody gets a network of his own but within users of his own; there he gives
    # himself any address.
    try:
        users = (entry / "ns/user").readlink()
        if users != (proc / "self/ns/user").readlink() or not _holds(entry, port):
            return False
        own = _addresses(entry)
    except OSError:
        return False
    for other in _entries(proc):
        words = _words(other)
        if not words or Path(words[0]).name != "docker-proxy":
            continue
        with suppress(OSError):  # it has ended, or is somebody else's
            if (
                _users(other) == {"0"}
                and (other / "ns/net").readlink() == (proc / "self/ns/net").readlink()
                and _holds(other, port)
                and _flag(words, "container-port", "") == str(port)
                and _flag(words, "container-ip", "") in own
            ):
                return True
    return False


def _users(entry: Path) -> set[str]:
    """Tell whom a process is; the owner of its entry may be root's for another reason."""
    lines = (entry / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    return {user for line in lines if line.startswith("Uid:") for user in line.split()[1:]}


def _addresses(entry: Path) -> set[str]:
    """Tell the addresses (IPv4) of the network that a process is in. :raises OSError:"""
    lines = (entry / "net/fib_trie").read_text(encoding="ascii").splitlines()
    return {
        line.rpartition(" ")[2]
        for line, below in pairwise(lines)
        if below.split() == ["/32", "host", "LOCAL"]
    }


def _holds(entry: Path, port: int) -> bool:
    """Tell whether a process has the socket that listens on a port. :raises OSError:"""
    listening = set()
    for table in ("net/tcp", "net/tcp6"):
        with suppress(FileNotFoundError):  # a kernel without IPv6
            for line in (entry / table).read_text(encoding="ascii").splitlines()[1:]:
                # Address, peer, state, queues, timer, retransmissions, user, timeout, inode.
                words = line.split()
                if words[3] == _LISTEN and int(words[1].rpartition(":")[2], 16) == port:
                    listening.add(f"socket:[{words[9]}]")
    for one in (entry / "fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            if str(one.readlink()) in listening:
                return True
    return False


def _words(entry: Path) -> list[str]:
    try:
        return (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")[:-1]
    except OSError:
        return []


def _flag(words: list[str], name: str, default: str) -> str:
    for number, word in enumerate(words[1:], start=1):
        bare = word.lstrip("-")
        if bare.startswith(f"{name}="):
            return bare.partition("=")[2]
        if bare == name and number + 1 < len(words):
            return words[number + 1]
    return default
