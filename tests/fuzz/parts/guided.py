"""
Parser, resolver and policy loader under atheris, which keeps what reaches new code.

Each target is a process of its own: libFuzzer ends it at the first fault. Its runs are as many as
were asked for, its seed is the run's; what it finds is a file, whose content is told.
"""

import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.fuzz.parts import Missing, bodies, names, policies
from tests.fuzz.tally import Tally

#: Target -> its share of the cases: a policy file costs a hundred times what labels do.
_SHARES: Final[Mapping[str, float]] = {"parser": 0.498, "resolver": 0.498, "policy": 0.004}
_DONE: Final = re.compile(r"Done (\d+) (?:runs )?in|^#(\d+)\s+DONE", re.MULTILINE)
#: Seconds for one case; libFuzzer's own word for a hang.
_HANGS_S: Final = 20
_WITHIN_S: Final = 3600.0


def fuzz(tally: Tally, cases: int) -> None:
    """Run each target."""
    if find_spec("atheris") is None:
        raise Missing("atheris, which has wheels for Python 3.11 on Linux x86-64")
    for number, (target, share) in enumerate(_SHARES.items()):
        _guided(tally, number, target, max(1, int(cases * share)))


def _guided(tally: Tally, number: int, target: str, runs: int) -> None:
    with TemporaryDirectory(prefix="relevo-fuzz-") as folder:
        found, corpus = Path(folder) / "found", Path(folder) / "corpus"
        found.mkdir()
        corpus.mkdir()
        for place, raw in enumerate(_seeds(tally, target)):
            (corpus / str(place)).write_bytes(raw)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.guided", target, f"-runs={runs}"),
                *(f"-seed={tally.seed}", f"-timeout={_HANGS_S}", f"-artifact_prefix={found}/"),
                *("-max_len=4096", "-rss_limit_mb=2048", str(corpus)),
            ],
            capture_output=True,
            timeout=_WITHIN_S,
            check=False,
        )
        said = done.stderr.decode("utf-8", "replace")
        counted = [int(a or b) for a, b in _DONE.findall(said)]
        tally.cases += max(counted, default=0)
        tally.outcomes[f"{target}: inputs that reached new code"] += len(list(corpus.iterdir()))
        for broken in found.iterdir():
            raised = re.search(r"=== Uncaught Python exception: ===\n(.*)", said)
            what = raised[1] if raised else broken.name.partition("-")[0]
            tally.find(number, f"{target}: {what}", broken.read_bytes())
        if done.returncode != 0 and not any(found.iterdir()):
            last = " ".join(said.strip().splitlines()[-2:])
            tally.find(number, f"{target}: ended with {done.returncode}", last)


def _seeds(tally: Tally, target: str) -> list[bytes]:
    """What the fuzzer begins with: what the other parts send."""
    chances = [tally.chance(number) for number in range(30)]
    if target == "parser":
        return [bodies.body_of(one) for one in chances]
    if target == "policy":
        return [policies.file_of(one).encode("utf-8", "replace")[:4096] for one in chances]
    return [names.name_of(one).encode("utf-8", "replace") for one in chances]
