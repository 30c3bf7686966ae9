"""The audit as people read it: who did what, from where, and whether the lines are whole."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.store.codec import AUDIT_ENTRY
from app.api.deps import Scope
from app.domain.audit import AuditEntry, AuditKind, AuditMark, AuditText, compact
from app.domain.container import RunState
from app.domain.decision import Reason
from app.errors import BadConfiguration
from app.main import reload_told
from app.ports import Store
from tests.api.conftest import application, parts_of
from tests.builders import START, TARGET, container
from tests.controller.house import House, pass_time, working
from tests.memory_store import MemoryStore, make_store

pytestmark = pytest.mark.looptime

AUDIT, VERIFY = "/api/v1/audit", "/api/v1/audit/verify"
WHY = {"reason": "it leaks", "author": "ana"}
TOKENS = {
    Scope.INGEST: ["ingest"],
    Scope.READ: ["read"],
    Scope.OPERATE: ["operate"],
    Scope.ADMIN: ["admin"],
}


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def store(memory: MemoryStore) -> Store:
    return make_store(memory)


def client(
    house: House, tokens: dict[Scope, list[str]] | None = None, **headers: str
) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=application(house, tokens), client=("192.0.2.7", 4711))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5000", headers=headers)


async def entries(http: httpx.AsyncClient) -> list[Mapping[str, Any]]:
    answer = await http.get(AUDIT)
    assert answer.status_code == 200, answer.text
    return [line["entry"] for line in answer.json()["lines"]]


# ---------------------------------------------------------------- who, from where


@pytest.mark.parametrize("token", ["operate", "admin"])
async def test_an_order_is_told_with_author_scope_and_address(house: House, token: str) -> None:
    async with client(house, TOKENS, Authorization=f"Bearer {token}") as http, working(house):
        for path in ("targets/web/hold", "targets/web/release", "pause", "resume"):
            assert (await http.post(f"/api/v1/{path}", json=WHY)).status_code == 202
        http.headers["Authorization"] = "bearer admin"
        told = await entries(http)

    assert [one["order"] for one in told] == ["hold", "release", "pause", "resume"]
    assert {(one["kind"], one["author"], one["why"]) for one in told} == {
        ("order", "ana", "it leaks")
    }
    assert {(one["scope"], one["address"]) for one in told} == {(token, "192.0.2.7")}


async def test_a_restart_is_told_from_the_order_to_the_verdict(house: House) -> None:
    async with client(house) as http, working(house):
        placed = (await http.post("/api/v1/targets/web/restart", json=WHY)).json()
        await pass_time(minutes=10)
        told = await entries(http)

    assert [one["kind"] for one in told] == ["order", "intent", "acted", "outcome"]
    assert {one["remediation"] for one in told} == {placed["remediation"]}
    assert told[0]["address"] == "192.0.2.7"
    assert "scope" not in told[0]  # nobody is asked for a token here
    assert told[-1]["verdict"] == "recovered"
    assert told[-1]["trigger"] == "manual"


async def test_an_order_without_an_attempt_has_its_outcome_too(house: House) -> None:
    async with client(house) as http, working(house):
        await http.post("/api/v1/targets/web/reset", json=WHY)
        await pass_time(seconds=5)
        told = await entries(http)

    assert [(one["kind"], one["order"]) for one in told] == [
        ("order", "reset"),
        ("outcome", "reset"),
    ]
    assert told[1]["author"] == "ana"


async def test_what_is_refused_is_told_with_what_is_in_the_way(house: House) -> None:
    await house.store.controls.set_hold(TARGET, None)
    async with client(house, TOKENS, Authorization="Bearer operate") as http, working(house):
        await http.post("/api/v1/targets/web/hold", json=WHY)
        assert (await http.post("/api/v1/targets/web/restart", json=WHY)).status_code == 409
        await http.post("/api/v1/targets/web/release", json=WHY)
        house.engine.run(replace(house.engine.named("web"), state=RunState.EXITED))
        assert (await http.post("/api/v1/targets/web/restart", json=WHY)).status_code == 422
        http.headers["Authorization"] = "Bearer admin"
        told = await entries(http)

    held, stopped = [one for one in told if one["kind"] == "refused"]
    assert (held["order"], held["target"], held["author"]) == ("restart", TARGET, "ana")
    assert "is held by ana" in held["detail"]
    assert stopped["reason"] == "not_running"
    assert {(one["scope"], one["address"]) for one in (held, stopped)} == {("operate", "192.0.2.7")}


async def test_nobody_acts_on_what_is_protected_and_who_tried_is_told(house: House) -> None:
    house.engine.run(container("prometheus", 5, image="prom/prometheus:v3.5.0"))
    await house.controller.resync.pull()
    async with client(house) as http, working(house):
        answer = await http.post("/api/v1/targets/prometheus/restart", json=WHY)
        told = await entries(http)

    assert answer.status_code == 422
    assert answer.json()["reason"] == "protected"
    assert house.engine.done("restart") == []
    assert [(one["kind"], one["reason"]) for one in told] == [("refused", "protected")]


async def test_what_is_only_asked_about_is_not_told(house: House) -> None:
    async with client(house) as http, working(house):
        await http.post("/api/v1/targets/web/hold", json=WHY)
        for path in ("restart", "release", "scale-in"):
            await http.post(f"/api/v1/targets/web/{path}?dry_run=true", json=WHY)
        told = await entries(http)

    assert [one["order"] for one in told] == ["hold"]


async def test_an_order_that_comes_too_late_is_told_as_refused(
    house: House,
) -> None:
    await house.tenure.beat()
    async with client(house) as http:
        await http.post("/api/v1/targets/web/restart", json=WHY)
        await pass_time(minutes=11)  # nobody works
        async with working(house):
            await pass_time(seconds=5)
            told = await entries(http)

    assert [one["kind"] for one in told] == ["order", "refused"]
    assert "could not be carried out" in told[1]["detail"]


async def test_a_reload_is_told_and_one_that_fails_too(house: House) -> None:
    async with client(house, TOKENS, Authorization="Bearer admin") as http, working(house):
        await http.post("/-/reload")

        def wrong() -> Any:
            raise BadConfiguration("policies.yml:3:5: restrat: there is no such key")

        house.reloading._read = wrong
        assert (await http.post("/-/reload")).status_code == 422
        told = await entries(http)

    assert [(one["kind"], one["order"], one["scope"]) for one in told] == [
        ("order", "reload", "admin"),
        ("refused", "reload", "admin"),
    ]
    assert "restrat" in told[1]["detail"]


async def test_a_reload_by_signal_is_told_as_well(house: House) -> None:
    hang_up = reload_told(parts_of(house))
    async with client(house, TOKENS, Authorization="Bearer admin") as http, working(house):
        hang_up()

        def wrong() -> Any:
            raise BadConfiguration("policies.yml:3:5: restrat: there is no such key")

        house.reloading._read = wrong
        hang_up()
        await pass_time(seconds=1)
        told = await entries(http)

    assert [(one["kind"], one["order"], one["author"]) for one in told] == [
        ("order", "reload", "SIGHUP"),
        ("refused", "reload", "SIGHUP"),
    ]
    assert "scope" not in told[0]


# ---------------------------------------------------------------- the lines


async def written(http: httpx.AsyncClient, number: int) -> None:
    for one in range(number):
        await http.post("/api/v1/targets/web/hold", json={"reason": f'no. {one} »ü« "\\\t'[:-1]})


async def test_lines_come_in_pages(house: House) -> None:
    async with client(house) as http, working(house):
        await written(http, 5)
        first = (await http.get(AUDIT, params={"limit": 2})).json()
        second = (await http.get(AUDIT, params={"limit": 2, "after": first["next"]})).json()
        third = (await http.get(AUDIT, params={"limit": 2, "after": second["next"]})).json()
        since = (await http.get(AUDIT, params={"since": "2030-01-01T00:00:00Z"})).json()

    numbers = [
        [int(line["id"].partition("-")[2]) for line in page["lines"]]
        for page in (first, second, third)
    ]
    assert numbers == [[1, 2], [3, 4], [5]]
    assert third["next"] is None
    assert since == {"lines": [], "next": None}


async def test_whoever_has_the_lines_can_work_out_the_chain(house: House) -> None:
    async with client(house) as http, working(house):
        await written(http, 3)
        lines = (await http.get(AUDIT)).json()["lines"]
        raw = (await http.get(AUDIT)).text

    mark = AuditMark()
    for line in lines:
        start = raw.index('"entry":', raw.index(line["id"])) + len('"entry":')
        text = raw[start : raw.index("}", start) + 1]
        one = AuditText(id=line["id"], chain=line["chain"], text=text)
        assert one.follows(mark)
        mark = one.mark


@pytest.mark.parametrize(
    "text",
    ["{", "[1]", '{"a": 1}', '{"a":1,"a":1}', '{"a":1e0}', "[" * 5000, '{"a":NaN,"a":"\x00"}', ""],
)
async def test_a_line_that_was_not_written_by_us_is_told_as_it_is(
    house: House, memory: MemoryStore, text: str
) -> None:
    memory.audit._lines.append(AuditText(id="1-1", chain="c", text=text))
    async with client(house) as http:
        await house.tenure.beat()
        (line,) = (await http.get(AUDIT)).json()["lines"]

    assert line == {"id": "1-1", "chain": "c", "entry": None, "text": text}


@pytest.mark.parametrize(
    "query",
    [
        "after=1",
        "after=-",
        "after=1-1-1",
        "after=(1-1",
        f"after={'9' * 40}-1",
        "limit=0",
        "since=x",
    ],
)
async def test_a_wrong_question(house: House, query: str) -> None:
    async with client(house) as http:
        answer = await http.get(f"{AUDIT}?{query}")

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


# ---------------------------------------------------------------- whether it is whole


async def verified(http: httpx.AsyncClient) -> Any:
    return (await http.get(VERIFY)).json()


async def test_a_whole_audit_says_where_it_stands(house: House) -> None:
    async with client(house) as http, working(house):
        assert (await verified(http))["head"] is None
        await written(http, 3)
        await pass_time(seconds=15)
        told = await verified(http)
        (*_, last) = (await http.get(AUDIT)).json()["lines"]

    assert told == {
        "whole": True,
        "lines": 3,
        "first": 1,
        "head": last["id"],
        "chain": last["chain"],
        "broken_at": None,
        "losses": [],
        "known": {"id": last["id"], "chain": last["chain"], "is_there": True},
    }


async def test_a_line_that_was_changed_is_named(house: House, memory: MemoryStore) -> None:
    async with client(house) as http, working(house):
        await written(http, 3)
        lines = memory.audit._lines
        lines[1] = replace(lines[1], text=lines[1].text.replace("api", "bob"))
        told = await verified(http)

    assert (told["whole"], told["broken_at"]) == (False, 2)


async def test_a_chain_written_anew_is_betrayed_by_what_we_remember(
    house: House, memory: MemoryStore
) -> None:
    async with client(house) as http, working(house):
        await written(http, 3)
        await pass_time(seconds=15)
        forged = [
            AUDIT_ENTRY.load(one.text.replace("api", "bob"), key="audit")
            for one in memory.audit._lines
        ]
        memory.audit._lines.clear()
        for entry in forged:
            memory.audit.write([entry], now=entry.at)
        told = await verified(http)

    assert told["broken_at"] is None
    assert told["whole"] is False
    assert told["known"]["is_there"] is False


# ---------------------------------------------------------------- as it is kept

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(author=_TEXTS, why=_TEXTS, detail=st.none() | _TEXTS, address=st.none() | _TEXTS)
def test_what_is_kept_reads_and_writes_to_the_letter(
    author: str, why: str, detail: str | None, address: str | None
) -> None:
    entry = AuditEntry(
        at=START,
        kind=AuditKind.ORDER,
        author=author,
        why=why,
        detail=detail,
        address=address,
        reason=Reason.BUDGET,
    )
    text = AUDIT_ENTRY.dump(entry).decode()

    assert compact(json.loads(text)) == text
