"""Policy files: a rulebook, or faults with their places; in bounded time."""

import json
import re
from pathlib import Path
from random import Random
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from app.adapters.policy_file import parse_rulebook
from app.errors import BadConfiguration
from app.policies.match import policies_for, policy_for
from app.policies.spec import Rulebook
from tests.fuzz import soup
from tests.fuzz.tally import Tally

_SHRUNK: Final = 20
#: ``file:line:column: what``, or that there are more.
_FAULT: Final = re.compile(r"file:\d+:\d+: .+|file: and \d+ faults more", re.DOTALL)
_LONGEST_LINE: Final = 2000
_SHIPPED: Final = Path(__file__).parents[3] / "app" / "policies" / "default.yaml"

WRITTEN: Final = """\
version: 1
pull: 30s
target_labels: [container, name]
enable:
  - {project: shop, service: "web*"}
defaults: &d
  mode: enforce
  strategy: scale_first
  restart: {delays: [1m, 5m, 10m], max_failed: 3, window: 1h, jitter: 10%, stop_grace: container}
  verify: {deadline: 5m, settle: 2m, poll: 15s, relapse_window: 10m}
  chronic: {restarts: 5, window: 1d}
  scale_out: {enabled: true, max_instances: 3, cooldown: 10m, host_ports: drop, source: keep}
  scale_in: {after: 30m, every: 5m}
guards:
  concurrent: 2
  burst: 3
  per_hour: 30
  max_clones: 10
  protected: ["db*"]
  reserve: {memory: 10%, cpus: 10%}
  brake: {share: 25%, action: freeze}
policies:
  - name: web
    match: {labels: {app: web}, alerts: [ContainerHighCPU]}
    <<: *d
    restart: {delays: [30s]}
  - {name: quiet, match: {}, mode: observe}
"""
#: The same as plain values, to be spoilt and written as JSON, which is YAML.
TREE: Final[dict[str, Any]] = {
    "version": 1,
    "enable": [{"project": "shop"}],
    "defaults": {
        "mode": "enforce",
        "restart": {"delays": ["1m", "5m"], "max_failed": 3, "window": "1h", "jitter": "10%"},
        "verify": {"deadline": "5m", "settle": "2m"},
        "scale_out": {"max_instances": 3, "cooldown": "10m", "host_ports": "drop"},
    },
    "guards": {"burst": 3, "protected": ["db*"], "brake": {"share": "25%"}},
    "policies": [{"name": "web", "match": {"labels": {"app": "web"}}, "restart": {}}],
}
#: Pieces that YAML makes more of than they look.
PIECES: Final = (
    *("&a [*a]", "*a", "&a ", "<<: *d", "<<: [*d, *d]", "!!binary x", "!!python/object:x {}"),
    *(
        "!!timestamp 2026-99-99",
        "!!float x",
        "!!int 1_",
        "!x y",
        "? [a]\n: b",
        "---",
        "...",
        "%YAML 1.1",
    ),
    *(
        "- - - - -",
        "[" * 60,
        "{a: " * 60,
        "|",
        ">",
        "|9",
        "'",
        '"',
        "\\x00",
        "# x",
        "\t",
        ": :",
        "~",
    ),
    *(
        ".nan",
        ".inf",
        "0x1F",
        "0o7",
        "1e400",
        "12:30:45",
        "=",
        "yes",
        "Null",
        soup.DIGITS,
        "-" * 30,
    ),
    *("99999999999999999999d", "-1s", "1h-1m", "1.5h", "%", "1000%", "nan%", "\ufeff", "\u2028"),
)
BOMB: Final = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


def file_of(chance: Random) -> str:
    """Make the text of a policy file."""
    kind = chance.random()
    if kind < 0.4:
        # NaN and halves of surrogates included: as lenient as what writes it.
        return json.dumps(soup.spoilt(chance, TREE), ensure_ascii=chance.random() < 0.5)
    if kind < 0.8:
        return _patched(chance, WRITTEN if chance.random() < 0.8 else BOMB)
    whole = soup.mutated(chance, WRITTEN.encode(), BOMB.encode())
    return whole.decode("utf-8", chance.choice(("replace", "surrogateescape")))


def _patched(chance: Random, text: str) -> str:
    """Write something else in some places."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        lines = text.split("\n")
        at = chance.randrange(len(lines))
        piece = chance.choice((chance.choice(PIECES), soup.text(chance)))
        head, colon, _ = lines[at].partition(":")
        kind = chance.random()
        if kind < 0.5 and colon:
            lines[at] = f"{head}: {piece}"
        elif kind < 0.7:
            lines[at] = f"{lines[at][: chance.randrange(12)]}{piece}"
        elif kind < 0.85:
            lines.insert(at, chance.choice(lines))
        else:
            lines[at] = lines[at].replace(" ", chance.choice(("", "  ", "\t")), 1)
        text = "\n".join(lines)
    return text


def fault_of(text: str) -> str | None:
    """Read a file; say what is wrong with how it is read."""
    try:
        book = parse_rulebook(text, "file")
    except BadConfiguration as exc:
        told = str(exc)
        if soup.DIGITS[:200] in told:
            return "tells back all that was written"
        for line in re.split(r"\n(?=file:)", told):
            if _FAULT.fullmatch(line) is None:
                return f"says no place: {line[:80]}"
            if len(line) > _LONGEST_LINE:
                return "says too much"
        return None
    if not isinstance(book, Rulebook):
        return "gives no rulebook"
    policy_for(book, {"app": "web"}, "ContainerHighCPU", prefix="relevo")
    policies_for(book, {"app": "web"}, prefix="relevo")
    return None


def fuzz(tally: Tally, cases: int) -> None:
    """Read policy files."""
    for number in tally.numbers(cases - cases // _SHRUNK):
        _try(tally, number, file_of(tally.chance(number)))
    _made(tally, cases // _SHRUNK, first=cases)


def _try(tally: Tally, number: int, text: str) -> None:
    with tally.case(number, text):
        fault = fault_of(text)
        tally.outcomes["read" if fault is None else "fault"] += 1
        if fault is not None:
            tally.find(number, fault, text)


_VALUES: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["1m", "0s", "10%", "container", "enforce", "observe", "drop", "99999d"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["restart", "verify", "scale_out", "delays", "window", "max_failed", "jitter"]
            )
            | st.text(max_size=6),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def _made(tally: Tally, cases: int, first: int) -> None:
    """The same, by hypothesis; a number stands for all of them."""
    if cases < 1 or (tally.only is not None and tally.only != first):
        return

    @seed(tally.seed)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.dictionaries(
            st.sampled_from(["version", "pull", "defaults", "guards", "policies", "enable"]),
            _VALUES,
            max_size=5,
        ).map(json.dumps)
        | st.text(max_size=80)
    )
    def one(text: str) -> None:
        _try(tally, first, text)

    one()
