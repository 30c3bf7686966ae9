"""The parts of the image, of the lock file and of what is installed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Final

from packaging.markers import Marker

ROOT: Final = Path(__file__).resolve().parents[2]
LOCK: Final = ROOT / "requirements.lock"
_ENTRY: Final = re.compile(r"^([a-z0-9][a-z0-9.-]*)==(\S+)(?:\s*;\s*(.*?))?\s*\\?$")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_CLASSIFIER: Final = "License :: OSI Approved :: "
#: Trove's words for licences that are in use here, in SPDX's.
_SPDX: Final = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
#: The field ``License`` as some write it, in SPDX's words.
_SAID: Final = {
    "Apache 2.0": "Apache-2.0",
    "Apache 2": "Apache-2.0",
    "Apache-2.0 license": "Apache-2.0",
    "MIT License": "MIT",
    "BSD": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One package of the image."""

    name: str
    version: str
    #: An SPDX expression; "" where the package does not say.
    licence: str
    #: SHA-256 of the files that may be installed as it.
    hashes: tuple[str, ...]
    #: Whether it is installed where the image runs: Linux, the Python of here.
    is_used: bool
    summary: str = ""


def locked(path: Path = LOCK) -> Iterator[Part]:
    """Read a lock file: every package with its version and hashes, licences as installed."""
    for entry in re.split(r"\n(?=[a-z0-9])", path.read_text(encoding="utf-8").strip()):
        found = _ENTRY.match(entry.splitlines()[0])
        if found is None:
            raise ValueError(f"{path.name}: {entry.splitlines()[0]!r} is no pinned package")
        name, version, marker = found.groups()
        told = _metadata(name)
        yield Part(
            name=name,
            version=version,
            licence="" if told is None else licence_of(told),
            hashes=tuple(_HASH.findall(entry)),
            is_used=marker is None or Marker(marker).evaluate(),
            summary="" if told is None else str(told.get("Summary") or ""),
        )


def licence_of(told: Message) -> str:
    """Tell a package's licence by its metadata, the most exact field first."""
    expression = told.get("License-Expression")
    if expression:
        return str(expression)
    said = str(told.get("License") or "").strip()
    if said and "\n" not in said and len(said) < 60:
        return _SAID.get(said, said)
    named = [
        _SPDX.get(one.removeprefix(_CLASSIFIER), one.removeprefix(_CLASSIFIER))
        for one in told.get_all("Classifier") or ()
        if one.startswith(_CLASSIFIER)
    ]
    return " AND ".join(sorted(named))


def _metadata(name: str) -> Message | None:
    try:
        return metadata(name)  # type: ignore[return-value]
    except PackageNotFoundError:
        return None
