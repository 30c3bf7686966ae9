"""Relevo as the image has it: compiled, and with the packages of requirements.lock alone."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from bench.rigs import ROOT

_LOCKED: Final = re.compile(r"^([A-Za-z0-9_.-]+)==", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Shipped:
    """How it is run."""

    python: Sequence[str]
    #: Beside the settings; those of Python's own that would say otherwise are left out.
    environment: Mapping[str, str]

    def over(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Add the settings of a run."""
        kept = {key: value for key, value in settings.items() if not key.startswith("PYTHON")}
        return kept | dict(self.environment)


def shipped(folder: Path) -> Shipped:
    """
    Lead to what is installed here of what the image has, from a folder that is made for it.

    Libraries take up what they find, such as rich: with the development tools beside them they
    are 5 MB larger, and start later, than anywhere else. What is compiled is kept there too: the
    first run is slow.
    """
    packages = folder / "packages"
    packages.mkdir(parents=True)
    for name in _LOCKED.findall((ROOT / "requirements.lock").read_text(encoding="utf-8")):
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another Python, or another system
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(found.locate_file(top))))
    return Shipped(
        # No site-packages: neither the environment's own nor the system's.
        [os.path.realpath(sys.executable), "-S"],
        {
            "PYTHONPATH": f"{ROOT}{os.pathsep}{packages}",
            "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
        },
    )
