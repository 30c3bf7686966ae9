"""
The shipped configuration, some factor faster, in a directory of its own.

    scale.py --factor 20 OUT      writes OUT/{prometheus,alertmanager,relevo,grafana}/…, ready to be
                                  mounted in place of deploy/{prometheus,alertmanager,…}

Generated from the shipped files each time, so that it can never be a second copy that differs. The
files are parsed, not searched: what is divided is

* every value of the YAML files that is a duration and nothing else (``for: 1m``, ``relevo_settle:
  4m``), whatever its key, so that one which is added tomorrow is scaled too;
* every duration inside PromQL: ranges, subqueries, offsets;
* every default of the policy file (an empty file is the brief) that the shipped one does not set.

The budget ``per_hour`` is multiplied: an hour passes that much faster. Not touched is what is not a
wait of the chain: I/O timeouts and stop graces, labels, and text. (A scrape's timeout may not
exceed its interval, so Prometheus gets the smaller of the two.) Of dashboards it is the PromQL.
"""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
if str(REPOSITORY) not in sys.path:
    sys.path.insert(0, str(REPOSITORY))

from app.domain.duration import format_duration  # noqa: E402 - importable from anywhere
from app.policies.spec import Rulebook  # noqa: E402
from deploy.demo.documents import load, walk, write  # noqa: E402
from deploy.demo.wiring import Wiring, rewire  # noqa: E402

#: The factor of the demo and of the end-to-end tests. One more would starve the rate window:
#: engine 20.10 takes a second for one look at a container's counters.
FACTOR = 20.0

#: Durations that are Prometheus' own defaults, and part of how the chain behaves.
PROMETHEUS_FLAGS = {
    "rules.alert.resend-delay": "1m",
    "rules.alert.for-grace-period": "10m",
    "query.lookback-delta": "5m",
}

#: Never scaled: what the outside world takes, whatever our pace.
_REAL_TIME = re.compile(r"(?:^|_)(?:timeout|stop_grace)$")
#: ... but this one is a wait of Alertmanager's: how long it believes an alert without an end.
_SCALED_ALL_THE_SAME = {"resolve_timeout"}

_UNITS_MS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdwy]))+")
#: What may hold a duration in PromQL, after strings and comments, which may hold anything.
_PROMQL = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|\#[^\n]*)"""
    r"""|(?P<range>\[[^\]]*\])"""
    r"""|(?P<offset>\boffset\s+-?\s*(?:\d+(?:ms|[smhdwy]))+)""",
    re.VERBOSE | re.IGNORECASE,
)


def _milliseconds(duration: str) -> float:
    return sum(float(n) * _UNITS_MS[unit] for n, unit in _PART.findall(duration))


def scaled(duration: str, factor: float) -> str:
    """Divide a duration such as ``1h30m``; the smallest that the programs know is 1 ms."""
    whole = _milliseconds(duration)
    if whole == 0:
        return duration
    return format_duration(timedelta(milliseconds=max(1, round(whole / factor))))


def scaled_promql(expression: str, factor: float) -> str:
    """Divide every range, subquery step and offset; names such as ``…:rate1m`` stay."""

    def one(found: re.Match[str]) -> str:
        if found["text"] is not None:
            return found[0]
        return _DURATION.sub(lambda duration: scaled(duration[0], factor), found[0])

    return _PROMQL.sub(one, expression)


def prometheus_flags(factor: float) -> list[str]:
    """Say what is no part of a file: options of the server."""
    return [f"--{name}={scaled(value, factor)}" for name, value in PROMETHEUS_FLAGS.items()]


def scale_document(document: Any, factor: float) -> None:
    """Divide every duration of a parsed file, in place."""

    def change(key: str, value: str) -> str:
        if key == "expr":
            return scaled_promql(value, factor)
        if _REAL_TIME.search(key) and key not in _SCALED_ALL_THE_SAME:
            return value
        return scaled(value, factor) if _DURATION.fullmatch(value) else value

    walk(document, change)
    if isinstance(document, Mapping):
        _respect_scrape_timeout(document)


def _respect_scrape_timeout(document: Any) -> None:
    """Prometheus refuses a timeout above the interval, and defaults to 10 s, or the interval."""
    general = document.get("global") or {}
    for part in (general, *document.get("scrape_configs", ())):
        interval = part.get("scrape_interval", general.get("scrape_interval", "1m"))
        timeout = part.get("scrape_timeout", general.get("scrape_timeout"))
        if timeout is not None and _milliseconds(timeout) > _milliseconds(interval):
            part["scrape_timeout"] = interval


# ------------------------------------------------------------------------------ the policies


def _durations(rules: Any) -> dict[str, Any]:
    """Every duration of the rules' defaults, by the names that the policy file has for them."""
    found: dict[str, Any] = {}
    for each in fields(rules):
        value = getattr(rules, each.name)
        if isinstance(value, timedelta):
            found[each.name] = format_duration(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], timedelta):
            found[each.name] = [format_duration(one) for one in value]
        elif is_dataclass(value):
            inner = _durations(value)
            if inner:
                found[each.name] = inner
    return found


def _fill(document: MutableMapping[str, Any], defaults: Mapping[str, Any]) -> None:
    for name, value in defaults.items():
        if isinstance(value, Mapping):
            if document.get(name) is None:
                document[name] = {}
            _fill(document[name], value)
        else:
            document.setdefault(name, value)


def policies(shipped: Path, factor: float) -> Any:
    """Read a policy file and scale it, with every default that it does not set."""
    document = load(shipped)
    if document is None:
        document = {"version": 1}
    _fill(document, _durations(Rulebook()))
    guards = document["guards"]
    guards["per_hour"] = round(guards.get("per_hour", Rulebook().guards.per_hour) * factor)
    # So much faster the chain itself is so much busier: what that leaves is nobody's measure.
    guards.setdefault("reserve", {"memory": "0%", "cpus": 0})
    scale_document(document, factor)
    return document


# ---------------------------------------------------------------------------- the dashboards

#: Where the links of the shipped dashboards lead.
SHIPPED_URL = "http://localhost:5000"


def dashboard(shipped: Path, factor: float, *, external_url: str) -> Any:
    """Read a dashboard and divide what its queries look back on; its links lead elsewhere."""
    document = json.loads(shipped.read_text(encoding="utf-8"))
    for variable in document["templating"]["list"]:
        if variable["type"] == "constant" and variable["query"] == SHIPPED_URL:
            variable["query"] = external_url
    walk(document, lambda key, value: scaled_promql(value, factor) if key == "expr" else value)
    return document


# ------------------------------------------------------------------------------ all of it


def write_copy(
    out: Path,
    *,
    factor: float = FACTOR,
    deploy: Path | None = None,
    wiring: Wiring | None = None,
    external_url: str = SHIPPED_URL,
) -> None:
    """
    Write the scaled copy of `deploy`'s configuration to `out`.

    :param external_url: where people reach Relevo, for the links of the dashboards
    :raises KeyError: the configuration names a host or a file that the wiring does not know
    """
    deploy = deploy or REPOSITORY / "deploy"
    wiring = wiring or Wiring()
    for part in ("prometheus", "alertmanager", "relevo", "grafana"):
        for shipped in sorted((deploy / part).rglob("*")):
            inside = shipped.relative_to(deploy)
            if shipped.is_dir() or "tests" in inside.parts:
                continue
            if shipped.suffix == ".json":
                made = dashboard(shipped, factor, external_url=external_url)
                (out / inside).parent.mkdir(parents=True, exist_ok=True)
                (out / inside).write_text(json.dumps(made, indent=1), encoding="utf-8")
                continue
            if shipped.suffix not in {".yml", ".yaml"}:
                (out / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(shipped, out / inside)
                continue
            if shipped.name == "policies.yml":
                document = policies(shipped, factor)
            else:
                document = load(shipped)
                scale_document(document, factor)
                rewire(document, wiring)
            head = (
                f"GENERATED from deploy/{inside}, {factor:g} times faster. Comments speak of the\n"
                "original. Changes here are lost: change the original."
            )
            write(document, out / inside, head=head)


def main(argv: list[str] | None = None) -> int:
    """Write the scaled copy and say which options Prometheus needs besides."""
    parser = argparse.ArgumentParser(description="The shipped configuration, faster.")
    parser.add_argument("out", type=Path, help="directory to write to")
    parser.add_argument("--factor", type=float, default=FACTOR, help="default: %(default)g")
    arguments = parser.parse_args(argv)
    write_copy(arguments.out, factor=arguments.factor)
    sys.stdout.write(" ".join(prometheus_flags(arguments.factor)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
