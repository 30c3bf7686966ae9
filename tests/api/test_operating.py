"""What people have done: orders, holds, pause; who may, what is in the way, and only once."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from app.api.deps import Scope
from app.domain.container import RunState
from app.domain.control import Halt
from app.domain.remediation import State
from app.policies.spec import Guards, Rulebook
from app.ports import Store
from tests.api.conftest import application
from tests.api.test_webhooks import PATH, alert, notification
from tests.builders import START, TARGET, at, container
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import REFUSED, FakeEngine, web

pytestmark = pytest.mark.looptime

RESTART = "/api/v1/targets/web/restart"
WHY = {"reason": "stuck since the import", "author": "ana"}


async def post(http: httpx.AsyncClient, path: str, body: Any = None, **headers: str) -> Any:
    """What a write is answered, which must be a 2xx."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await http.post(path, json=WHY if body is None else body, headers=sent)
    assert answer.status_code in (200, 202), answer.text
    return answer.json()


async def refused(http: httpx.AsyncClient, path: str, status: int, body: Any = None) -> Any:
    """The problem document that a write is answered with."""
    answer = await http.post(path, json=WHY if body is None else body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()


async def status(http: httpx.AsyncClient) -> Any:
    return (await http.get("/api/v1/status")).json()


async def target(http: httpx.AsyncClient) -> Any:
    return (await http.get("/api/v1/targets/web")).json()


# ---------------------------------------------------------------- restart


async def test_a_restart_is_an_attempt_with_its_author(
    http: httpx.AsyncClient, house: House
) -> None:
    async with working(house):
        placed = await post(http, RESTART)
        await pass_time(seconds=5)

    story = (await http.get(f"/api/v1/remediations/{placed['remediation']}")).json()
    (attempt,) = story["attempts"]
    assert attempt["id"] == placed["attempt"]
    assert (attempt["trigger"], attempt["reason"]) == ("manual", "manual")
    assert attempt["ordered"] == "ana: stuck since the import"
    assert len(house.engine.done("restart")) == 1
    evidence = story["case_files"][placed["attempt"]]
    assert evidence["logs"] == ["web says its last words"]
    assert evidence["taken_at"].endswith("Z")


async def test_a_list_of_stories_is_without_case_files(
    http: httpx.AsyncClient, house: House
) -> None:
    async with working(house):
        await post(http, RESTART)
        await pass_time(seconds=5)

    (story,) = (await http.get("/api/v1/remediations")).json()["remediations"]
    assert "case_files" not in story
    assert (story["called_off"], story["relapse_of"], story["relapsed_as"]) == (None, None, None)


async def test_an_order_becomes_the_next_attempt_of_what_waits(
    http: httpx.AsyncClient, house: House
) -> None:
    async with working(house):
        await http.post(PATH, json=notification(alert()))
        await pass_time(seconds=10)
        waiting = await house.story()
        placed = await post(http, RESTART)
        await pass_time(seconds=1)

    assert placed["remediation"] == waiting.id
    assert house.since_start("restart") == [10]


@pytest.mark.parametrize("name", ["web", "host1:web", "host1%3Aweb", "w%65b"])
async def test_a_target_has_its_names(http: httpx.AsyncClient, name: str) -> None:
    placed = await post(http, f"/api/v1/targets/{name}/restart")

    assert placed["remediation"].startswith("web-")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/targets/nobody/restart",
        "/api/v1/targets/host2:web/scale-out",
        "/api/v1/targets/nobody/scale-in",
        "/api/v1/targets/web%0d%0a/scale-in",
        "/api/v1/targets/host1:/hold",
        "/api/v1/targets/%00/release",
        "/api/v1/targets/web%20/reset",
        "/api/v1/targets/%ff/reset",
        "/api/v1/targets/..%2fweb/restart",
        "/api/v1/remediations/none/cancel",
        "/api/v1/remediations/%00/cancel",
    ],
)
async def test_who_is_unknown_is_a_404(http: httpx.AsyncClient, path: str) -> None:
    problem = await refused(http, path, 404)

    if path.split("/")[5] == "cancel":
        assert "no remediation" in problem["detail"]
    elif "%2f" not in path:
        assert "GET /api/v1/targets" in problem["detail"]


async def test_a_slot_that_two_containers_claim_is_a_404(
    http: httpx.AsyncClient, house: House
) -> None:
    house.engine.run(container("web", 2))

    await refused(http, RESTART, 404)


async def test_a_second_order_is_told_what_is_in_the_way(
    http: httpx.AsyncClient, house: House
) -> None:
    first = await post(http, RESTART)
    await pass_time(seconds=1)
    waiting = await refused(http, RESTART, 409)
    async with working(house):
        await pass_time(seconds=1)
    verifying = await refused(http, RESTART, 409)

    assert "restart by ana" in waiting["detail"]
    assert first["attempt"] in verifying["detail"]


async def test_a_held_target_is_not_restarted(http: httpx.AsyncClient) -> None:
    await post(http, "/api/v1/targets/web/hold", {"reason": "moving", "author": "ben"})

    problem = await refused(http, RESTART, 409)

    assert "held by ben: moving" in problem["detail"]


async def test_a_refusal_names_its_reason(http: httpx.AsyncClient, house: House) -> None:
    house.engine.run(web(state=RunState.EXITED))

    problem = await refused(http, RESTART, 422)

    assert problem["reason"] in ("not_running", "human")
    assert "docker start" in problem["detail"]


async def test_a_spent_budget_refuses(store: Store) -> None:
    house = _house(store, Rulebook(guards=Guards(burst=1, per_hour=1)))
    async with _client(house) as http, working(house):
        await post(http, RESTART)
        await pass_time(minutes=5)
        problem = await refused(http, RESTART, 422)

    assert problem["reason"] == "budget"


async def test_without_its_engine_it_is_a_503(http: httpx.AsyncClient, house: House) -> None:
    await target(http)
    house.engine.down = True
    await pass_time(seconds=5)

    problem = await refused(http, RESTART, 503)

    assert "engine" in problem["detail"]


# ---------------------------------------------------------------- dry runs


@pytest.mark.parametrize(
    ("path", "body"),
    [(RESTART, WHY | {"dry_run": True}), (f"{RESTART}?dry_run=true", WHY)],
    ids=["in-the-body", "in-the-query"],
)
async def test_a_dry_run_does_nothing(
    http: httpx.AsyncClient, house: House, path: str, body: Mapping[str, Any]
) -> None:
    async with working(house):
        answer = await http.post(path, json=body, headers={"Idempotency-Key": "k"})
        await pass_time(seconds=5)

    assert answer.status_code == 200
    assert answer.json()["dry_run"] is True
    assert set(answer.json()) == {"dry_run", "remediation", "attempt"}
    assert house.engine.acts == []
    assert not await house.stories()


async def test_a_dry_run_is_refused_as_the_order_would_be(
    http: httpx.AsyncClient, house: House
) -> None:
    await post(http, "/api/v1/targets/web/hold")

    await refused(http, f"{RESTART}?dry_run=true", 409)


async def test_the_dry_run_of_a_scale_out_is_its_fidelity_report(
    http: httpx.AsyncClient, house: House
) -> None:
    answer = await http.post("/api/v1/targets/web/scale-out?dry_run=true", json=WHY)
    assert answer.status_code == 200
    assert answer.json() == {
        "dry_run": True,
        "report": {"refused": False, "traffic": "alias", "items": []},
        "in_the_way": None,
    }

    house.engine.report = REFUSED
    await pass_time(minutes=2)
    answer = await http.post("/api/v1/targets/web/scale-out", json=WHY | {"dry_run": True})
    assert answer.status_code == 200
    told = answer.json()
    assert told["report"]["refused"] is True
    assert told["report"]["items"] == [
        {
            "field": "Mounts",
            "fate": "refused",
            "detail": "writes to volume data",
            "reason": "shared_volume",
        }
    ]
    assert told["in_the_way"] == "writes to volume data"
    problem = await refused(http, "/api/v1/targets/web/scale-out", 422)
    assert problem["reason"] == "shared_volume"


async def test_scale_out_makes_another_instance(http: httpx.AsyncClient, house: House) -> None:
    async with working(house):
        await post(http, "/api/v1/targets/web/scale-out")
        await pass_time(seconds=5)

    assert (await target(http))["instances"] == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/targets/web/hold", WHY | {"for": "1h"}),
        ("/api/v1/targets/web/reset", WHY),
        ("/api/v1/pause", WHY),
        ("/api/v1/resume", WHY),
    ],
)
async def test_everything_can_be_tried(
    http: httpx.AsyncClient, house: House, path: str, body: Mapping[str, Any]
) -> None:
    await house.store.controls.set_pause(Halt(reason="r", author="a", since=START))

    told = await post(http, f"{path}?dry_run=1", body)

    assert told["dry_run"] is True
    assert (await target(http))["hold"] is None
    assert (await status(http))["pause"]["author"] == "a"
    assert await house.store.orders.pending(TARGET) is None


# ---------------------------------------------------------------- hold and release


async def test_a_hold_is_shown_and_ends_by_itself(http: httpx.AsyncClient) -> None:
    held = await post(http, "/api/v1/targets/web/hold", WHY | {"for": "2h"})

    assert held == {
        "target": TARGET,
        "hold": {
            "reason": "stuck since the import",
            "author": "ana",
            "since": "2026-11-22T10:00:00.000Z",
            "until": "2026-11-22T12:00:00.000Z",
        },
    }
    assert (await target(http))["hold"] == held["hold"]
    assert (await status(http))["holds"] == {TARGET: held["hold"]}

    await pass_time(hours=2)
    assert (await target(http))["hold"] is None
    assert (await status(http))["holds"] == {}


async def test_a_held_target_waits_until_it_is_released(
    http: httpx.AsyncClient, house: House
) -> None:
    async with working(house):
        await http.post(PATH, json=notification(alert()))
        await post(http, "/api/v1/targets/web/hold")
        await pass_time(minutes=2)
        assert house.engine.acts == []
        assert (await target(http))["reason"] == "hold"
        released = await post(http, "/api/v1/targets/web/release")
        await pass_time(seconds=1)

    assert released == {"target": TARGET, "remediation": None}
    assert house.since_start("restart") == [120]


async def test_release_ends_a_quarantine(http: httpx.AsyncClient, house: House) -> None:
    house.engine.report = REFUSED
    async with working(house):
        await http.post(PATH, json=notification(alert()))
        await pass_time(minutes=40)
        quarantined = await house.story()
        assert quarantined.state is State.QUARANTINED
        released = await post(http, "/api/v1/targets/web/release")
        await pass_time(seconds=1)
        story = await house.store.history.remediation(quarantined.id)

    assert released["remediation"] == quarantined.id
    assert story is not None
    assert story.outcome == "released"


async def test_there_must_be_something_to_release(http: httpx.AsyncClient) -> None:
    problem = await refused(http, "/api/v1/targets/web/release", 409)

    assert "neither held nor quarantined" in problem["detail"]


async def test_a_hold_outlives_its_container_and_can_be_released(
    http: httpx.AsyncClient, house: House
) -> None:
    await post(http, "/api/v1/targets/web/hold")
    house.engine.inside.clear()
    await pass_time(seconds=5)

    await post(http, "/api/v1/targets/web/release")

    assert (await status(http))["holds"] == {}
    await refused(http, "/api/v1/targets/web/release", 404)


# ---------------------------------------------------------------- reset and cancel


async def test_reset_forgets_the_failures(http: httpx.AsyncClient, house: House) -> None:
    async with working(house):
        await http.post(PATH, json=notification(alert()))
        await pass_time(minutes=5)
        assert (await target(http))["failures_in_window"] == 1
        placed = await post(http, "/api/v1/targets/web/reset")
        await pass_time(seconds=1)

    assert placed == {"remediation": (await house.story()).id, "attempt": None}
    assert (await target(http))["failures_in_window"] == 0


async def test_reset_where_nothing_is_open_begins_no_story(
    http: httpx.AsyncClient, house: House
) -> None:
    async with working(house):
        placed = await post(http, "/api/v1/targets/web/reset")
        await pass_time(seconds=1)

    assert placed == {"remediation": None, "attempt": None}
    assert not await house.stories()


async def test_cancel_calls_a_story_off(http: httpx.AsyncClient, house: House) -> None:
    async with working(house):
        await http.post(PATH, json=notification(alert()))
        await pass_time(seconds=10)
        story = await house.story()
        path = f"/api/v1/remediations/{story.id}/cancel"
        placed = await post(http, path)
        await pass_time(minutes=5)
        shown = (await http.get(f"/api/v1/remediations/{story.id}")).json()
        await http.post(PATH, json=notification(alert(status="resolved")))
        await pass_time(minutes=10)
        closed = await refused(http, path, 409)

    assert placed == {"remediation": story.id, "attempt": None}
    assert shown["called_off"] == "ana: stuck since the import"
    assert house.engine.acts == []
    assert "closed" in closed["detail"]


# ---------------------------------------------------------------- pause and resume


async def test_pause_and_resume(http: httpx.AsyncClient, house: House) -> None:
    async with working(house):
        paused = await post(http, "/api/v1/pause", WHY | {"for": "30m"})
        assert paused["pause"]["until"] == "2026-11-22T10:30:00.000Z"
        assert (await status(http))["pause"] == paused["pause"]
        await http.post(PATH, json=notification(alert()))
        await pass_time(minutes=5)
        assert house.engine.acts == []

        assert await post(http, "/api/v1/resume") == {"pause": None}
        assert (await status(http))["pause"] is None
        await pass_time(minutes=1)

    assert len(house.engine.acts) == 1


async def test_a_person_may_act_while_relevo_is_paused(
    http: httpx.AsyncClient, house: House
) -> None:
    async with working(house):
        await post(http, "/api/v1/pause")
        await post(http, RESTART)
        await pass_time(seconds=1)

    assert len(house.engine.done("restart")) == 1


# ---------------------------------------------------------------- the same key


OTHERS = (
    ("/api/v1/targets/web/hold", WHY | {"for": "2h"}),
    ("/api/v1/targets/web/reset", WHY),
    ("/api/v1/pause", WHY | {"for": "2h"}),
    ("/api/v1/resume", WHY),
)


@pytest.mark.parametrize(
    ("path", "body"), [(RESTART, WHY), ("/api/v1/targets/web/scale-out", WHY), *OTHERS]
)
async def test_the_same_key_twice_is_done_once(
    http: httpx.AsyncClient, house: House, path: str, body: Mapping[str, Any]
) -> None:
    async with working(house):
        first = await post(http, path, body, Idempotency_Key="k-1")
        await pass_time(minutes=10)
        second = await post(http, path, body, Idempotency_Key="k-1")
        await pass_time(minutes=1)

    assert second == first
    assert len(house.engine.acts) <= 1


@pytest.mark.parametrize("path", [RESTART, "/api/v1/targets/web/scale-out"])
async def test_the_same_key_at_once_is_done_once(
    http: httpx.AsyncClient, house: House, path: str
) -> None:
    async with working(house):
        answers = await asyncio.gather(
            *(post(http, path, Idempotency_Key="k-1") for _ in range(10))
        )
        await pass_time(minutes=10)

    assert len({answer["attempt"] for answer in answers}) == 1
    assert len(house.engine.acts) == 1
    assert len(await house.stories()) == 1


async def test_whoever_comes_second_waits_for_the_answer(http: httpx.AsyncClient) -> None:
    await post(http, "/api/v1/targets/web/hold")

    answers = await asyncio.gather(
        *(post(http, "/api/v1/targets/web/release", Idempotency_Key="k-1") for _ in range(5))
    )

    assert answers == [{"target": TARGET, "remediation": None}] * 5


@pytest.mark.parametrize(("path", "body"), [(RESTART, WHY), *OTHERS])
async def test_the_same_key_for_something_else_is_a_conflict(
    http: httpx.AsyncClient, path: str, body: Mapping[str, Any]
) -> None:
    await post(http, "/api/v1/targets/web/hold", WHY | {"for": "1h"}, Idempotency_Key="k-1")

    answer = await http.post(path, json=body, headers={"Idempotency-Key": "k-1"})

    assert answer.status_code == 409
    assert answer.json()["detail"] == "this Idempotency-Key was used for another request"


async def test_a_release_that_was_answered_is_answered_again(http: httpx.AsyncClient) -> None:
    path = "/api/v1/targets/web/release"
    await post(http, "/api/v1/targets/web/hold")
    first = await post(http, path, Idempotency_Key="k-1")

    assert await post(http, path, Idempotency_Key="k-1") == first
    await refused(http, path, 409)


async def test_what_was_refused_is_asked_again(http: httpx.AsyncClient) -> None:
    await post(http, "/api/v1/targets/web/hold")
    sent = {"json": WHY, "headers": {"Idempotency-Key": "k-1"}}
    assert (await http.post(RESTART, **sent)).status_code == 409  # type: ignore[arg-type]
    await post(http, "/api/v1/targets/web/release")

    assert (await http.post(RESTART, **sent)).status_code == 202  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "tab\there", "café"])
async def test_a_key_is_short_and_visible(http: httpx.AsyncClient, key: str) -> None:
    sent = [(b"Idempotency-Key", key.encode())]
    answer = await http.post(RESTART, json=WHY, headers=sent)

    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["detail"]


async def test_a_long_key_is_taken(http: httpx.AsyncClient) -> None:
    await post(http, RESTART, Idempotency_Key="~" * 200)


# ---------------------------------------------------------------- wrong bodies

WRONG = (
    pytest.param({}, 422, id="nothing-said"),
    pytest.param({"author": "ana"}, 422, id="no-reason"),
    pytest.param({"reason": ""}, 422, id="empty"),
    pytest.param({"reason": "  \t "}, 422, id="blank"),
    pytest.param({"reason": "x" * 501}, 422, id="long"),
    pytest.param({"reason": "x" * 1_000_000}, 422, id="huge"),
    pytest.param({"reason": None}, 422, id="null-reason"),
    pytest.param({"reason": 5}, 422, id="a-number"),
    pytest.param({"reason": ["x"]}, 422, id="a-list-of-reasons"),
    pytest.param({"reason": "a\nb"}, 422, id="two-lines"),
    pytest.param({"reason": "a\x00b"}, 422, id="nul"),
    pytest.param({"reason": "a\x1b[31mb"}, 422, id="an-escape"),
    pytest.param({"reason": "a\u2028b"}, 422, id="a-line-separator"),
    pytest.param({"reason": "a\u202eb"}, 422, id="turned-around"),
    pytest.param({"reason": "a", "author": ""}, 422, id="nobody"),
    pytest.param({"reason": "a", "author": "x" * 101}, 422, id="a-long-name"),
    pytest.param({"reason": "a", "author": "x\ry"}, 422, id="a-name-on-two-lines"),
    pytest.param({"reason": "a", "dry_run": "yes"}, 422, id="dry-run-is-text"),
    pytest.param({"reason": "a", "dry_run": 1}, 422, id="dry-run-is-a-number"),
    pytest.param({"reason": "a", "dryrun": True}, 422, id="a-misspelt-key"),
    pytest.param({"reason": "a", "x" * 5000: 1}, 422, id="a-long-key"),
    pytest.param([], 422, id="a-list"),
    pytest.param("restart", 422, id="text"),
    pytest.param(None, 422, id="null"),
)
ROUTES = (
    RESTART,
    "/api/v1/targets/web/scale-out",
    "/api/v1/targets/web/scale-in",
    "/api/v1/targets/web/hold",
    "/api/v1/targets/web/release",
    "/api/v1/targets/web/reset",
    "/api/v1/remediations/x/cancel",
    "/api/v1/pause",
    "/api/v1/resume",
)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(("body", "code"), WRONG)
async def test_a_wrong_body_does_nothing(
    http: httpx.AsyncClient, house: House, path: str, body: Any, code: int
) -> None:
    answer = await http.request("POST", path, json=body)
    if body is None:
        answer = await http.post(
            path, content=b"null", headers={"Content-Type": "application/json"}
        )

    assert answer.status_code == code, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.text) < 400
    assert await house.store.orders.pending(TARGET) is None
    assert not await house.store.scaling.under_way()
    assert await house.store.controls.holds() == {}
    assert await house.store.controls.pause() is None


@pytest.mark.parametrize(
    ("raw", "kind", "code"),
    [
        pytest.param(b"", "application/json", 400, id="empty"),
        pytest.param(b"{", "application/json", 400, id="cut-off"),
        pytest.param(b'{"reason": NaN}', "application/json", 400, id="nan"),
        pytest.param(b'{"reason": "\\ud800"}', "application/json", 400, id="half-a-surrogate"),
        pytest.param(b'{"reason": "\xff"}', "application/json", 400, id="no-utf-8"),
        pytest.param(b"[" * 100_000, "application/json", 400, id="deep"),
        pytest.param(b" " * (4 * 1024 * 1024 + 1), "application/json", 413, id="4-MiB-and-one"),
        pytest.param(b"reason=x", "application/x-www-form-urlencoded", 415, id="a-form"),
        pytest.param(b'{"reason": "x"}', "text/plain", 415, id="plain-text"),
        pytest.param(b'{"reason": "x"}', "", 415, id="untyped"),
    ],
)
@pytest.mark.parametrize("path", [RESTART, "/api/v1/pause", "/api/v1/policies/simulate"])
async def test_what_is_no_json_is_refused(
    http: httpx.AsyncClient, path: str, raw: bytes, kind: str, code: int
) -> None:
    answer = await http.post(path, content=raw, headers={"Content-Type": kind})

    assert answer.status_code == code
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "span",
    ["", "soon", "2", 7200, True, [], "0s", "999ms", "30d1s", "1e3s", "-1h", "9" * 400 + "d"],
)
@pytest.mark.parametrize("path", ["/api/v1/targets/web/hold", "/api/v1/pause"])
async def test_a_span_that_is_none_is_refused(
    http: httpx.AsyncClient, path: str, span: object
) -> None:
    problem = await refused(http, path, 422, {"reason": "x", "for": span})

    assert problem["detail"].startswith("for: ")


@pytest.mark.parametrize(
    ("span", "lasts"), [("1s", 1), ("90m", 5400), ("30d", 30 * 86400), (None, None)]
)
async def test_a_span_that_is_one_is_taken(
    http: httpx.AsyncClient, house: House, span: str | None, lasts: float | None
) -> None:
    await post(http, "/api/v1/pause", {"reason": " x ", "for": span})

    pause = await house.store.controls.pause()
    until = None if lasts is None else at(lasts)
    assert pause == Halt(reason="x", author="api", since=START, until=until)


# ---------------------------------------------------------------- who may

TOKENS = {
    Scope.INGEST: ["in"],
    Scope.READ: ["read"],
    Scope.OPERATE: ["operate"],
    Scope.ADMIN: ["admin"],
}


@pytest.mark.parametrize("path", [*ROUTES, "/-/reload", "/api/v1/policies/simulate"])
@pytest.mark.parametrize("token", [None, "wrong", "in", "read", "operate", "admin"])
async def test_a_token_opens_what_it_is_for(house: House, path: str, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with _client(house, TOKENS) as http:
        answer = await http.post(path, json={}, headers=headers)

    opens = {
        "/-/reload": ("admin",),
        "/api/v1/policies/simulate": ("read", "operate", "admin"),
    }.get(path, ("operate", "admin"))
    if token in (None, "wrong"):
        assert answer.status_code == 401
    elif token not in opens:
        assert answer.status_code == 403
    else:  # let in: what is wrong now is the body
        assert answer.status_code in (200, 422)


async def test_reload_by_put_is_the_administrators_too(house: House) -> None:
    async with _client(house, TOKENS) as http:
        answer = await http.put("/-/reload", headers={"Authorization": "Bearer operate"})
    assert answer.status_code == 403


# ---------------------------------------------------------------- status


async def test_status_tells_what_stops_relevo(http: httpx.AsyncClient, house: House) -> None:
    told = await status(http)
    assert told["pause"] is None
    assert told["holds"] == {}
    assert told["brake"] == {"engaged_at": None, "failing": 0}
    assert told["budget_left"] == {"burst": 3, "hour": 30}
    assert told["precision"] == {"would_have_acted": 0, "passed_by_itself": 0, "still_needed": 0}

    async with working(house):
        await post(http, RESTART)
        await pass_time(seconds=1)
    assert (await status(http))["budget_left"] == {"burst": 2, "hour": 29}


async def test_an_engine_that_was_never_seen_is_a_503(store: Store) -> None:
    house = _house(store, Rulebook())
    house.engine.down = True
    async with _client(house) as http:
        for path in ROUTES[:6]:
            answer = await http.post(path, json=WHY)
            assert answer.status_code == 503, path


def _house(store: Store, book: Rulebook) -> House:
    clock = VirtualClock()
    engine = FakeEngine(clock)
    engine.run(web())
    return build(store, clock, engine, rulebook=book)


def _client(house: House, tokens: dict[Scope, list[str]] | None = None) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=application(house, tokens))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5000")


@pytest.mark.parametrize("query", ["dryrun=true", "dry_run=true&dry_run=false", "x=1"])
async def test_a_misspelt_dry_run_does_nothing(
    house: House, http: httpx.AsyncClient, query: str
) -> None:
    answer = await http.post(f"/api/v1/targets/web/hold?{query}", json={"reason": "try"})

    assert answer.status_code == 422
    assert await house.store.controls.holds() == {}
