"""
What lies in a container's writable layer that a clone would lack.

A clone starts from the image, so what the source wrote beside its volumes is not in it.
The rule, made to let ordinary containers pass:

* A path that only *leads* to a change (a folder with changes below it) says nothing.
* Mount points, and what runs through them, are not the layer's.
* Deleted files are no data. A file of the *image* that was modified is its own start-up at
  work (a template filled in, an owner changed), which the clone repeats; unless its name is
  a database's.
* A *new* file is data, unless it lies where programs keep what they can make again: scratch
  places (``/tmp``, ``/run``, ``/var/cache``, ``/var/log`` …), folders called cache, log, tmp,
  ``__pycache__`` …, pid, lock, socket and log files, dot folders of a home, programs
  (``/usr/lib`` …) and configuration (``/etc``) that a start-up installs.
* In a container of Compose 2, ``configs`` and ``secrets`` that come from no file of the host
  are copied into the layer between create and start, and a clone would start without them:
  new files in ``/run/secrets`` or directly in ``/`` (its default places) and any regular file
  without a write bit (its default mode is 0444).
"""

from collections.abc import Iterator

from app.domain.fidelity import FidelityItem, RefusalReason
from app.policies.clone_source import (
    ChangeKind,
    CloneSource,
    LayerChange,
    refused,
)

#: How many paths a refusal names.
_NAMED = 5
#: How many files are looked at for their mode; Compose copies its files first, but the engine
#: lists by path, so it must be generous. One look took 4 ms on engine 20.10.
MAX_LOOKS = 64

_FIELD = "Layer"

# The lists are compared with paths of a container, nothing is written there.
#: The engine's own, and places that are emptied or made again by definition.
_SCRATCH = (
    *("/dev", "/proc", "/run", "/sys", "/tmp", "/.dockerenv"),  # noqa: S108
    *("/var/cache", "/var/lock", "/var/log", "/var/run", "/var/tmp"),  # noqa: S108
)
#: Programs and configuration, installed or filled in by a start-up.
_INSTALLED = (
    *("/bin", "/etc", "/lib", "/lib64", "/sbin"),
    *("/usr/bin", "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/sbin"),
    *("/usr/local/bin", "/usr/local/lib", "/usr/local/sbin"),
    *("/var/lib/apt", "/var/lib/dpkg", "/var/lib/rpm"),
)
_HOMES = ("/home", "/root")
_SCRATCH_FOLDERS = frozenset(
    {"__pycache__", ".cache", ".npm", ".pytest_cache", ".venv", "cache", "caches", "dist-packages",
     "lock", "log", "logs", "node_modules", "run", "site-packages", "temp", "tmp"}
)  # fmt: skip
_SCRATCH_ENDINGS = (".lock", ".log", ".pid", ".pyc", ".pyo", ".sock", ".swp", ".tmp", "~")
_HISTORY = (".ash_history", ".bash_history", ".python_history", ".viminfo", ".wget-hsts")
#: Made 0444 by whatever starts first.
_READ_ONLY_BY_NATURE = frozenset({"/etc/machine-id"})
#: Bits of Go's os.FileMode: folder, link, pipe, socket, device … (a regular file has none).
_SPECIAL = 0xFFFFFFFF & ~0o777 & ~(1 << 23 | 1 << 22 | 1 << 20)  # setuid, setgid, sticky aside
_WRITABLE = 0o222
_DATABASE_ENDINGS = (".db", ".mdb", ".rdb", ".sqlite", ".sqlite3")


def refuse_layer(
    source: CloneSource, *, stateless_label: str, is_stateless: bool
) -> Iterator[FidelityItem]:
    """Refuse a container whose writable layer holds what a clone would miss."""
    leaves = list(_leaves(source))
    copied = [one.path for one in leaves if _is_copied_by_compose(source, one)]
    if copied:
        why = (
            f"{_named(copied)}: Compose copies configs and secrets into the container, and a clone "
            "would lack them: give them as files (configs.*.file, secrets.*.file)"
        )
        yield refused(_FIELD, RefusalReason.COMPOSE_CONFIGS, why)
    held = [one.path for one in leaves if one.path not in copied and _is_data(one)]
    if held and not is_stateless:
        why = (
            f"{_named(held)}: written into the container itself, and a clone would start without: "
            f"use a volume or tmpfs, or label it {stateless_label}=true where that is right"
        )
        yield refused(_FIELD, RefusalReason.DATA_IN_LAYER, why)


def to_look_at(source: CloneSource) -> tuple[str, ...]:
    """Return the paths whose file mode would tell whether Compose copied them; at most 64."""
    if not source.may_hold_compose_files:
        return ()
    paths = (
        one.path
        for one in _leaves(source)
        if one.kind is not ChangeKind.DELETED and not _is_scratch(one.path)
    )
    return tuple(paths)[:MAX_LOOKS]


def _leaves(source: CloneSource) -> Iterator[LayerChange]:
    parents = {parent for one in source.changes for parent in _parents(one.path)}
    mounted = set(_mount_points(source))
    above = {parent for path in mounted for parent in _parents(path)}
    workdir = str(source.config.get("WorkingDir") or "/")
    # The engine makes a missing working directory itself.
    above.update((workdir, *_parents(workdir)))
    for one in source.changes:
        if one.path not in parents and one.path not in above and not _is_below(one.path, mounted):
            yield one


def _mount_points(source: CloneSource) -> Iterator[str]:
    for mount in source.container.get("Mounts") or ():
        yield str(mount["Destination"])
    yield from source.host_config.get("Tmpfs") or ()
    if source.host_config.get("Init") is not False:
        yield "/sbin/docker-init"


def _is_copied_by_compose(source: CloneSource, one: LayerChange) -> bool:
    if not source.may_hold_compose_files or one.kind is ChangeKind.DELETED:
        return False
    if one.kind is ChangeKind.ADDED and one.path.startswith("/run/secrets/"):
        return True
    if _is_scratch(one.path) or one.path in _READ_ONLY_BY_NATURE:
        return False
    if one.mode is not None:
        return one.mode & (_SPECIAL | _WRITABLE) == 0
    return one.kind is ChangeKind.ADDED and one.path.count("/") == 1 and not _is_again(one.path)


def _is_data(one: LayerChange) -> bool:
    match one.kind:
        case ChangeKind.DELETED:
            return False
        case ChangeKind.MODIFIED:
            return one.path.endswith(_DATABASE_ENDINGS) and not _is_again(one.path)
        case ChangeKind.ADDED:
            return not _is_again(one.path)


def _is_again(path: str) -> bool:
    """Whether a path is something that the program makes again by itself."""
    return _is_scratch(path) or _is_below(path, _INSTALLED)


def _is_scratch(path: str) -> bool:
    if _is_below(path, _SCRATCH):
        return True
    parts = path.strip("/").split("/")
    if parts[-1] in _HISTORY or parts[-1].lower().endswith(_SCRATCH_ENDINGS):
        return True
    if not _SCRATCH_FOLDERS.isdisjoint(parts):
        return True
    return _is_below(path, _HOMES) and any(part.startswith(".") for part in parts)


def _is_below(path: str, places: tuple[str, ...] | set[str]) -> bool:
    return path in places or any(parent in places for parent in _parents(path))


def _parents(path: str) -> Iterator[str]:
    while (path := path.rpartition("/")[0]) != "":
        yield path


def _named(paths: list[str]) -> str:
    more = len(paths) - _NAMED
    return ", ".join(paths[:_NAMED]) + (f" and {more} more" if more > 0 else "")
