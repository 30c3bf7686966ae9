"""Policies: shown in the words of their file, simulated, and read again."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from app.adapters.policy_file import load_rulebook, parse_rulebook
from app.api import policies
from app.api.rulebook import policies_as_written
from app.controller.reload import Reloading
from app.errors import BadConfiguration
from app.policies.simulate import Scenario, Step
from app.policies.spec import Guards, Rulebook
from app.ports import Store
from tests.api.conftest import application
from tests.controller.house import House, VirtualClock, build
from tests.fakes import FakeEngine, web

SIMULATE = "/api/v1/policies/simulate"

OWN = """
defaults:
  restart: {delays: [0s, 90s, 5m], jitter: 12.5%, stop_grace: 20s}
enable: [{project: shop, service: web}, {name: "worker-*"}]
policies:
  - name: web
    match: {labels: {com.docker.compose.service: web}, alerts: [ContainerHighCPU]}
    strategy: scale_first
    scale_out: {source: isolate, traffic_proof: 0s, host_ports: ephemeral}
  - {name: own, mode: observe, restart: {stop_grace: container, window: 12h}}
pull: 500ms
instances: ["h:1"]
guards:
  reserve: {memory: 7%, cpus: 1.5}
  protected: ["db-*"]
  brake: {share: 100%, action: alert}
"""


def written(book: Rulebook) -> str:
    text = io.StringIO()
    YAML(typ="safe").dump(policies_as_written(book), text)
    return text.getvalue()


@pytest.mark.parametrize(
    "book",
    [
        pytest.param(load_rulebook(None), id="shipped"),
        pytest.param(parse_rulebook("", "x"), id="empty"),
        pytest.param(parse_rulebook(OWN, "x"), id="own"),
    ],
)
def test_what_is_shown_is_a_policy_file_that_says_the_same(book: Rulebook) -> None:
    assert parse_rulebook(written(book), "shown") == book


def test_every_value_is_written_out_in_the_files_words() -> None:
    shown = policies_as_written(parse_rulebook(OWN, "x"))

    assert shown["defaults"]["restart"] == {
        "delays": ["0s", "1m30s", "5m"],
        "max_failed": 3,
        "window": "1h",
        "jitter": "12.5%",
        "stop_grace": "20s",
        "start_grace": "0s",
    }
    assert shown["guards"]["brake"] == {
        "targets": 3,
        "share": "100%",
        "window": "1h",
        "thaw": "10m",
        "action": "alert",
    }
    web, own = shown["policies"]
    assert web["match"] == {
        "labels": {"com.docker.compose.service": "web"},
        "alerts": ["ContainerHighCPU"],
    }
    assert web["scale_out"]["isolate_for"] == "24h"
    assert own["restart"]["stop_grace"] == "container"
    assert shown["enable"] == [{"project": "shop", "service": "web"}, {"name": "worker-*"}]


@pytest.fixture
def book() -> Rulebook:
    return parse_rulebook(OWN, "x")


@pytest.fixture
async def http(store: Store, book: Rulebook) -> AsyncIterator[httpx.AsyncClient]:
    house = _house(store, book)
    transport = httpx.ASGITransport(app=application(house), raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5000") as client:
        yield client


async def test_the_policies_in_force_say_when_they_scale_out(http: httpx.AsyncClient) -> None:
    told = (await http.get("/api/v1/policies")).json()

    assert told["defaults"]["reachability"].startswith("scale-out after three failed restarts")
    web, own = told["policies"]
    assert (web["name"], web["reachability"]) == ("web", None)
    assert own["reachability"].startswith("scale-out after three failed restarts")


async def test_the_policy_in_force_is_simulated(http: httpx.AsyncClient) -> None:
    answer = await http.post(SIMULATE, json={"policy": "web", "scenario": "load"})

    assert answer.status_code == 200
    told = answer.json()
    assert told["policy"] == "web"
    (timeline,) = told["scenarios"]
    assert timeline["scenario"] == "load"
    first = timeline["steps"][0]
    assert (first["at_seconds"], first["at"], first["what"]) == (0.0, "0s", "scale_out")
    assert set(first) == {"at_seconds", "at", "what", "reason", "detail"}


@pytest.mark.parametrize("body", [{}, {"scenario": "all"}, {"policy": None, "policy_file": None}])
async def test_all_kinds_of_trouble_with_the_defaults(
    http: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    told = (await http.post(SIMULATE, json=body)).json()

    assert told["policy"] == "default"
    assert [one["scenario"] for one in told["scenarios"]] == list(Scenario)


async def test_a_policy_file_is_simulated_without_being_taken(http: httpx.AsyncClient) -> None:
    before = (await http.get("/api/v1/policies")).json()
    file = "policies: [{name: quick, restart: {delays: [10s]}}]"

    answer = await http.post(
        SIMULATE, json={"policy_file": file, "policy": "quick", "scenario": "persists"}
    )

    steps = answer.json()["scenarios"][0]["steps"]
    assert (steps[0]["at"], steps[0]["what"]) == ("10s", "restart")
    assert (await http.get("/api/v1/policies")).json() == before


async def test_one_simulation_too_many_is_sent_away(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take turns; whoever is allowed to read takes no places from others that way."""
    goes_on = threading.Event()

    def simulated(*_: object, **__: object) -> tuple[Step, ...]:
        goes_on.wait(30)
        return ()

    monkeypatch.setattr(policies, "simulate", simulated)
    body = {"scenario": "load"}
    asked = [asyncio.create_task(http.post(SIMULATE, json=body)) for _ in range(12)]
    try:
        done, waiting = await asyncio.wait(asked, timeout=1)
    finally:
        goes_on.set()
    await asyncio.gather(*waiting)

    assert [one.result().status_code for one in done] == [503] * 4
    assert [one.result().status_code for one in waiting] == [200] * 8
    assert (await http.post(SIMULATE, json=body)).status_code == 200


async def test_a_wrong_file_is_told_line_by_line(http: httpx.AsyncClient) -> None:
    answer = await http.post(SIMULATE, json={"policy_file": "pull: 30\nnope: 1\n"})

    assert answer.status_code == 422
    first, second = answer.json()["detail"].splitlines()
    assert first.startswith("policy_file:1:1: pull: ")
    assert second.startswith("policy_file:2:1: nope: ")


@pytest.mark.parametrize(
    "file",
    [
        pytest.param("\x00", id="nul"),
        pytest.param("\x1b", id="a-control-character"),
        pytest.param("a: b: c", id="no-yaml"),
        pytest.param("- 1", id="a-list"),
        pytest.param("{a: " * 5000, id="deep"),
        pytest.param("a: &a [*a]", id="itself"),
        pytest.param("defaults: {restart: {window: 9999999999999999999999d}}", id="for-ever"),
        pytest.param("defaults: {restart: {max_failed: " + "9" * 5000 + "}}", id="5000-digits"),
        pytest.param("version: !!python/object:os.system {}", id="a-tag"),
        pytest.param("\ud7ff: 1", id="an-odd-letter"),
    ],
)
async def test_a_hostile_file_is_the_callers_fault(http: httpx.AsyncClient, file: str) -> None:
    answer = await http.post(SIMULATE, json={"policy_file": file})

    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"].startswith("policy_file:")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"policy": "nobody"}, 404),
        ({"policy": "web", "policy_file": ""}, 404),
        ({"policy": "\x00"}, 404),
        ({"policy": 5}, 422),
        ({"policy": "x" * 201}, 422),
        ({"policy_file": ["a"]}, 422),
        ({"policy_file": "#" * (256 * 1024 + 1)}, 422),
        ({"scenario": "sad"}, 422),
        ({"scenario": None}, 422),
        ({"scenarios": ["load"]}, 422),
        ([], 422),
    ],
)
async def test_a_wrong_question_is_refused(http: httpx.AsyncClient, body: Any, code: int) -> None:
    answer = await http.post(SIMULATE, json=body)

    assert answer.status_code == code
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_policy_without_an_end_is_cut_short(http: httpx.AsyncClient) -> None:
    file = "defaults: {restart: {delays: [0s], max_failed: 100, window: 366d}, verify: {poll: 1ms}}"

    answer = await http.post(SIMULATE, json={"policy_file": file})

    assert answer.status_code == 200


# ---------------------------------------------------------------- reload


async def test_reload_takes_what_the_file_says_now(store: Store) -> None:
    found: list[Rulebook | BadConfiguration] = [
        Rulebook(guards=Guards(burst=7)),
        BadConfiguration("p.yaml:1:1: nope: there is no such key"),
        Rulebook(guards=Guards(burst=8)),
    ]

    def read() -> Rulebook:
        next_one = found.pop(0)
        if isinstance(next_one, BadConfiguration):
            raise next_one
        return next_one

    house = _house(store, Rulebook())
    reloading = Reloading(read, house.rules, house.telemetry, house.clock, ask=house.resync.ask)
    house = replace(house, controller=replace(house.controller, reloading=reloading))
    transport = httpx.ASGITransport(app=application(house))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5000") as http:
        taken = await http.post("/-/reload")
        assert (taken.status_code, taken.json()) == (200, {"reloaded": True})
        assert await _burst(http) == 7

        wrong = await http.put("/-/reload")
        assert wrong.status_code == 422
        assert wrong.json()["detail"] == "p.yaml:1:1: nope: there is no such key"
        assert await _burst(http) == 7
        metrics = (await http.get("/metrics")).text
        assert "relevo_config_last_reload_successful 0.0" in metrics

        assert (await http.put("/-/reload")).status_code == 200
        assert await _burst(http) == 8


async def _burst(http: httpx.AsyncClient) -> Any:
    return (await http.get("/api/v1/policies")).json()["guards"]["burst"]


def _house(store: Store, book: Rulebook) -> House:
    clock = VirtualClock()
    engine = FakeEngine(clock)
    engine.run(web())
    return build(store, clock, engine, rulebook=book)
