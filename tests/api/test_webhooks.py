"""The receiver: what is taken, what is refused, and that nothing is ever a 500."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.notification import WebhookIn
from app.domain.alert import Alert, AlertStatus
from app.domain.decision import Reason
from app.errors import StoreUnavailable
from app.ports import Store
from tests.builders import TARGET
from tests.controller.house import House

PATH = "/api/v1/webhooks/alertmanager"
JSON = {"content-type": "application/json"}
#: As Grafana Alerting posts it: version 1, and fields of its own on both levels.
GRAFANA = json.loads((Path(__file__).parents[1] / "payloads" / "grafana.json").read_text())


def alert(**more: Any) -> dict[str, Any]:
    """A firing alert as Alertmanager sends it."""
    values: dict[str, Any] = {
        "status": "firing",
        "labels": {"alertname": "ContainerHighCPU", "engine": "host1", "name": "web"},
        "annotations": {"relevo_settle": "4m"},
        "startsAt": "2026-11-22T10:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": "b1946ac92492d234",
    }
    return values | more


def notification(*alerts: Any, **more: Any) -> dict[str, Any]:
    """A notification of Alertmanager, with fields that were new in 2026."""
    values: dict[str, Any] = {
        "version": "4",
        "groupKey": '{}:{alertname="ContainerHighCPU"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "relevo",
        "groupLabels": {},
        "commonLabels": {"name": "not-what-counts"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "notification_reason": "group_wait",
        "routeLabels": {"team": "x"},
        "alerts": list(alerts),
    }
    return values | more


def counts(**more: int) -> dict[str, int]:
    return {"accepted": 0, "resolved": 0, "stale": 0, "skipped": 0, "set_aside": 0} | more


async def test_takes_each_alert_by_its_own_status(http: httpx.AsyncClient) -> None:
    first = await http.post(PATH, json=notification(alert()))
    second = await http.post(PATH, json=notification(alert(), alert(status="resolved")))

    assert (first.status_code, first.json()) == (202, counts(accepted=1))
    assert second.json() == counts(accepted=1, resolved=1)


async def test_answers_after_the_alert_is_stored(http: httpx.AsyncClient, house: House) -> None:
    await http.post(PATH, json=notification(alert()))

    assert (await house.store.schedule.overdue(now=house.clock.now())).total_seconds() >= 0
    claimed = await house.store.schedule.claim(
        now=house.clock.now(), lease=house.worker._lease, limit=9
    )
    assert [claim.target for claim in claimed.claims] == [TARGET]


async def test_a_firing_notice_older_than_the_resolved_one_is_stale(
    http: httpx.AsyncClient,
) -> None:
    await http.post(PATH, json=notification(alert(status="resolved")))

    late = await http.post(PATH, json=notification(alert()))

    assert late.json() == counts(stale=1)


def test_grafanas_alerts_read_like_alertmanagers() -> None:
    firing, resolved = WebhookIn.model_validate(GRAFANA).read_alerts()

    assert isinstance(firing, Alert)
    assert (firing.name, firing.status) == ("Container CPU", AlertStatus.FIRING)
    assert firing.fingerprint == "bc97ff14869b13e3"
    assert firing.labels["service.name"].startswith("a value")
    assert firing.alert_annotations["relevo_settle"] == "4m"
    assert firing.starts_at == datetime(2026, 11, 22, 12, 0, 30, 123456, tzinfo=UTC)
    assert firing.ends_at is None
    assert isinstance(resolved, Alert)
    assert resolved.status is AlertStatus.RESOLVED
    assert resolved.ends_at == datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("sent", [{}, {"truncatedAlerts": 0}, {"truncatedAlerts": 3}])
def test_tells_how_many_alerts_were_left_out(sent: dict[str, int]) -> None:
    payload = WebhookIn.model_validate({"version": "4", "alerts": []} | sent)

    assert payload.truncated_alerts == sent.get("truncatedAlerts", 0)


async def test_grafanas_webhook_is_taken(http: httpx.AsyncClient) -> None:
    answer = await http.post(PATH, json=GRAFANA)

    # The container that is resolved is none of this engine's.
    assert (answer.status_code, answer.json()) == (202, counts(accepted=1, skipped=1))


BAD_ALERTS = [
    pytest.param(alert(startsAt="0001-01-01T00:00:00Z"), id="year-0001"),
    pytest.param(alert(startsAt="yesterday"), id="no-time"),
    pytest.param(alert(startsAt="2026-11-22T10:00:00"), id="time-without-zone"),
    pytest.param(alert(labels={"alertname": 5}), id="label-that-is-a-number"),
    pytest.param(alert(labels={"name": None}), id="label-that-is-null"),
    pytest.param(alert(labels=["name"]), id="labels-that-are-a-list"),
    pytest.param(alert(labels={"name": "a\x00b"}), id="nul"),
    pytest.param(alert(labels={"name": "web", "x": "x" * 2049}), id="a-value-of-2049"),
    pytest.param(alert(labels={str(i): "x" for i in range(65)}), id="65-labels"),
    pytest.param(alert(status="sad"), id="unknown-status"),
    pytest.param(alert(fingerprint=""), id="no-fingerprint"),
    pytest.param(alert(fingerprint=7), id="fingerprint-that-is-a-number"),
    pytest.param("not an object", id="string"),
    pytest.param(None, id="null"),
    pytest.param([[[]]], id="lists"),
    pytest.param({}, id="empty"),
]


@pytest.mark.parametrize("bad", BAD_ALERTS)
async def test_one_bad_alert_is_set_aside_and_its_neighbours_are_taken(
    http: httpx.AsyncClient, store: Store, bad: Any
) -> None:
    answer = await http.post(PATH, json=notification(bad, alert(), bad))

    assert (answer.status_code, answer.json()) == (202, counts(accepted=1, set_aside=2))
    assert len(await store.history.asides()) == 2


HOSTILE = [
    "prune?",
    "../images/prune?",
    "web/kill?signal=9#",
    "0" * 64,
    "0" * 12,
    "",
    "x" * 100_000,
    "*",
    ".*",
    "web ",
    "WEB",
    "%2e%2e",
    "-rf",
    "web\r\nHost: x",
    "wеb",
    "host1:web",
    "/web",
]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_is_skipped_and_reaches_no_engine_call(
    http: httpx.AsyncClient, house: House, store: Store, name: str
) -> None:
    body = notification(alert(labels={"alertname": "X", "name": name}))

    answer = await http.post(PATH, json=body)

    assert answer.json() == counts(skipped=1)
    assert [aside.reason for aside in await store.history.asides()] == [Reason.NO_SUCH_TARGET]
    assert house.engine.acts == []


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"alertname": "X", "engine": "host2", "name": "web"}, Reason.OTHER_ENGINE),
        ({"alertname": "X"}, Reason.NO_SUCH_TARGET),
        ({"alertname": "X", "name": "redis"}, Reason.NO_SUCH_TARGET),
    ],
)
async def test_what_is_not_ours_is_skipped_with_a_reason(
    http: httpx.AsyncClient, store: Store, labels: dict[str, str], reason: Reason
) -> None:
    answer = await http.post(PATH, json=notification(alert(labels=labels)))

    assert answer.json() == counts(skipped=1)
    assert [aside.reason for aside in await store.history.asides()] == [reason]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        pytest.param(b"", 400, "not JSON", id="empty"),
        pytest.param(b"alert!", 400, "not JSON", id="no-json"),
        pytest.param(b'{"version":"4","alerts":[NaN]}', 400, "not JSON", id="nan"),
        pytest.param(b'{"version":"4","alerts":[1e999]}', 202, "", id="a-large-number"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, 400, "not JSON", id="deep"),
        pytest.param(b'{"version":"4","alerts":["\xff"]}', 400, "not JSON", id="bad-utf8"),
        pytest.param(b'{"version":"4","alerts":["\\ud800"]}', 400, "not JSON", id="surrogate"),
        pytest.param(b"[]", 422, "", id="a-list"),
        pytest.param(b"4", 422, "", id="a-number"),
        pytest.param(b"{}", 422, "version", id="empty-object"),
        pytest.param(b'{"version":"3","alerts":[]}', 422, "version", id="other-version"),
        pytest.param(b'{"version":"4"}', 422, "alerts", id="no-alerts"),
        pytest.param(b'{"version":"4","alerts":{}}', 422, "alerts", id="alerts-are-no-list"),
        pytest.param(
            b'{"version":"4","truncatedAlerts":-1,"alerts":[]}', 422, "truncatedAlerts", id="minus"
        ),
        pytest.param(
            b'{"version":"4","alerts":[' + b"1," * 10_000 + b"1]}", 422, "alerts", id="10001-alerts"
        ),
        pytest.param(b" " * (4 * 1024 * 1024 + 1), 413, "larger", id="4-MiB-and-one"),
        pytest.param(
            b'{"version":"4","alerts":[' + b"9" * 5000 + b"]}", 400, "not JSON", id="5000-digits"
        ),
    ],
)
async def test_a_bad_body_is_the_callers_fault_and_says_why(
    http: httpx.AsyncClient, body: bytes, status: int, says: str
) -> None:
    answer = await http.post(PATH, content=body, headers=JSON)

    assert answer.status_code == status
    if status != 202:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert says in answer.json()["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded"])
async def test_other_media_types_are_refused(http: httpx.AsyncClient, kind: str) -> None:
    answer = await http.post(PATH, content=b"{}", headers={"content-type": kind})

    assert answer.status_code == 415


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_by_any_spelling_is_taken(http: httpx.AsyncClient, kind: str) -> None:
    body = json.dumps(notification(alert())).encode()

    answer = await http.post(PATH, content=body, headers={"content-type": kind})

    assert answer.status_code == 202


async def test_a_wrong_envelope_is_not_echoed(http: httpx.AsyncClient) -> None:
    answer = await http.post(PATH, json={"version": "<script>", "alerts": "<script>"})

    assert answer.status_code == 422
    assert "script" not in answer.text


class _BrokenInbox:
    async def accept(self, *_: object, **__: object) -> tuple[()]:
        raise StoreUnavailable("connection refused")


async def test_what_cannot_be_stored_is_a_503_which_alertmanager_repeats(
    http: httpx.AsyncClient, house: House
) -> None:
    house.intake._inbox = _BrokenInbox()

    answer = await http.post(PATH, json=notification(alert()))

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert "store" in answer.json()["detail"]


async def test_while_shutting_down_it_is_a_503(http: httpx.AsyncClient, house: House) -> None:
    house.intake.close()

    answer = await http.post(PATH, json=notification(alert()))

    assert answer.status_code == 503


async def test_with_an_engine_that_was_never_seen_it_is_a_503(
    http: httpx.AsyncClient, house: House
) -> None:
    house.engine.down = True

    answer = await http.post(PATH, json=notification(alert()))

    assert answer.status_code == 503
