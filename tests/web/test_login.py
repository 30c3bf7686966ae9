"""The way in, and the way out."""

from collections.abc import Iterable, Iterator

import httpx
import pytest

from app.api.deps import Scope, Tokens
from app.api.sessions import COOKIE, LASTS, Sessions
from app.web.links import Links
from app.web.route import PageRoute
from app.web.site import site
from tests.api.conftest import application
from tests.controller.house import House, VirtualClock, pass_time
from tests.web.conftest import BASE, FROM_HERE, TOKENS, browser

pytestmark = pytest.mark.looptime


async def login(http: httpx.AsyncClient, token: str, after: str = "/") -> httpx.Response:
    return await http.post("/login", data={"token": token, "next": after}, headers=FROM_HERE)


@pytest.mark.parametrize("path", ["/", "/targets/web", "/remediations/x?done=cancel", "/pause"])
async def test_without_a_session_a_page_leads_to_the_login_and_back(
    house: House, path: str
) -> None:
    async with browser(house, TOKENS) as http:
        away = await http.get(path)
        assert away.status_code == 303
        there = httpx.URL(BASE + path).join(away.headers["location"])
        assert there.path == "/login"
        assert there.params["next"] == path
        assert 'type="password"' in (await http.get(str(there))).text

        back = await login(http, "operate", path)

        assert back.status_code == 303
        assert httpx.URL(BASE + "/login").join(back.headers["location"]) == httpx.URL(BASE + path)
        assert (await http.get("/")).status_code == 200


OPEN = {"/login", "/logout"}


async def test_no_page_is_open_by_mistake(house: House) -> None:
    routes = application(house, TOKENS, site(Links())).routes
    paths = {
        (method, path.format(target="web", verb="restart", remediation_id="x"))
        for method, path in pages(routes)
    }
    assert len(paths) >= 16
    async with browser(house, TOKENS) as http:
        for method, path in paths:
            if path not in OPEN:
                answer = await http.request(method, path, headers=FROM_HERE)
                assert answer.status_code == 303, path
                assert "/login?next=" in f"/{answer.headers['location']}", path


def pages(routes: Iterable[object]) -> Iterator[tuple[str, str]]:
    """Method and path of every route of a page, those of routers in routers among them."""
    for route in routes:
        if isinstance(route, PageRoute):
            yield from ((method, route.path) for method in route.methods or ())
        else:
            within = getattr(route, "original_router", None)
            yield from pages(within.routes if within is not None else ())


async def test_the_cookie_is_for_us_alone(house: House) -> None:
    async with browser(house, TOKENS) as http:
        cookie = (await login(http, "operate")).headers["set-cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert f"Max-Age={round(LASTS.total_seconds())}" in cookie
    assert "Secure" not in cookie
    assert "operate" not in cookie


async def test_behind_https_it_never_goes_without(house: House) -> None:
    links = Links(external_url="https://relevo.example")
    async with browser(house, TOKENS, links) as http:
        assert "Secure" in (await login(http, "operate")).headers["set-cookie"]


@pytest.mark.parametrize("token", ["", "wrong", "in", "operat", "operate\n x", "é", "\ud83d"])
async def test_any_other_token_opens_nothing(house: House, token: str) -> None:
    async with browser(house, TOKENS) as http:
        sent = {"token": token.encode("utf-8", "replace").decode(), "next": "/"}
        answer = await http.post("/login", data=sent, headers=FROM_HERE)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert "This token opens no page" in answer.text
        assert (await http.get("/")).status_code == 303


async def test_guessing_is_slowed(house: House) -> None:
    async with browser(house, TOKENS) as http:
        took = []
        for _ in range(4):
            begin = house.clock.now()
            await login(http, "wrong")
            took.append((house.clock.now() - begin).total_seconds())
        begin = house.clock.now()
        assert (await login(http, "read")).status_code == 303

    assert took == pytest.approx([0.25, 0.5, 1.0, 2.0], abs=0.05)
    assert (house.clock.now() - begin).total_seconds() < 0.1


@pytest.mark.parametrize("after", ["//elsewhere.example", "https://elsewhere.example", "\\\\x"])
async def test_it_leads_nowhere_else(house: House, after: str) -> None:
    async with browser(house, TOKENS) as http:
        assert (await login(http, "read", after)).headers["location"] == "./"


async def test_logging_out_ends_the_session(house: House) -> None:
    async with browser(house, TOKENS) as http:
        await login(http, "read")
        kept = http.cookies[COOKIE]

        answer = await http.post("/logout", headers=FROM_HERE)

        assert answer.headers["location"] == "./login"
        assert (await http.get("/")).status_code == 303
        stolen = {"Cookie": f"{COOKIE}={kept}"}
        assert (await http.get("/", headers=stolen)).status_code == 303


async def test_from_a_link_of_another_site_our_page_asks_again(house: House) -> None:
    """A strict cookie is not sent along such a link; it is when our own page asks."""
    async with browser(house, TOKENS) as http:
        path = "/login?next=%2Ftargets%2Fweb"
        cold = await http.get(path, headers={"Sec-Fetch-Site": "cross-site"})
        assert 'data-again="./login?again=1&amp;next=%2Ftargets%2Fweb"' in cold.text

        again = await http.get("/login?again=1&next=%2Ftargets%2Fweb")
        assert "data-again" not in again.text

        await login(http, "read")
        warm = await http.get("/login?again=1&next=%2Ftargets%2Fweb")

    assert warm.status_code == 303
    assert warm.headers["location"] == "./targets/web"


async def test_what_the_page_fetches_itself_leads_the_whole_page_to_the_login(
    house: House,
) -> None:
    async with browser(house, TOKENS) as http:
        answer = await http.get("/targets/web/live", headers={"HX-Request": "true"})

    assert answer.status_code == 401
    assert answer.headers["hx-refresh"] == "true"


async def test_a_token_opens_the_api_and_a_session_does_not(house: House) -> None:
    async with browser(house, TOKENS) as http:
        await login(http, "admin")
        assert (await http.get("/api/v1/status")).status_code == 401
        assert (await http.post("/api/v1/pause", json={"reason": "x"})).status_code == 401


# --------------------------------------------------------------------- the cookie itself


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


async def test_a_session_has_the_scopes_of_its_token(clock: VirtualClock) -> None:
    sessions = Sessions(Tokens(TOKENS), clock)

    found = {}
    for scope in Scope:
        cookie = sessions.open(TOKENS[scope][0])
        session = sessions.find(cookie)
        found[scope] = session.scopes if session is not None else None

    assert found == {
        Scope.INGEST: None,
        Scope.READ: {Scope.READ},
        Scope.OPERATE: {Scope.READ, Scope.OPERATE},
        Scope.ADMIN: set(Scope),
    }


async def test_it_ends_after_its_time(clock: VirtualClock) -> None:
    sessions = Sessions(Tokens(TOKENS), clock)
    cookie = sessions.open("read")
    await pass_time(hours=12, seconds=-2)
    assert sessions.find(cookie) is not None

    await pass_time(seconds=3)

    assert sessions.find(cookie) is None


async def test_it_ends_with_its_token(clock: VirtualClock) -> None:
    cookie = Sessions(Tokens(TOKENS), clock).open("operate")

    assert Sessions(Tokens(TOKENS), clock).find(cookie) is not None  # another controller, or later
    rotated = TOKENS | {Scope.OPERATE: ["operate-next"]}
    assert Sessions(Tokens(rotated), clock).find(cookie) is None


async def test_a_forged_one_is_none(clock: VirtualClock) -> None:
    sessions = Sessions(Tokens(TOKENS), clock)
    cookie = sessions.open("read") or ""
    end, name, mac = cookie.split(".")
    forged = [
        None,
        "",
        "x",
        "..",
        f"{int(end) + 1}.{name}.{mac}",
        f"{end}.{name}x.{mac}",
        f"{end}.{name}.{mac[:-1]}",
        f"{end}.{name}.{'0' * 64}",
        f"{end}.{name}.{mac}.x",
        f"9{'9' * 40}.{name}.{mac}",
        f"٣.{name}.{mac}",
        cookie + "x" * 500,
    ]

    assert sessions.find(cookie) is not None
    assert [sessions.find(one) for one in forged] == [None] * len(forged)


async def test_without_tokens_nobody_has_to(clock: VirtualClock) -> None:
    session = Sessions(Tokens({}), clock).find(None)

    assert session is not None
    assert session.opens(Scope.OPERATE)
