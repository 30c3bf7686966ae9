"""
``python -m tests.supply.audit``: whether a flaw is known in what the image holds, by pip-audit.

It asks a service that not everybody reaches. 0: nothing is known; 1: something is, and is named;
3: nobody could be asked, which says nothing about the packages.

pip-audit is installed into an environment of its own, as no part of the project needs it.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.supply.parts import LOCK

CLEAN, FOUND, UNREACHED = 0, 1, 3
_WITHIN_S: Final = 300.0


def meaning(code: int, said: str) -> int:
    """Tell what pip-audit's end means; it ends with 1 for flaws and for troubles of its own."""
    if code == 0:
        return CLEAN
    return FOUND if code == 1 and '"vulns": [{' in said else UNREACHED


def _asked(folder: Path) -> tuple[int, str, str]:
    pip = [sys.executable, "-m", "venv", str(folder / "venv")]
    python = folder / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "pip-audit"]
    for command in (pip, install):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_WITHIN_S, check=False
        )
        if done.returncode != 0:
            return done.returncode, "", done.stderr
    audit = [str(python), "-m", "pip_audit", "--requirement", str(LOCK), "--no-deps"]
    options = ["--disable-pip", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(
        [*audit, *options], capture_output=True, text=True, timeout=_WITHIN_S, check=False
    )
    return done.returncode, done.stdout, done.stderr


def main() -> None:
    """The command."""
    with tempfile.TemporaryDirectory(prefix="relevo-audit-") as folder:
        try:
            code, said, trouble = _asked(Path(folder))
        except (OSError, subprocess.TimeoutExpired) as exc:
            code, said, trouble = UNREACHED, "", str(exc)
    found = meaning(code, said)
    if found == CLEAN:
        sys.stdout.write("no known flaw in requirements.lock\n")
    elif found == FOUND:
        for one in json.loads(said)["dependencies"]:
            for flaw in one.get("vulns", ()):
                fixed = ", ".join(flaw.get("fix_versions", ())) or "nothing yet"
                sys.stdout.write(
                    f"{one['name']} {one['version']}: {flaw['id']}, fixed in {fixed}\n"
                )
    else:
        last = (trouble.strip().splitlines() or ["no word"])[-1]
        sys.stderr.write(f"nobody could be asked about known flaws from here: {last[:300]}\n")
        sys.stderr.write("This says nothing about the packages. Run it where the index answers.\n")
    sys.exit(found)


if __name__ == "__main__":
    main()
