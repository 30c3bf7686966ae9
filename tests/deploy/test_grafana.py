"""The shipped Grafana files: what Grafana 11 and 12 take, and what people can rely on in them."""

import json
import os
import re
import subprocess
from itertools import combinations
from typing import Any

import jsonschema
import pytest
from prometheus_client.core import Metric
from ruamel.yaml import YAML

from app.adapters.engine.series import container_series, machine_series
from app.controller.telemetry import Telemetry
from app.domain.container import EngineIdentity
from tests.deploy.dashboards import (
    BUILT_IN,
    DASHBOARDS,
    NAMES,
    Json,
    Query,
    data_panels,
    load,
    queries,
    selectors,
)
from tests.deploy.places import DEPLOY, PROMETHEUS, load_yaml, strings
from tests.deploy.test_compose import SERVICES
from tests.parts import require

BOARDS = {name: load(name) for name in NAMES}
SCHEMA = json.loads((DASHBOARDS.parents[2] / "tests/deploy/fixtures/dashboard.json").read_text())
QUERIES = [query for name, board in BOARDS.items() for query in queries(name, board)]
RULES = [
    rule for group in load_yaml(PROMETHEUS / "alert_rules.yml")["groups"] for rule in group["rules"]
]
#: What stands for a variable where only the form of a query matters.
ANY = BUILT_IN | {
    name: "web" for name in ("engine", "instance", "container", "target", "slot", "group")
}

boards = pytest.mark.parametrize("name", NAMES)


def variables(board: Json) -> dict[str, Json]:
    return {one["name"]: one for one in board["templating"]["list"]}


def every(node: object, key: str) -> list[Any]:
    """All values of a key, however deep."""
    if isinstance(node, dict):
        here = [node[key]] if key in node else []
        return here + [found for value in node.values() for found in every(value, key)]
    if isinstance(node, list):
        return [found for item in node for found in every(item, key)]
    return []


def test_there_are_three_and_each_has_its_own_address() -> None:
    assert {path.stem for path in DASHBOARDS.iterdir()} == set(NAMES)
    assert len({board["uid"] for board in BOARDS.values()}) == len(NAMES)
    assert len({board["title"] for board in BOARDS.values()}) == len(NAMES)


@boards
def test_each_has_the_form_that_grafana_takes(name: str) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(BOARDS[name])


@boards
def test_each_panel_says_what_it_shows_and_in_what_unit(name: str) -> None:
    panels = BOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["description"].endswith("."), panel["title"]
    for panel in data_panels(BOARDS[name]):
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs), panel["title"]


@boards
def test_no_panel_lies_over_another(name: str) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in BOARDS[name]["panels"]]
    for title, at in places:
        assert at["x"] + at["w"] <= 24, title
    for (one, a), (other, b) in combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, (one, other)


@boards
def test_nothing_in_it_knows_one_machine(name: str) -> None:
    board = BOARDS[name]
    own = variables(board)["relevo"]
    assert (own["type"], own["skipUrlSync"]) == ("constant", True)  # no link can change it
    text = json.dumps(board)
    assert re.findall(r"https?://[^\"]*", text) == [own["query"]] == ["http://localhost:5000"]
    for uid in every(board, "datasource"):
        assert uid in (
            {"type": "prometheus", "uid": "${datasource}"},
            {"type": "grafana", "uid": "-- Grafana --"},
        )
    assert variables(board)["datasource"]["query"] == "prometheus"


@boards
def test_every_variable_that_is_used_is_there(name: str) -> None:
    board = BOARDS[name]
    known = {*variables(board), *BUILT_IN, "__url_time_range", "__field", "__data", "__all"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board)))
    assert used <= known
    # And none is there for nothing.
    assert set(variables(board)) <= used


@boards
def test_each_panel_leads_to_a_page_of_relevo(name: str) -> None:
    board = BOARDS[name]
    pages = {
        "${relevo:raw}/",
        "${relevo:raw}/targets/${target}",
        "${relevo:raw}/targets/${__data.fields.target}",
        "${relevo:raw}/targets/${__field.labels.engine}:${__field.labels.name}",
    }
    for panel in data_panels(board):
        links = [link["url"] for found in every(panel["fieldConfig"], "links") for link in found]
        links += [
            link["url"]
            for override in panel["fieldConfig"]["overrides"]
            for one in override["properties"]
            if one["id"] == "links"
            for link in one["value"]
        ]
        assert pages & set(links), panel["title"]
        uids = {one["uid"] for one in BOARDS.values()}
        for link in set(links) - pages:
            found = re.match(r"/d/([a-z-]+)\?", link)
            assert found is not None, link
            assert found[1] in uids


@boards
def test_relevos_actions_are_found_by_their_tags(name: str) -> None:
    board = BOARDS[name]
    (marks,) = [one for one in board["annotations"]["list"] if "target" in one]
    (listed,) = [panel for panel in board["panels"] if panel["type"] == "annolist"]
    assert marks["target"]["type"] == "tags"
    assert marks["target"]["matchAny"] is False
    assert marks["target"]["tags"] == listed["options"]["tags"]
    assert listed["options"]["tags"][0] == "relevo"
    if name == "container":
        assert listed["options"]["tags"][1:] == ["target:$slot", "engine:$engine"]


@pytest.mark.parametrize("query", QUERIES, ids=lambda one: f"{one.board}-{one.where}")
def test_each_query_parses_and_asks_for_what_there_is(query: Query) -> None:
    found = selectors(query.filled(ANY))
    assert found
    unknown = {str(one.name) for one in found} - existing_series()
    assert not unknown


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.get("alert", rule.get("record"))))
def test_each_rule_parses_and_asks_for_what_there_is(rule: Json) -> None:
    unknown = {str(one.name) for one in selectors(rule["expr"])} - existing_series()
    assert not unknown


def existing_series() -> set[str]:
    """Names of all series: Relevo's, its collector's, the rules', Prometheus' own."""
    host = EngineIdentity(
        name="host1", api_version=(1, 41), version="20.10.24", cpus=2, memory_bytes=4_000_000_000
    )
    families: list[Metric] = [
        *Telemetry().registry.collect(),
        *container_series((), engine="host1"),
        *machine_series(host, engine="host1"),
    ]
    names = {"up", "ALERTS", "scrape_duration_seconds"}
    for family in families:
        endings = {
            "counter": ("_total",),
            "histogram": ("_bucket", "_sum", "_count"),
        }.get(family.type, ("",))
        names |= {family.name + ending for ending in endings}
    return names | {rule["record"] for rule in RULES if "record" in rule}


def test_the_lines_are_those_of_the_alerts() -> None:
    """Where a graph says that Relevo acts, the alert must say so too."""
    alerts = {rule["alert"]: rule["expr"] for rule in RULES if "alert" in rule}
    for name in ("ContainerHighCPU", "ContainerHighMemory"):
        assert alerts[name].endswith(" > 0.8")
    drawn = [query.expr for query in QUERIES if query.expr.startswith("0.8 * ")]
    assert len(drawn) == 2
    for panel in BOARDS["fleet"]["panels"]:
        if panel["title"] in ("CPU", "Memory"):
            steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            assert [step["value"] for step in steps] == [None, 0.8]


def test_grafana_finds_all_of_it_in_compose() -> None:
    grafana = DEPLOY / "grafana" / "provisioning"
    (provider,) = load_yaml(grafana / "dashboards" / "relevo.yml")["providers"]
    (source,) = load_yaml(grafana / "datasources" / "prometheus.yml")["datasources"]
    volumes = SERVICES["grafana"]["volumes"]
    mounts = {one.removesuffix(":ro").rpartition(":")[2]: one for one in volumes}
    assert "/grafana/dashboards:" in mounts[provider["options"]["path"]]
    assert "/grafana/provisioning:" in mounts["/etc/grafana/provisioning"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/fleet.json"
    assert source["url"] == "http://prometheus:9090"
    assert source["type"] == "prometheus"
    # A step no smaller than what there are samples for.
    interval = load_yaml(PROMETHEUS / "prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == interval


@pytest.mark.parametrize("profiles", ["grafana", "grafana,cadvisor", ""])
def test_where_grafana_is_on_relevo_writes_there(profiles: str) -> None:
    require("docker-compose")
    done = subprocess.run(
        [DEPLOY / "compose.sh", "config"],
        env={"PATH": os.environ["PATH"], "COMPOSE_PROFILES": profiles},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    services = YAML(typ="safe", pure=True).load(done.stdout)["services"]
    file = (services["relevo"]["environment"] or {}).get("RELEVO_GRAFANA_URL_FILE")
    # Without one nothing is kept for it, and nothing tried.
    assert file == ("/run/secrets/relevo_grafana_url" if profiles else None)
    assert "relevo_grafana_url" in strings(SERVICES["relevo"]["secrets"])
