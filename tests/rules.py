"""
Rules of the house that no linter knows; run by ``make check`` as ``python -m tests.rules``.

Each rule says what it forbids and why; a finding names file and line.
"""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: A module that is longer hides a second reason to exist.
LONGEST_MODULE = 300


_SLEEP = re.compile(r"\btime\.sleep\([1-9]|asyncio\.sleep\([1-9]")


def vendored_files_are_what_they_say() -> Iterator[str]:
    """Each vendored file is listed with its version, and is what was listed."""
    listing = ROOT / "app/web/static/vendor/vendor.json"
    for name, entry in json.loads(listing.read_text(encoding="utf-8")).items():
        found = {path.name for path in (listing.parent / name).iterdir()}
        for unlisted in found ^ set(entry["files"]):
            yield f"vendored {name}/{unlisted}: is not as vendor.json lists it"
        for file, digest in entry["files"].items():
            path = listing.parent / name / file
            if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                yield f"{path.relative_to(ROOT)}: has changed since it was vendored"


def tracked(*patterns: str) -> list[Path]:
    """The files that git tracks or would track; without git (an unpacked archive), all."""
    try:
        names = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        # Folders with a dot are environments and caches: other people's files.
        found = {path for pattern in patterns for path in ROOT.glob(f"**/{pattern}")}
        return sorted(
            path
            for path in found
            if path.is_file() and not any(p[0] == "." for p in path.relative_to(ROOT).parts[:-1])
        )
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (place, text) of each line of a text file."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    for number, line in enumerate(text.splitlines(), start=1):
        yield f"{path.relative_to(ROOT)}:{number}", line


def no_registry_addresses() -> Iterator[str]:
    """Requirements name packages and hashes; where they come from is each machine's own affair."""
    for path in tracked("*.lock", "requirements*", "pyproject.toml", "*.toml", "*.cfg"):
        for place, line in lines(path):
            if re.search(r"https?://|file:|--(extra-)?index-url|--find-links", line):
                yield f"{place}: an address in a requirements file"


def locks_have_hashes() -> Iterator[str]:
    """Every pinned requirement has a hash."""
    for path in tracked("*.lock"):
        text = path.read_text(encoding="utf-8")
        for entry in re.split(r"\n(?=[a-z0-9])", text.strip()):
            if "--hash=sha256:" not in entry:
                yield f"{path.name}: {entry.splitlines()[0]} has no hash"


def modules_stay_short() -> Iterator[str]:
    """A long module hides a second one."""
    for path in tracked("app/*.py", "app/**/*.py"):
        count = len(path.read_text(encoding="utf-8").splitlines())
        if count > LONGEST_MODULE:
            yield f"{path.relative_to(ROOT)}: {count} lines, more than {LONGEST_MODULE}"


def scripts_say_what_they_take() -> Iterator[str]:
    """Each Lua script has a header that lists its input and output."""
    for path in tracked("app/**/*.lua"):
        head = path.read_text(encoding="utf-8").partition("]]")[0]
        if "not a script of its own" in head:
            continue
        for word in ("KEYS", "ARGV", "Output"):
            if word not in head:
                yield f"{path.relative_to(ROOT)}: its header does not name {word}"


def no_fixed_sleeps() -> Iterator[str]:
    """A test waits for what it is about, or in virtual time."""
    for path in tracked("tests/*.py", "tests/**/*.py"):
        for place, line in lines(path):
            if _SLEEP.search(line):
                yield f"{place}: a fixed sleep"


def no_paths_of_one_machine() -> Iterator[str]:
    """Nothing in the repository knows where it was written."""
    homes = [str(ROOT), str(Path.home())]
    for path in tracked("*"):
        for place, line in lines(path):
            if any(len(home) > 5 and home in line for home in homes):
                yield f"{place}: a path of this machine"


RULES = (
    no_registry_addresses,
    locks_have_hashes,
    modules_stay_short,
    scripts_say_what_they_take,
    no_fixed_sleeps,
    no_paths_of_one_machine,
    vendored_files_are_what_they_say,
)


def findings() -> list[str]:
    """Everything that breaks a rule."""
    return [finding for rule in RULES for finding in rule()]


if __name__ == "__main__":
    found = findings()
    print("\n".join(found) or f"{len(RULES)} rules kept")
    sys.exit(1 if found else 0)
