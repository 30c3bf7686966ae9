"""`Alertmanagers` against two real Alertmanagers, and against far sides that misbehave."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from app.adapters.alertmanager import Alertmanagers
from app.adapters.alertmanager_mutes import may_mute
from app.domain.alert import AlertListing, ListedState, OwnAlert
from app.errors import SourceUnavailable
from tests.adapters.far_side import Answer, FarSide, eventually, far_side, free_port, program
from tests.parts import require

ALERTS, STATUS = "/api/v2/alerts", "/api/v2/status"
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CONFIG = """
route:
  receiver: nobody
  routes:
    - {matchers: ['severity="critical"'], receiver: relevo, group_wait: 0s, continue: true}
    - {matchers: ['severity=~"critical|warning"'], receiver: slack}
receivers: [{name: nobody}, {name: relevo}, {name: slack}]
inhibit_rules:
  - {source_matchers: ['alertname="HostDown"'], target_matchers: ['alertname="Inhibited"']}
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Two real Alertmanagers that know nothing of each other."""
    binary = require("alertmanager")
    folder = tmp_path_factory.mktemp("alertmanager")
    (folder / "alertmanager.yml").write_text(CONFIG)
    urls = (f"http://127.0.0.1:{free_port()}/am", f"http://127.0.0.1:{free_port()}/am")
    with ExitStack() as stack:
        for number, url in enumerate(urls):
            stack.enter_context(_alertmanager(binary, url, folder, str(number)))
        yield urls


def _alertmanager(
    binary: str, url: str, folder: Path, number: str, config: str = "alertmanager.yml"
) -> Any:
    arguments = [
        binary,
        f"--config.file={folder / config}",
        f"--storage.path={folder / number}",
        f"--web.listen-address={url.removeprefix('http://').removesuffix('/am')}",
        "--web.external-url=http://localhost/am",
        # No cluster: settling would delay the start, and the two must be able to disagree.
        "--cluster.listen-address=",
    ]
    return program(arguments, log=folder / f"log{number}", ready=f"{url}/-/ready")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as made:
        yield made


@pytest.fixture
async def fake() -> AsyncIterator[FarSide]:
    async with far_side() as side:
        side.answers[ALERTS] = Answer(body="[]")
        side.answers[STATUS] = _up_since("2026-11-22T11:00:00.000Z")
        yield side


@pytest.fixture
async def other() -> AsyncIterator[FarSide]:
    async with far_side() as side:
        side.answers[ALERTS] = Answer(body="[]")
        side.answers[STATUS] = _up_since("2026-11-22T10:00:00.000+01:00")
        yield side


def _up_since(text: object) -> Answer:
    return Answer(body=json.dumps({"uptime": text, "cluster": {"status": "disabled"}}))


def listed(name: str = "High", **changes: object) -> dict[str, object]:
    """One alert as the API lists it."""
    alert: dict[str, object] = {
        "fingerprint": f"of-{name}",
        "labels": {"alertname": name, "name": "web"},
        "annotations": {},
        "receivers": [{"name": "relevo"}],
        "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
        "startsAt": "2026-11-22T12:00:00.123456789Z",
        "endsAt": "2026-11-22T12:05:00.000Z",
        "updatedAt": "2026-11-22T12:00:00.000Z",
    }
    return alert | changes


def listing_of(*alerts: object) -> Answer:
    return Answer(body=json.dumps(alerts))


def states(listing: AlertListing) -> dict[str, ListedState]:
    return {alert.labels["alertname"]: alert.state for alert in listing.alerts}


async def _post(
    client: httpx.AsyncClient, urls: Sequence[str], *names: str, ends: datetime | None = None
) -> None:
    alerts = [
        {
            "labels": {"alertname": name, "severity": "critical", "name": "web"},
            "annotations": {"relevo_settle": "4m"},
            "startsAt": START.isoformat(),
        }
        | ({"endsAt": ends.isoformat()} if ends else {})
        for name in names
    ]
    for url in urls:
        (await client.post(url + ALERTS, json=alerts)).raise_for_status()


async def _silence(client: httpx.AsyncClient, url: str, name: str) -> str:
    matcher = {"name": "alertname", "value": name, "isRegex": False, "isEqual": True}
    now = datetime.fromisoformat((await client.get(url + STATUS)).json()["uptime"])
    silence = {
        "matchers": [matcher],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "test",
        "comment": "test",
    }
    answer = await client.post(f"{url}/api/v2/silences", json=silence)
    return str(answer.raise_for_status().json()["silenceID"])


# ------------------------------------------------------------------- the real thing


async def test_lists_what_is_routed_to_us_and_nothing_else(
    pair: tuple[str, str], client: httpx.AsyncClient
) -> None:
    await _post(client, pair[:1], "Plain")
    warning = {"labels": {"alertname": "Warning", "severity": "warning", "name": "web"}}
    (await client.post(pair[0] + ALERTS, json=[warning])).raise_for_status()

    listing = await Alertmanagers(pair[:1], "relevo", client).listing()

    (plain,) = [alert for alert in listing.alerts if alert.labels["alertname"] == "Plain"]
    assert plain.labels == {"alertname": "Plain", "severity": "critical", "name": "web"}
    assert plain.alert_annotations == {"relevo_settle": "4m"}
    assert plain.state is ListedState.ACTIVE
    assert plain.starts_at == START
    assert len(plain.fingerprint) == 16
    assert "Warning" not in states(listing)
    assert "Warning" in states(await Alertmanagers(pair[:1], "slack", client).listing())


async def test_a_silenced_and_an_inhibited_alert_are_suppressed(
    pair: tuple[str, str], client: httpx.AsyncClient
) -> None:
    source = Alertmanagers(pair[:1], "relevo", client)
    silence = await _silence(client, pair[0], "Silenced")
    await _post(client, pair[:1], "Silenced", "Inhibited", "HostDown", "Neither")

    async def silenced() -> bool:
        return states(await source.listing()).get("Silenced") is ListedState.SUPPRESSED

    async def active() -> bool:
        return states(await source.listing()).get("Silenced") is ListedState.ACTIVE

    await eventually(silenced)
    found = states(await source.listing())

    assert found["Inhibited"] is ListedState.SUPPRESSED
    assert found["HostDown"] is ListedState.ACTIVE
    assert found["Neither"] is ListedState.ACTIVE
    await client.delete(f"{pair[0]}/api/v2/silence/{silence}")
    await eventually(active)


async def test_a_resolved_alert_is_no_longer_listed(
    pair: tuple[str, str], client: httpx.AsyncClient
) -> None:
    source = Alertmanagers(pair[:1], "relevo", client)
    await _post(client, pair[:1], "Over")
    assert "Over" in states(await source.listing())

    await _post(client, pair[:1], "Over", ends=START + timedelta(seconds=1))

    assert "Over" not in states(await source.listing())


async def test_the_watchdog_is_found_although_it_is_routed_to_nobody(
    pair: tuple[str, str], client: httpx.AsyncClient
) -> None:
    source = Alertmanagers(pair[:1], "relevo", client)
    assert not (await source.listing()).watchdog
    watchdog = {"labels": {"alertname": "RelevoWatchdog", "severity": "none"}}
    (await client.post(pair[0] + ALERTS, json=[watchdog])).raise_for_status()

    listing = await source.listing()

    assert listing.watchdog
    assert "RelevoWatchdog" not in states(listing)


async def test_two_that_disagree_are_merged_the_active_one_wins(
    pair: tuple[str, str], client: httpx.AsyncClient
) -> None:
    await _silence(client, pair[0], "Both")
    await _post(client, pair, "Both")
    await _post(client, pair[1:], "OnlySecond")

    listing = await Alertmanagers(pair, "relevo", client).listing()
    found = states(listing)

    assert found["Both"] is ListedState.ACTIVE
    assert found["OnlySecond"] is ListedState.ACTIVE
    assert len({alert.fingerprint for alert in listing.alerts}) == len(listing.alerts)
    uptimes = [(await client.get(url + STATUS)).json()["uptime"] for url in pair]
    assert listing.up_since == min(map(datetime.fromisoformat, uptimes))


@pytest.mark.parametrize(
    ("generator", "sent", "behind"),
    [
        pytest.param("http://prometheus/graph", "12:00:00", 150, id="sent-no-more"),
        pytest.param("http://prometheus/graph", "12:02:45", 0, id="sent-after-the-watchdog"),
        pytest.param("", "12:00:00", 0, id="posted-by-hand-once"),
    ],
)
async def test_how_far_an_alert_is_behind_the_watchdog(
    fake: FarSide, client: httpx.AsyncClient, generator: str, sent: str, behind: float
) -> None:
    fake.answers[ALERTS] = listing_of(
        listed(generatorURL=generator, updatedAt=f"2026-11-22T{sent}.000Z"),
        listed(
            "RelevoWatchdog",
            receivers=[{"name": "nobody"}],
            updatedAt="2026-11-22T12:02:30.000Z",
        ),
    )

    (alert,) = (await Alertmanagers([fake.url], "relevo", client).listing()).alerts

    assert alert.behind == timedelta(seconds=behind)


async def test_of_two_that_list_it_the_one_that_heard_last_counts(
    fake: FarSide, other: FarSide, client: httpx.AsyncClient
) -> None:
    for side, sent in ((fake, "12:00:00"), (other, "12:02:30")):
        side.answers[ALERTS] = listing_of(
            listed(generatorURL="http://p/graph", updatedAt=f"2026-11-22T{sent}.000Z"),
            listed("RelevoWatchdog", updatedAt="2026-11-22T12:02:30.000Z"),
        )

    listing = await Alertmanagers([fake.url, other.url], "relevo", client).listing()

    assert {alert.behind for alert in listing.alerts} == {timedelta(0)}


async def test_one_of_two_is_enough(pair: tuple[str, str], client: httpx.AsyncClient) -> None:
    await _post(client, pair[1:], "Here")
    dead = f"http://127.0.0.1:{free_port()}"

    assert "Here" in states(await Alertmanagers((dead, pair[1]), "relevo", client).listing())


# ------------------------------------------------------------------- strict fakes


async def test_nobody_answering_says_what_each_did(
    fake: FarSide, client: httpx.AsyncClient
) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    fake.answers[STATUS] = Answer(status=500, body="oops")

    with pytest.raises(SourceUnavailable) as caught:
        await Alertmanagers((dead, fake.url), "relevo", client).listing()

    first, second = str(caught.value).split("; ")
    assert first.startswith(f"Alertmanager at {dead}{ALERTS} cannot be asked")
    assert second == f"Alertmanager at {fake.url}{STATUS} answered 500: oops"


async def test_without_any_the_source_is_unavailable(client: httpx.AsyncClient) -> None:
    with pytest.raises(SourceUnavailable, match="none is configured"):
        await Alertmanagers((), "relevo", client).listing()


@pytest.mark.parametrize(
    ("alerts", "status", "says"),
    [
        pytest.param(Answer(hangs=True), None, "no answer within 0.3 s", id="hangs"),
        pytest.param(Answer(drips=True), None, "no answer within 0.3 s", id="drips"),
        pytest.param(Answer(breaks=True), None, "cannot be asked", id="breaks-off"),
        pytest.param(Answer(body="<html>"), None, "not JSON", id="a-login-page"),
        pytest.param(Answer(status=401, body="who?"), None, "answered 401", id="401"),
        pytest.param(Answer(body='{"data":[]}'), None, "form that is not known", id="api-v1"),
        pytest.param(None, Answer(body="{}"), "uptime: Field required", id="no-uptime"),
        pytest.param(None, _up_since("soon"), "form that is not known", id="uptime-no-time"),
        pytest.param(None, _up_since("2026-11-22T11:00:00"), "timezone", id="uptime-no-zone"),
        pytest.param(
            None, _up_since("0001-01-01T00:00:00+05:00"), "anything happened", id="uptime-year-1"
        ),
    ],
)
async def test_what_is_not_an_answer_is_one_sentence(
    fake: FarSide,
    client: httpx.AsyncClient,
    alerts: Answer | None,
    status: Answer | None,
    says: str,
) -> None:
    fake.answers[ALERTS] = alerts or fake.answers[ALERTS]
    fake.answers[STATUS] = status or fake.answers[STATUS]
    source = Alertmanagers((fake.url,), "relevo", client, limit=timedelta(seconds=0.3))

    with pytest.raises(SourceUnavailable, match=says) as caught:
        await source.listing()

    assert "\n" not in str(caught.value)


BAD: dict[str, object] = {
    "not-an-object": 7,
    "no-fingerprint": listed(fingerprint=None),
    "labels-not-text": listed(labels={"alertname": "High", "name": 7}),
    "labels-missing": listed(labels=None),
    "no-receivers": listed(receivers=None),
    "no-state": listed(status={}),
    "no-start": listed(startsAt=None),
    "start-without-zone": listed(startsAt="2026-11-22T12:00:00"),
    "zero-time": listed(startsAt="0001-01-01T00:00:00Z"),
    "last-year-there-is": listed(startsAt="9999-12-31T23:59:59-05:00"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_one_bad_alert_never_loses_its_neighbours(
    fake: FarSide, client: httpx.AsyncClient, bad: object
) -> None:
    fake.answers[ALERTS] = listing_of(bad, listed("Good"), listed("RelevoWatchdog", receivers=[]))

    listing = await Alertmanagers((fake.url,), "relevo", client).listing()

    assert states(listing) == {"Good": ListedState.ACTIVE}
    assert listing.watchdog


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({"state": "active", "silencedBy": [], "inhibitedBy": []}, ListedState.ACTIVE),
        ({"state": "unprocessed"}, ListedState.ACTIVE),
        ({"state": "suppressed", "silencedBy": ["x"]}, ListedState.SUPPRESSED),
        ({"state": "suppressed", "inhibitedBy": ["x"], "silencedBy": None}, ListedState.SUPPRESSED),
        ({"state": "active", "mutedBy": ["nights"]}, ListedState.SUPPRESSED),
    ],
)
async def test_every_way_of_holding_back_is_suppressed(
    fake: FarSide, client: httpx.AsyncClient, status: dict[str, object], state: ListedState
) -> None:
    fake.answers[ALERTS] = listing_of(listed(status=status, fieldOfNextYear=1))

    assert states(await Alertmanagers((fake.url,), "relevo", client).listing()) == {"High": state}


async def test_the_times_are_in_utc_and_the_longest_up_counts(
    fake: FarSide, other: FarSide, client: httpx.AsyncClient
) -> None:
    fake.answers[ALERTS] = listing_of(listed(startsAt="2026-11-22T13:00:00+01:00"))

    listing = await Alertmanagers((f"{fake.url}/", other.url), "relevo", client).listing()

    assert listing.alerts[0].starts_at == START
    assert listing.alerts[0].starts_at.utcoffset() == timedelta(0)
    assert listing.up_since == datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


async def test_alerts_are_asked_before_the_status(fake: FarSide, client: httpx.AsyncClient) -> None:
    """One that restarts in between must not pass for long up and quiet."""
    await Alertmanagers((fake.url,), "relevo", client).listing()

    assert fake.asked == [ALERTS, STATUS]


async def test_trouble_is_logged_when_it_changes(fake: FarSide, client: httpx.AsyncClient) -> None:
    good, down = fake.answers[ALERTS], Answer(status=503, body="down")
    source = Alertmanagers((fake.url,), "relevo", client)

    with capture_logs() as logs:
        for answer in (good, down, down, listing_of(7), listing_of(7), good, good):
            fake.answers[ALERTS] = answer
            try:
                await source.listing()
            except SourceUnavailable:
                assert answer is down

    told = [log for log in logs if log["log_level"] != "debug"]
    assert [log["log_level"] for log in told] == ["warning", "warning", "info"]
    assert "503" in told[0]["trouble"]
    assert told[1]["trouble"] == "1 alerts cannot be read: left out"


# ------------------------------------------------------------------- may a pull open anything?

MUTED_AT_TIMES = """
route:
  receiver: nobody
  routes:
    - matchers: ['severity="critical"']
      receiver: relevo
      group_wait: 0s
      %s: [always]
      continue: true
    - {matchers: ['severity=~"critical|warning"'], receiver: slack}
receivers: [{name: nobody}, {name: relevo}, {name: slack}]
time_intervals:
  - {name: always, time_intervals: [{times: [{start_time: '00:00', end_time: '24:00'}]}]}
"""


@pytest.mark.parametrize("key", ["mute_time_intervals", "active_time_intervals"])
async def test_a_real_one_that_mutes_at_times_opens_nothing(
    key: str, pair: tuple[str, str], client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """What it mutes it lists as active, and nobody was notified of it."""
    (tmp_path / "muting.yml").write_text(MUTED_AT_TIMES % key)
    url = f"http://127.0.0.1:{free_port()}/am"
    with _alertmanager(require("alertmanager"), url, tmp_path, "0", "muting.yml"):
        await _post(client, (url,), "AtNight")
        muting = await Alertmanagers((url,), "relevo", client).listing()
        others = await Alertmanagers((url,), "slack", client).listing()
        merged = await Alertmanagers((*pair, url), "relevo", client).listing()

    assert states(muting) == {"AtNight": ListedState.ACTIVE}
    assert not muting.may_open
    # Somebody else's nights are nothing to us.
    assert others.may_open
    assert not merged.may_open


async def test_real_ones_that_never_mute_may_open(
    pair: tuple[str, str], client: httpx.AsyncClient
) -> None:
    assert (await Alertmanagers(pair, "relevo", client).listing()).may_open


@pytest.mark.parametrize(
    ("route", "muted"),
    [
        pytest.param("route: {receiver: relevo}", False, id="none"),
        pytest.param(
            "route: {receiver: a, routes: [{receiver: relevo, mute_time_intervals: [n]}]}",
            True,
            id="muted",
        ),
        pytest.param(
            "route: {receiver: a, routes: [{receiver: relevo, active_time_intervals: [n]}]}",
            True,
            id="active-at-times",
        ),
        pytest.param(
            "route: {receiver: a, routes: [{receiver: relevo, mute_time_intervals: []}]}",
            False,
            id="an-empty-list",
        ),
        pytest.param(
            "route: {receiver: relevo, routes: [{mute_time_intervals: [n]}]}", True, id="inherited"
        ),
        pytest.param(
            "route: {routes: [{routes: [{receiver: relevo, mute_time_intervals: [n]}]}]}",
            True,
            id="deep-down",
        ),
        pytest.param(
            "route: {routes: [{mute_time_intervals: [n], routes: [{receiver: relevo}]}]}",
            True,
            id="above-ours",
        ),
        pytest.param(
            "route: {receiver: relevo, routes: [{receiver: a, mute_time_intervals: [n]}]}",
            False,
            id="another-receiver's",
        ),
        pytest.param(
            "route: {receiver: relevo}\nmute_time_intervals: [{name: n}]", False, id="only-defined"
        ),
        pytest.param(
            "route: {receiver: relevo, routes: [{matchers: ['a=\"mute_time_intervals\"']}]}",
            False,
            id="a-word-in-a-text",
        ),
        pytest.param("", True, id="empty"),
        pytest.param("<secret>", True, id="hidden"),
        pytest.param(None, True, id="not-told"),
        pytest.param(7, True, id="a-number"),
        pytest.param("route: [mute_time_intervals", True, id="no-yaml"),
        pytest.param("route: mute_time_intervals", True, id="a-route-that-is-none"),
        pytest.param("route: {routes: 7, x: mute_time_intervals}", True, id="routes-that-are-none"),
        pytest.param("route: {}\nroute: {mute_time_intervals: []}", True, id="two-roots"),
        pytest.param("route: {mute_time_intervals: []}\na: &a [*b]", True, id="a-loose-alias"),
        pytest.param(
            "route: {mute_time_intervals: [], a: " + "[" * 5000, True, id="nested-deeply"
        ),
        pytest.param(
            "route: {mute_time_intervals: []}\n" + "# much\n" * 200_000, True, id="too-large"
        ),
    ],
)  # fmt: skip
def test_whether_routes_to_us_may_be_muted(route: object, muted: bool) -> None:
    assert may_mute(route, "relevo") is muted


def _said_of_itself(config: object, version: object = "0.25.0") -> Answer:
    said = {"uptime": "2026-11-22T11:00:00Z", "config": config, "versionInfo": version}
    return Answer(body=json.dumps(said))


@pytest.mark.parametrize("config", [None, 7, [], {}, {"original": None}, {"original": "?"}])
@pytest.mark.parametrize("version", [None, {"version": "0.31.0"}])
async def test_what_it_does_not_say_of_itself_counts_as_muted_and_costs_no_alert(
    fake: FarSide, client: httpx.AsyncClient, config: object, version: object
) -> None:
    fake.answers[ALERTS] = listing_of(listed())
    fake.answers[STATUS] = _said_of_itself(config, version)

    listing = await Alertmanagers((fake.url,), "relevo", client).listing()

    assert states(listing) == {"High": ListedState.ACTIVE}
    assert not listing.may_open


async def test_a_new_configuration_is_looked_at(fake: FarSide, client: httpx.AsyncClient) -> None:
    source = Alertmanagers((fake.url,), "relevo", client)
    muted = {"original": "route: {receiver: relevo, mute_time_intervals: [n]}"}
    free = {"original": "route: {receiver: relevo}"}

    async def may_open(config: object) -> bool:
        fake.answers[STATUS] = _said_of_itself(config)
        return (await source.listing()).may_open

    assert [await may_open(each) for each in (muted, muted, free, muted)] == [
        False, False, True, False,
    ]  # fmt: skip


# ------------------------------------------------------------------- posting our own

POST = f"POST {ALERTS}"
ENDED = START + timedelta(minutes=1)


def own(name: str = "RelevoEscalated", **changes: Any) -> OwnAlert:
    values: dict[str, Any] = {
        "labels": {"alertname": name, "engine": "h1", "name": "web", "severity": "critical"},
        "alert_annotations": {"summary": "web \u2013 <b>", "relevo_url": "http://relevo/r/1"},
        "starts_at": START,
        "ends_at": datetime(2100, 1, 1, tzinfo=UTC),
    }
    return OwnAlert(**(values | changes))


@pytest.fixture(scope="module")
def shipped_like(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Alertmanager whose route to us leaves out our own alerts, as the shipped one does."""
    folder = tmp_path_factory.mktemp("shipped")
    config = CONFIG.replace(
        """'severity="critical"'""", """'severity="critical"', 'alertname!~"Relevo.*"'"""
    )
    assert config != CONFIG
    (folder / "own.yml").write_text(config)
    url = f"http://127.0.0.1:{free_port()}/am"
    with _alertmanager(require("alertmanager"), url, folder, "0", "own.yml"):
        yield url


async def test_what_we_post_goes_to_people_not_to_us_until_it_is_over(
    shipped_like: str, client: httpx.AsyncClient
) -> None:
    urls = (shipped_like, f"http://127.0.0.1:{free_port()}")
    source = Alertmanagers(urls, "relevo", client)
    people = Alertmanagers(urls, "slack", client)

    await source.post([own(), own("RelevoScaledOut")])
    await source.post([own()])

    found = {alert.labels["alertname"]: alert for alert in (await people.listing()).alerts}
    assert set(found) == {"RelevoEscalated", "RelevoScaledOut"}
    assert found["RelevoEscalated"].labels == own().labels
    assert found["RelevoEscalated"].alert_annotations == own().alert_annotations
    assert found["RelevoEscalated"].starts_at == START
    assert (await source.listing()).alerts == ()

    await source.post([own(ends_at=ENDED)])

    assert set(states(await people.listing())) == {"RelevoScaledOut"}


async def test_posts_json_to_every_one(
    fake: FarSide, other: FarSide, client: httpx.AsyncClient
) -> None:
    for side in (fake, other):
        side.answers[POST] = Answer(body="")

    await Alertmanagers((f"{fake.url}/", other.url), "relevo", client).post(
        [own(), own("RelevoBrake")]
    )

    for side in (fake, other):
        (posted,) = side.posted
        assert posted.path == ALERTS
        assert posted.headers["content-type"] == "application/json"
        first, second = json.loads(posted.body)
        assert second["labels"]["alertname"] == "RelevoBrake"
        assert first == {
            "labels": own().labels,
            "annotations": own().alert_annotations,
            "startsAt": "2026-11-22T12:00:00+00:00",
            "endsAt": "2100-01-01T00:00:00+00:00",
        }


async def test_nothing_to_post_asks_nobody(fake: FarSide, client: httpx.AsyncClient) -> None:
    await Alertmanagers((fake.url,), "relevo", client).post([])

    assert fake.posted == []


async def test_half_a_character_is_no_reason_to_lose_an_alert(
    fake: FarSide, client: httpx.AsyncClient
) -> None:
    fake.answers[POST] = Answer(body="")

    await Alertmanagers((fake.url,), "relevo", client).post(
        [own(alert_annotations={"summary": "log: \ud800"})]
    )

    assert fake.posted[0].body.isascii()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param(Answer(hangs=True), "no answer within 0.3 s", id="hangs"),
        pytest.param(Answer(drips=True), "no answer within 0.3 s", id="drips"),
        pytest.param(Answer(breaks=True), "cannot be asked", id="breaks-off"),
        pytest.param(Answer(status=400, body='"start time must be"'), "400: .start", id="400"),
        pytest.param(Answer(status=302, headers=("Location: /login",)), "answered 302", id="302"),
        pytest.param(Answer(status=503, body="no\nroom"), "503: no room", id="503"),
    ],
)
async def test_one_that_takes_them_is_enough_none_says_what_each_did(
    fake: FarSide, other: FarSide, client: httpx.AsyncClient, answer: Answer, says: str
) -> None:
    fake.answers[POST], other.answers[POST] = answer, Answer(body="")
    limit = timedelta(seconds=0.3)

    await Alertmanagers((fake.url, other.url), "relevo", client, limit=limit).post([own()])

    dead = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(SourceUnavailable, match=says) as caught:
        await Alertmanagers((dead, fake.url), "relevo", client, limit=limit).post([own()])
    assert str(caught.value).startswith(f"Alertmanager at {dead}{ALERTS} cannot be asked")
    assert "\n" not in str(caught.value)


async def test_without_any_nothing_can_be_posted(client: httpx.AsyncClient) -> None:
    with pytest.raises(SourceUnavailable, match="none is configured"):
        await Alertmanagers((), "relevo", client).post([own()])


async def test_trouble_with_posting_is_logged_when_it_changes(
    fake: FarSide, other: FarSide, client: httpx.AsyncClient
) -> None:
    """Also where another member took them; and listing has troubles of its own."""
    good, down, full = Answer(body=""), Answer(status=503), Answer(status=500)
    other.answers[POST] = good
    source = Alertmanagers((fake.url, other.url), "relevo", client)

    with capture_logs() as logs:
        for answer in (good, down, down, full, good, good):
            fake.answers[POST] = answer
            await source.post([own()])
            await source.listing()

    assert [(log["log_level"], log["call"]) for log in logs] == [
        ("warning", "post"), ("warning", "post"), ("info", "post"),
    ]  # fmt: skip
