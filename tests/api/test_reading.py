"""The read side: the shapes that tools rely on, and who may ask."""

from datetime import datetime
from typing import Any

import httpx
import pytest

from app.api.deps import Scope
from app.errors import StoreUnavailable
from tests.api.conftest import application
from tests.api.test_webhooks import PATH, alert, notification
from tests.controller.house import House, pass_time, working
from tests.fakes import REFUSED

pytestmark = pytest.mark.looptime


async def ill(http: httpx.AsyncClient, house: House, minutes: float) -> None:
    """Have the container ill for a while."""
    async with working(house):
        await http.post(PATH, json=notification(alert()))
        await pass_time(minutes=minutes)


async def get(http: httpx.AsyncClient, path: str) -> Any:
    answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_target_tells_what_happens_next(http: httpx.AsyncClient, house: House) -> None:
    await ill(http, house, 0.5)

    (target,) = (await get(http, "/api/v1/targets"))["targets"]

    assert target["target"] == "host1:web"
    assert target["container"] == "web"
    assert (target["state"], target["reason"]) == ("waiting", "first_need")
    assert target["next_action"] == "restart"
    assert target["next_action_at"].endswith("Z")
    assert (target["failures_in_window"], target["instances"]) == (0, 1)
    assert target["readiness"]["can_scale_out"] is True
    assert target == await get(http, "/api/v1/targets/host1:web")
    assert target == await get(http, "/api/v1/targets/web")


async def test_a_well_target_is_ok(http: httpx.AsyncClient, house: House) -> None:
    house.engine.report = REFUSED

    (target,) = (await get(http, "/api/v1/targets"))["targets"]

    assert (target["state"], target["reason"], target["next_action"]) == ("ok", None, None)
    assert target["readiness"] == {
        "can_scale_out": False,
        "traffic": "alias",
        "reasons": ["shared_volume"],
        "details": ["writes to volume data"],
    }


async def test_a_remediation_tells_its_story(http: httpx.AsyncClient, house: House) -> None:
    await ill(http, house, 5)

    (story,) = (await get(http, "/api/v1/remediations"))["remediations"]

    detail = await get(http, f"/api/v1/remediations/{story['id']}")
    assert {name: told for name, told in detail.items() if name != "case_files"} == story
    (attempt,) = story["attempts"]
    assert list(detail["case_files"]) == [attempt["id"]]
    assert attempt["action"] == "restart"
    assert attempt["verdict"] == "symptom_persists"
    started = datetime.fromisoformat(attempt["started_at"])
    finished = datetime.fromisoformat(attempt["finished_at"])
    assert (finished - started).total_seconds() == 180
    assert [(d["decision"], d["reason"]) for d in story["decisions"]] == [
        ("wait", "first_need"),
        ("restart", "first_need"),
        ("watch", "deadline"),
        ("conclude", "deadline"),
        ("wait", "backoff"),
    ]


async def test_activities_tell_of_scaling(http: httpx.AsyncClient, house: House) -> None:
    await ill(http, house, 27)

    (activity,) = (await get(http, "/api/v1/activities"))["activities"]

    assert (activity["kind"], activity["status"]) == ("scale_out", "successful")
    assert activity["group"] == "host1:web"
    assert activity["container"].startswith("web_new")
    assert "window_full" in activity["cause"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 1),
        ("target=web", 1),
        ("target=host1:web", 1),
        ("target=db", 0),
        ("state=waiting", 1),
        ("state=closed", 0),
        ("since=2000-01-01T00:00:00Z", 1),
        ("since=2100-01-01T00:00:00Z", 0),
        ("limit=1", 1),
    ],
)
async def test_remediations_can_be_filtered(
    http: httpx.AsyncClient, house: House, query: str, found: int
) -> None:
    await ill(http, house, 0.5)

    assert len((await get(http, f"/api/v1/remediations?{query}"))["remediations"]) == found


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/targets/nobody", 404),
        ("/api/v1/targets/..%2f..", 404),
        ("/api/v1/targets/host2:web", 404),
        ("/api/v1/remediations/none", 404),
        ("/api/v1/remediations?state=sad", 422),
        ("/api/v1/remediations?since=yesterday", 422),
        ("/api/v1/remediations?limit=0", 422),
        ("/api/v1/remediations?limit=x", 422),
        ("/api/v1/activities?limit=1001", 422),
        ("/nothing", 404),
    ],
)
async def test_a_wrong_question_is_answered_with_a_problem_document(
    http: httpx.AsyncClient, path: str, status: int
) -> None:
    answer = await http.get(path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


async def test_ready_says_what_is_missing(http: httpx.AsyncClient, house: House) -> None:
    assert (await http.get("/-/ready")).status_code == 200

    house.engine.down = True
    await pass_time(seconds=2)  # one look serves a moment
    answer = await http.get("/-/ready")

    assert answer.status_code == 503
    assert answer.json()["store"]["ok"] is True
    assert "cannot connect" in answer.json()["container_engine"]["trouble"][0]


async def test_status_answers_while_everything_is_down(
    http: httpx.AsyncClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.engine.down = True

    class _Silent:
        async def check(self) -> tuple[str, ...]:
            raise StoreUnavailable("connection refused")

    object.__setattr__(house.desk._store, "health", _Silent())

    status = await get(http, "/api/v1/status")

    assert status["store"] == {"ok": False, "trouble": ["connection refused"]}
    assert status["container_engine"]["ok"] is False
    assert status["messages"] is None  # nobody takes any
    metrics = (await http.get("/metrics")).text
    assert 'relevo_store_up{engine=""} 0.0' in metrics
    assert 'relevo_engine_up{engine=""} 0.0' in metrics


async def test_metrics_follow_what_happens(http: httpx.AsyncClient, house: House) -> None:
    await ill(http, house, 5)

    metrics = (await http.get("/metrics")).text

    for line in (
        'relevo_alerts_total{reason="",result="accepted"} 1.0',
        'relevo_decisions_total{decision="restart",reason="first_need"} 1.0',
        'relevo_attempts_total{action="restart",verdict="symptom_persists"} 1.0',
        'relevo_targets{engine="host1",state="waiting"} 1.0',
        'relevo_failing_targets{engine="host1"} 1.0',
        'relevo_failures_in_window{engine="host1",name="web"} 1.0',
        'relevo_target_attempts_total{action="restart",engine="host1",name="web",'
        'verdict="symptom_persists"} 1.0',
        'relevo_target_attempts_total{action="restart",engine="host1",name="web",'
        'verdict="exited"} 0.0',
        'relevo_target_state{engine="host1",group="host1:web",name="web",state="waiting",'
        'target="host1:web"} 1.0',
        'relevo_instances{engine="host1",name="web"} 1.0',
        'relevo_overdue_seconds{engine="host1"} 0.0',
        'relevo_store_up{engine="host1"} 1.0',
        'relevo_engine_up{engine="host1"} 1.0',
    ):
        assert line in metrics


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
async def test_management_answers_head_too(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.head(path)).status_code == 200


# --------------------------------------------------------------------- who may ask

TOKENS = {
    Scope.INGEST: ["in-1", "in-2"],
    Scope.READ: ["read"],
    Scope.OPERATE: ["operate"],
    Scope.ADMIN: ["admin"],
}


async def ask(house: House, method: str, path: str, token: str | None) -> int:
    await house.tenure.beat()
    transport = httpx.ASGITransport(app=application(house, TOKENS))
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5000") as client:
        answer = await client.request(method, path, headers=headers, json=notification())
        return answer.status_code


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        (PATH, None, 401),
        (PATH, "wrong", 401),
        (PATH, "", 401),
        (PATH, "read", 403),
        (PATH, "operate", 403),
        (PATH, "in-1", 202),
        (PATH, "in-2", 202),
        (PATH, "admin", 202),
        ("/api/v1/status", None, 401),
        ("/api/v1/status", "in-1", 403),
        ("/api/v1/status", "read", 200),
        ("/api/v1/status", "operate", 200),
        ("/api/v1/status", "admin", 200),
        ("/metrics", None, 401),
        ("/metrics", "read", 200),
        ("/-/healthy", None, 200),
        ("/-/ready", None, 200),
    ],
)
async def test_a_token_opens_its_scope(
    house: House, path: str, token: str | None, status: int
) -> None:
    assert await ask(house, "POST" if path == PATH else "GET", path, token) == status


OPEN = {"/-/healthy", "/-/ready", "/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"}


async def test_no_other_route_is_open(house: House) -> None:
    app = application(house, TOKENS)
    paths = [
        (method, path.format(target="web", remediation_id="x"))
        for path, operations in app.openapi()["paths"].items()
        for method in operations
    ]
    assert len(paths) > 8
    for method, path in paths:
        if path not in OPEN:
            assert await ask(house, method, path, None) == 401, path
