"""Every snippet of the documents is taken by the program that it is for."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import promql_parser
import pytest
from ruamel.yaml import YAML

from app.adapters.alertmanager_routes import ways
from tests.deploy.places import ROOT
from tests.docs.pages import Snippet, blocks
from tests.parts import require
from tests.test_cli import bare_environment, quiet, relevo

__all__ = ["bare_environment", "quiet"]

_COMPOSE = json.loads((ROOT / "tests/deploy/fixtures/compose-spec.json").read_text())
_LABELS = set(
    re.findall(r"`(relevo\.[a-z-]+)`", (ROOT / "docs/configuration.md").read_text(encoding="utf-8"))
)


def documents() -> list[Snippet]:
    """Each file in a block of YAML; a comment with its name begins another one."""
    found = []
    for block in blocks("yaml"):
        files = re.split(r"^(?=# [\w-]+\.yml)", block.text, flags=re.MULTILINE)
        found += [Snippet(block.page, block.line, "yaml", one) for one in files if one.strip()]
    return found


def told(*argv: str | Path) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("snippet", documents(), ids=str)
def test_yaml_is_taken_by_what_reads_it(snippet: Snippet, tmp_path: Path) -> None:
    content = YAML(typ="safe", pure=True).load(snippet.text)
    file = tmp_path / "file.yml"
    file.write_text(snippet.text, encoding="utf-8")
    match content:
        case {"services": services}:
            jsonschema.Draft202012Validator(_COMPOSE).validate(content)
            ours = {label for one in services.values() for label in one.get("labels", ())}
            assert {one for one in ours if one.startswith("relevo.")} <= _LABELS
        case {"version": 1}:
            done = relevo("check", str(file))
            assert done.exit_code == 0, done.output
            assert "warning" not in done.output
        case {"scrape_configs": _} | {"rule_files": _}:
            told(require("promtool"), "check", "config", "--syntax-only", file)
        case {"groups": _}:
            told(require("promtool"), "check", "rules", file)
        case {"route": _} | {"receivers": _}:
            YAML().dump(_whole(content), file)
            told(require("amtool"), "check-config", file)
        case _:
            pytest.fail(f"{snippet}: nobody reads it: say here who does")


def _whole(part: dict[str, Any]) -> dict[str, Any]:
    """What is to be added to a configuration of Alertmanager, with the least of one around it."""
    route = {"receiver": "yours", **part.get("route", {})}
    used = {route["receiver"], *(one.get("receiver", "yours") for one in route.get("routes", ()))}
    named = [one["name"] for one in part.get("receivers", ())]
    more = [{"name": name} for name in sorted(used - set(named))]
    return {"route": route, "receivers": [*part.get("receivers", ()), *more]}


@pytest.mark.parametrize("page", ["docs/connect.md", "docs/high-availability.md"])
def test_routes_lead_to_relevo_with_its_token_and_to_people(page: str) -> None:
    """amtool takes a receiver without a token, and a route that tells no person, as well."""
    parts = [
        YAML(typ="safe", pure=True).load(one.text) for one in documents() if str(one.page) == page
    ]
    (routed,) = (part for part in parts if {"route", "receivers"} <= part.keys())
    labels = {"severity": "critical", "engine": "host1", "name": "web"}

    def reached(alertname: str) -> list[str]:
        found = ways(routed["route"], {"alertname": alertname, **labels})
        return [one.receiver for one in found]

    assert reached("ContainerHighCPU") == ["relevo", "team"]
    assert reached("RelevoEscalated") == ["team"]
    assert reached("RelevoWatchdog") == ["relevo-nobody"]
    hooks = [hook for one in routed["receivers"] for hook in one.get("webhook_configs", ())]
    assert hooks
    for hook in hooks:
        assert hook["http_config"]["authorization"]["credentials_file"] == "relevo_token_ingest"
        assert hook["send_resolved"] is True
    jobs = [job for part in parts for job in part.get("scrape_configs", ())]
    for job in jobs:
        assert job["authorization"]["credentials_file"] == "relevo_token_read"
    assert bool(jobs) is (page == "docs/high-availability.md")


def test_queries_are_queries_and_json_is_json() -> None:
    for snippet in blocks("promql"):
        promql_parser.parse(snippet.text)
    for snippet in blocks("json"):
        json.loads(snippet.text)
    for snippet in blocks("jsonl"):
        for line in snippet.text.splitlines():
            json.loads(line)


def test_there_is_something_of_each_kind() -> None:
    tops = [set(YAML(typ="safe", pure=True).load(one.text)) for one in documents()]

    for key in ("services", "version", "route", "scrape_configs"):
        assert any(key in top for top in tops), key
    assert blocks("promql")


def test_a_snippet_that_is_wrong_is_found(tmp_path: Path) -> None:
    wrong = [
        "services: {web: {image: a, colour: red}}\n",
        "services: {web: {image: a, labels: {relevo.enabled: 'true'}}}\n",
        "version: 1\nenabel: []\n",
        "route: {recever: x}\n",
        "colour: red\n",
    ]
    for text in wrong:
        with pytest.raises((AssertionError, jsonschema.ValidationError, pytest.fail.Exception)):
            test_yaml_is_taken_by_what_reads_it(Snippet("a", 1, "yaml", text), tmp_path)
