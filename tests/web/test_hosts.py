"""Without tokens: who is let in by which name, and from where; each route is walked."""

import asyncio
from collections.abc import Iterable, Iterator

import httpx
import pytest
from fastapi import Request
from starlette.routing import Route
from structlog.testing import capture_logs

from app.api.deps import Scope
from app.api.hosts import Names, name_of
from app.api.slowing import address_of
from app.web import docs
from app.web.links import Links
from app.web.site import site
from tests.api.conftest import application
from tests.api.test_webhooks import PATH as WEBHOOK
from tests.api.test_webhooks import alert, notification
from tests.controller.house import House, pass_time
from tests.scrape import Scrape
from tests.web.conftest import BASE, TOKENS, browser

#: Where a stranger has led a name of his to our address, his page asks like this.
REBOUND = {
    "Host": "elsewhere.example:5000",
    "Origin": "http://elsewhere.example:5000",
    "Sec-Fetch-Site": "same-origin",
}
OPEN = {"/-/healthy", "/-/ready", "/static/pages.css"}


def routes_of(routes: Iterable[object]) -> Iterator[tuple[str, str]]:
    """Method and path of every route, those of routers in routers among them."""
    for route in routes:
        if isinstance(route, Route):
            for method in route.methods or ():
                names = {"target": "web", "verb": "restart", "remediation_id": "x"}
                path = route.path.replace("{path:path}", "pages.css")
                yield method, path.format(**names)
        else:
            within = getattr(route, "original_router", None)
            yield from routes_of(within.routes if within is not None else ())


def everything(house: House) -> set[tuple[str, str]]:
    found = set(routes_of(application(house, None, docs.router, site(Links())).routes))
    paths = {path for _, path in found}
    assert {*OPEN, "/", "/docs", "/openapi.json", "/metrics", "/-/reload", WEBHOOK} <= paths
    assert len(found) > 40
    return found


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(REBOUND, id="another-page-by-its-own-name"),
        pytest.param({"Host": "elsewhere.example:5000"}, id="what-it-reads"),
        pytest.param({"Host": "127.0.0.1.elsewhere.example"}, id="looks-like-an-address"),
        pytest.param({"Host": "localhost.elsewhere.example"}, id="looks-like-localhost"),
        pytest.param({"Host": "relevo:5000", "Origin": "http://relevo:5000"}, id="of-a-neighbour"),
        pytest.param({"Origin": "https://elsewhere.example"}, id="another-site"),
        pytest.param({"Origin": "http://127.0.0.1:8080"}, id="another-port"),
        pytest.param({"Origin": "null"}, id="a-sandbox"),
        pytest.param({"Origin": ""}, id="empty"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="the-browser-knows"),
        pytest.param({"Sec-Fetch-Site": "same-site", "Origin": BASE}, id="a-neighbours-port"),
    ],
)
async def test_no_route_answers_a_foreign_page(house: House, headers: dict[str, str]) -> None:
    wrong = {}
    async with browser(house) as http:
        for method, path in everything(house):
            # (Events would never end.)
            async with asyncio.timeout(10):
                answer = await http.request(method, path, headers=headers, json={"reason": "x"})
            expected = path not in OPEN
            if (answer.status_code == 403) is not expected:
                wrong[method, path] = answer.status_code

    assert wrong == {}
    assert await house.store.controls.pause() is None


@pytest.mark.parametrize("path", ["/api/v1/pause", "/-/reload", "/nothing-here", WEBHOOK])
async def test_it_says_what_to_do(house: House, path: str) -> None:
    async with browser(house) as http:
        answer = await http.post(path, headers=REBOUND)

    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()["detail"]
    assert "RELEVO_EXTERNAL_URL" in said
    # A proxy may say another name than the browser: then only the name itself leads on.
    assert "elsewhere.example:5000" in said
    assert "proxy_set_header Host $host" in said


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("relevo", "relevo"),
        ("a" * 400, "a" * 100),
        ('<b>"\u202e\\x', "?b??????x"),
        ("", "none"),
    ],
)
async def test_the_name_that_is_refused_is_said_and_harmless(
    house: House, host: str, said: str
) -> None:
    async with browser(house) as http:
        answer = await http.get("/", headers={b"Host": host.encode()})

    assert answer.headers["content-type"] == "application/problem+json"
    assert f"asked by the name {said}:" in answer.json()["detail"]


async def test_behind_a_proxy_that_says_the_browsers_name(house: House) -> None:
    async with browser(house, external_url="https://relevo.example") as http:
        upstream = await http.get("/", headers={"Host": "relevo"})
        passed_on = await http.get("/", headers={"Host": "relevo.example"})

    assert (upstream.status_code, passed_on.status_code) == (403, 200)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:5000",
        "127.0.0.1",
        "localhost:5000",
        "LOCALHOST:5000",
        "relevo.localhost:5000",
        "[::1]:5000",
        "[::1]",
        "192.168.1.4:8000",
        "relevo.example",
        "relevo.example:5000",
    ],
)
async def test_by_its_own_names_everything_is_open(house: House, host: str) -> None:
    async with browser(house, external_url="https://relevo.example/relevo") as http:
        ours = {"Host": host, "Origin": f"http://{host}"}
        assert (await http.get("/", headers={"Host": host})).status_code == 200
        assert (await http.get("/api/v1/targets", headers={"Host": host})).status_code == 200
        said = {"reason": "x"}
        assert (await http.post("/api/v1/pause", json=said, headers=ours)).status_code == 202
        ours["Origin"] = "https://relevo.example"
        assert (await http.post("/api/v1/resume", json=said, headers=ours)).status_code == 202


@pytest.mark.parametrize("host", ["relevo:5000", "relevo", "host.docker.internal:5000", ""])
async def test_prometheus_and_alertmanager_may_use_the_name_of_a_container(
    house: House, host: str
) -> None:
    """No such name is in the public DNS; people's browsers get nothing by it."""
    headers = {"Host": host}
    async with browser(house) as http:
        assert (await http.get("/metrics", headers=headers)).status_code == 200
        sent = await http.post(WEBHOOK, json=notification(alert()), headers=headers)
        assert sent.status_code == 202
        assert (await http.get("/api/v1/targets", headers=headers)).status_code == 403
        assert (await http.get("/", headers=headers)).status_code == 403
        assert (await http.post("/-/reload", headers=headers)).status_code == 403
        by_a_page = {**headers, "Origin": f"http://{host}"}
        forged = await http.post(WEBHOOK, json=notification(alert()), headers=by_a_page)
        assert forged.status_code == 403


async def test_such_a_name_can_be_given(house: House) -> None:
    async with browser(house, external_url="http://relevo:5000") as http:
        assert (await http.get("/", headers={"Host": "relevo:5000"})).status_code == 200


async def test_a_link_from_elsewhere_shows_a_page_and_does_nothing(house: House) -> None:
    followed = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    async with browser(house) as http:
        assert (await http.get("/targets/web", headers=followed)).status_code == 200
        assert (await http.post("/-/reload", headers=followed)).status_code == 403


@pytest.mark.parametrize("into", ["iframe", "frame", "object", "embed", "document", None])
@pytest.mark.parametrize("host", [BASE.removeprefix("http://"), "a63.localhost:5000"])
async def test_a_foreign_page_takes_no_place_of_those_who_follow(
    house: House, into: str | None, host: str
) -> None:
    """Frames of names that all lead here: 64 of them would leave no place for anybody."""
    framed = {"Host": host, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    if into is not None:
        framed["Sec-Fetch-Dest"] = into
    async with browser(house) as http, asyncio.timeout(10):
        answer = await http.get("/api/v1/events", headers=framed)
        page = await http.get("/", headers=framed)

    assert answer.status_code == 403
    assert page.status_code == (200 if into == "document" else 403)


async def test_where_tokens_ask_any_name_will_do(house: House) -> None:
    """A page that was led here has no token, and no cookie."""
    async with browser(house, TOKENS) as http:
        headers = {"Host": "relevo.example", "Authorization": "Bearer read"}
        assert (await http.get("/api/v1/targets", headers=headers)).status_code == 200
        assert (await http.get("/api/v1/targets", headers=REBOUND)).status_code == 401
        assert (await http.get("/", headers=REBOUND)).status_code == 303


async def test_what_is_refused_is_counted(house: House) -> None:
    async with browser(house) as http:
        await http.post(WEBHOOK, json=notification(alert()), headers=REBOUND)
        await http.get("/", headers=REBOUND)
        await http.get("/", headers=REBOUND)
        text = (await http.get("/metrics")).text

    assert refused(text) == {("ingest", "403"): 1, ("name", "403"): 2}


async def test_refused_tokens_are_counted_by_what_they_were_to_open(house: House) -> None:
    async with browser(house, TOKENS) as http:
        for token in (None, "wrong", "read"):
            shown = {"Authorization": f"Bearer {token}"} if token else {}
            await http.post(WEBHOOK, json=notification(), headers=shown)
        await http.get("/api/v1/status")
        text = (await http.get("/metrics", headers={"Authorization": "Bearer read"})).text

    assert refused(text) == {("ingest", "401"): 2, ("ingest", "403"): 1, ("read", "401"): 1}


def refused(text: str) -> dict[tuple[str, str], float]:
    return {
        (one.labels["scope"], one.labels["status"]): one.value
        for one in Scrape(text).samples
        if one.name == "relevo_refused_requests_total" and one.value
    }


@pytest.mark.looptime
@pytest.mark.parametrize("tokens", [None, TOKENS])
async def test_however_many_are_refused_the_log_stays_short(
    house: House, tokens: dict[Scope, list[str]] | None
) -> None:
    with capture_logs() as lines:
        async with browser(house, tokens) as http:
            for _ in range(100):
                await http.post(WEBHOOK, json=notification(), headers=REBOUND)
            await pass_time(seconds=10)
            await http.post(WEBHOOK, json=notification(), headers=REBOUND)

    told = [line for line in lines if line["event"] == "request refused"]
    assert [(line["scope"], line["log_level"]) for line in told] == [("ingest", "warning")] * 2


@pytest.mark.looptime
async def test_wrong_tokens_are_slowed_and_right_ones_never(house: House) -> None:
    took = []
    async with browser(house, TOKENS) as http:
        for token in ("wrong", "wrong", "wrong", "wrong", None, "in", "read"):
            begin = house.clock.now()
            shown = {"Authorization": f"Bearer {token}"} if token else {}
            await http.get("/api/v1/status", headers=shown)
            took.append((house.clock.now() - begin).total_seconds())

    # Prometheus, whose token was changed, still hears the answer within its patience.
    assert took == pytest.approx([0.25, 0.5, 1.0, 1.0, 0, 0, 0], abs=0.05)


@pytest.mark.looptime
async def test_forty_wrong_tokens_at_once_are_compared_one_after_the_other(house: House) -> None:
    async with browser(house, TOKENS) as http:
        begin = house.clock.now()
        tokens = [*(f"wrong-{number}" for number in range(20)), "admin"]
        tokens += [f"wrong-{number}" for number in range(20, 39)]
        answers = await asyncio.gather(*(status_by(http, token) for token in tokens))
        took = (house.clock.now() - begin).total_seconds()

        assert set(answers) == {401, 503}
        assert answers.count(401) <= 2 + took  # the first two cost less
        assert took < 10
        assert await status_by(http, "admin") == 200


@pytest.mark.looptime
async def test_a_guesser_at_the_same_address_does_not_starve_who_knows_a_token(
    house: House,
) -> None:
    """Behind one proxy, say. One who tries on and on makes others wait for a moment only."""
    async with browser(house, TOKENS) as http:

        async def guess() -> None:
            while True:
                await status_by(http, "wrong")

        guessing = [asyncio.create_task(guess()) for _ in range(4)]
        try:
            await pass_time(seconds=20)
            begin = house.clock.now()
            assert await status_by(http, "read") == 200
            # Prometheus waits for ten seconds.
            assert (house.clock.now() - begin).total_seconds() < 6
        finally:
            for one in guessing:
                one.cancel()
            await asyncio.gather(*guessing, return_exceptions=True)


@pytest.mark.looptime
async def test_guessers_from_everywhere_leave_places_to_others(house: House) -> None:
    """Who has a network has addresses as he likes; held back, each of his guesses has a place."""
    app = application(house, TOKENS)

    async def ask(address: str, token: str) -> int:
        transport = httpx.ASGITransport(app=app, client=(address, 4711))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
            return await status_by(http, token)

    crowd = [f"2001:db8:0:{number:x}::1" for number in range(20)]
    guessing = [asyncio.create_task(ask(one, "wrong")) for one in crowd for _ in range(12)]
    await pass_time(seconds=0.1)

    assert await ask("192.0.2.7", "read") == 200

    assert set(await asyncio.gather(*guessing)) == {401, 503}


@pytest.mark.looptime
async def test_alertmanager_is_heard_through_any_number_of_guesses(house: House) -> None:
    async with browser(house, TOKENS) as http:
        assert await notice_by(http, "in") == 202
        guessing = asyncio.gather(*(notice_by(http, f"wrong-{one}") for one in range(40)))
        await pass_time(seconds=0.1)
        begin = house.clock.now()
        assert await notice_by(http, "in") == 202
        assert (house.clock.now() - begin).total_seconds() < 0.1
        # What opens more is not let past: it might be a guess.
        assert await notice_by(http, "admin") == 503
        # And Alertmanager sends again what was answered with 503.
        assert set(await guessing) == {401, 503}


async def status_by(http: httpx.AsyncClient, token: str) -> int:
    shown = {"Authorization": f"Bearer {token}"}
    return (await http.get("/api/v1/status", headers=shown)).status_code


async def notice_by(http: httpx.AsyncClient, token: str) -> int:
    shown = {"Authorization": f"Bearer {token}"}
    return (await http.post(WEBHOOK, json=notification(alert()), headers=shown)).status_code


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("relevo.example:5000", "relevo.example"),
        ("relevo.example", "relevo.example"),
        ("[::1]:5000", "::1"),
        ("[::1]", "::1"),
        ("127.0.0.1:x", "127.0.0.1:x"),
        ("", ""),
    ],
)
def test_name_of(host: str, name: str) -> None:
    assert name_of(host) == name


@pytest.mark.parametrize(
    ("origin", "host", "is_ours"),
    [
        ("http://a.example", "a.example", True),
        ("http://a.example:80", "a.example", True),
        ("http://a.example:8080", "a.example", False),
        ("http://a.example", "b.example", False),
        ("https://relevo.example", "127.0.0.1:5000", True),
        ("https://relevo.example:443", "127.0.0.1:5000", True),
        ("http://relevo.example", "127.0.0.1:5000", False),
        ("https://relevo.example.elsewhere.example", "127.0.0.1:5000", False),
        ("https://me@relevo.example", "127.0.0.1:5000", True),
        ("null", "null", False),
        ("", "", False),
        ("http://[", "[", False),
    ],
)
def test_is_page(origin: str, host: str, is_ours: bool) -> None:
    assert Names("https://relevo.example/relevo").is_page(origin, host) is is_ours


async def test_the_client_of_such_an_answer_is_told_in_its_document(
    house: House,
) -> None:
    document = application(house).openapi()
    for path in ("/metrics", WEBHOOK, "/api/v1/targets"):
        (operation,) = document["paths"][path].values()
        assert "name" in operation["responses"]["403"]["description"]


async def test_http_1_0_without_a_host_reads_health_only(house: House) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=application(house)), base_url=BASE
    ) as http:
        assert (await http.get("/-/healthy", headers={"Host": ""})).status_code == 200
        assert (await http.get("/api/v1/status", headers={"Host": ""})).status_code == 403


@pytest.mark.parametrize(
    ("client", "address"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8::1:2", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_address_of(client: str, address: str) -> None:
    request = Request({"type": "http", "headers": [], "client": (client, 1)})
    assert address_of(request) == address
