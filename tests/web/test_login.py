"""The way in, and the way out."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import Request
from structlog.testing import capture_logs

from app.api.deps import Scope, Tokens
from app.api.sessions import COOKIE, LASTS, Sessions
from app.errors import StoreUnavailable
from app.ports import Store
from app.web.links import Links
from app.web.route import PageRoute
from app.web.site import site
from tests.api.conftest import application
from tests.controller.house import House, VirtualClock, pass_time
from tests.memory_store import make_store
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
    assert cookie.startswith(f"{COOKIE}_5000=")
    assert "Path=/;" in cookie
    assert f"Max-Age={round(LASTS.total_seconds())}" in cookie
    assert "Secure" not in cookie
    assert "operate" not in cookie


OUTSIDE = "https://relevo.example"
PREFIXED = f"{OUTSIDE}/relevo"


@pytest.mark.parametrize(
    ("external", "base", "origin", "begins", "holds"),
    [
        pytest.param(OUTSIDE, BASE, OUTSIDE, f"__Host-{COOKIE}_5000=", "Path=/; ", id="proxy"),
        pytest.param(OUTSIDE, OUTSIDE, OUTSIDE, f"__Host-{COOKIE}=", "Path=/; ", id="its-name"),
        pytest.param(PREFIXED, OUTSIDE, OUTSIDE, f"{COOKIE}=", "Path=/relevo; ", id="path"),
        pytest.param(PREFIXED, BASE, BASE, f"{COOKIE}_5000=", "Path=/; ", id="past-the-proxy"),
        pytest.param(OUTSIDE, BASE, None, f"{COOKIE}_5000=", "Path=/; ", id="says-not-whence"),
    ],
)
async def test_behind_https_it_never_goes_without(
    house: House, external: str, base: str, origin: str | None, begins: str, holds: str
) -> None:
    async with browser(house, TOKENS, base=base, external_url=external) as http:
        sent = {"Sec-Fetch-Site": "same-origin"} | ({"Origin": origin} if origin else {})
        answer = await http.post("/login", data={"token": "read"}, headers=sent)
        cookie = answer.headers["set-cookie"]
        assert "Secure" in cookie
        assert cookie.startswith(begins)
        assert holds in f"{cookie}; "
        back = {"Cookie": cookie.partition(";")[0]}
        assert (await http.get("/", headers=back)).status_code == 200


@pytest.mark.parametrize("host", ["10.0.0.5:5000", "relevo.example", "relevo"])
async def test_by_plain_http_where_people_come_by_https_the_way_in_says_so(
    house: House, host: str
) -> None:
    """A browser would drop the cookie, and the login would lead to the login."""
    base = f"http://{host}"
    async with browser(house, TOKENS, base=base, external_url=PREFIXED) as http:
        answer = await http.post("/login", data={"token": "read"}, headers={"Origin": base})

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "log in at the https address" in answer.text


async def test_two_on_one_host_do_not_log_each_other_out(house: House) -> None:
    """Cookies know no ports: the browser sends both to both."""
    others = {Scope.READ: ["another"]}
    jar: dict[str, str] = {}
    for tokens, port, token in ((TOKENS, 5000, "read"), (others, 5002, "another")):
        base = f"http://127.0.0.1:{port}"
        async with browser(house, tokens, base=base) as http:
            sent = {"token": token, "next": "/"}
            await http.post("/login", data=sent, headers={"Origin": base})
            jar |= dict(http.cookies)
    assert len(jar) == 2
    both = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())}
    for tokens, port in ((TOKENS, 5000), (others, 5002)):
        async with browser(house, tokens, base=f"http://127.0.0.1:{port}") as http:
            assert (await http.get("/", headers=both)).status_code == 200
    async with browser(house, others, base="http://127.0.0.1:5002") as http:
        out = {**both, "Origin": "http://127.0.0.1:5002"}
        answer = await http.post("/logout", headers=out)
        assert answer.headers["set-cookie"].startswith(f'{COOKIE}_5002=""')
        assert (await http.get("/", headers=both)).status_code == 303
    async with browser(house, TOKENS) as http:
        assert (await http.get("/", headers=both)).status_code == 200


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


async def test_forty_at_once_are_no_faster(house: House) -> None:
    """Also the right one among them is not told from the others."""
    with capture_logs() as lines:
        async with browser(house, TOKENS) as http:
            begin = house.clock.now()
            tokens = [*(f"wrong-{number}" for number in range(20)), "read"]
            tokens += [f"wrong-{number}" for number in range(20, 39)]
            answers = await asyncio.gather(*(login(http, token) for token in tokens))
            took = (house.clock.now() - begin).total_seconds()
            assert "set-cookie" not in {name for one in answers for name in one.headers}
            compared = [one.status_code for one in answers].count(403)
            assert compared <= 1 + took / 0.25
            assert [one.status_code for one in answers].count(429) == 40 - compared
            assert all(one.headers["retry-after"] for one in answers if one.status_code == 429)

            # Nobody is shut out for longer than his own address owes.
            await pass_time(seconds=8)
            assert (await login(http, "read")).status_code == 303

    assert [line["event"] for line in lines].count("login refused") == 1


@pytest.mark.parametrize("after", ["//elsewhere.example", "https://elsewhere.example", "\\\\x"])
async def test_it_leads_nowhere_else(house: House, after: str) -> None:
    async with browser(house, TOKENS) as http:
        assert (await login(http, "read", after)).headers["location"] == "./"


async def test_logging_out_ends_the_session(house: House) -> None:
    async with browser(house, TOKENS) as http:
        await login(http, "read")
        kept = http.cookies[f"{COOKIE}_5000"]

        answer = await http.post("/logout", headers=FROM_HERE)

        assert answer.headers["location"] == "./login"
        assert (await http.get("/")).status_code == 303
        stolen = {"Cookie": f"{COOKIE}={kept}"}
        assert (await http.get("/", headers=stolen)).status_code == 303


async def test_logged_out_it_stays_after_a_restart_and_at_the_other_controller(
    house: House,
) -> None:
    async with browser(house, TOKENS) as http, browser(house, TOKENS) as other:
        await login(http, "read")
        copied = dict(http.cookies)
        other.cookies.update(copied)
        assert (await other.get("/")).status_code == 200
        await http.post("/logout", headers=FROM_HERE)

        await pass_time(seconds=6)

        assert (await other.get("/")).status_code == 303
        async with browser(house, TOKENS) as later:
            later.cookies.update(copied)
            assert (await later.get("/")).status_code == 303


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


async def test_by_plain_http_of_another_host_no_browser_says_whence_a_link_came(
    house: House,
) -> None:
    base = "http://10.0.0.5:5000"
    async with browser(house, TOKENS, base=base) as http:
        assert "data-again" in (await http.get("/login?next=%2Ftargets%2Fweb")).text
        assert "data-again" not in (await http.get("/login?again=1&next=%2F")).text
        # It has been sent, and is over: nothing is gained by asking again.
        over = {"Cookie": f"{COOKIE}_5000=x"}
        assert "data-again" not in (await http.get("/login?next=%2F", headers=over)).text


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


def sessions_of(
    clock: VirtualClock,
    tokens: dict[Scope, list[str]] | None = None,
    store: Store | None = None,
) -> Sessions:
    """The sessions of one controller of a store."""
    kept = (store or make_store()).orders
    return Sessions(Tokens(TOKENS if tokens is None else tokens), clock, lambda: kept)


async def test_a_session_has_the_scopes_of_its_token(clock: VirtualClock) -> None:
    sessions = sessions_of(clock)

    found = {}
    for scope in Scope:
        cookie = sessions.open(TOKENS[scope][0])
        session = await sessions.of(cookie or "")
        found[scope] = session.scopes if session is not None else None

    assert found == {
        Scope.INGEST: None,
        Scope.READ: {Scope.READ},
        Scope.OPERATE: {Scope.READ, Scope.OPERATE},
        Scope.ADMIN: set(Scope),
    }


async def test_it_ends_after_its_time(clock: VirtualClock) -> None:
    sessions = sessions_of(clock)
    cookie = sessions.open("read") or ""
    await pass_time(hours=12, seconds=-2)
    assert await sessions.of(cookie) is not None

    await pass_time(seconds=3)

    assert await sessions.of(cookie) is None


async def test_it_ends_with_its_token(clock: VirtualClock) -> None:
    cookie = sessions_of(clock).open("operate") or ""

    assert await sessions_of(clock).of(cookie) is not None  # another controller, or later
    rotated = TOKENS | {Scope.OPERATE: ["operate-next"]}
    assert await sessions_of(clock, rotated).of(cookie) is None


async def test_a_forged_one_is_none(clock: VirtualClock) -> None:
    sessions = sessions_of(clock)
    cookie = sessions.open("read") or ""
    end, name, mac = cookie.split(".")
    forged = [
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

    assert await sessions.of(cookie) is not None
    assert [await sessions.of(one) for one in forged] == [None] * len(forged)


async def test_without_tokens_nobody_has_to(clock: VirtualClock) -> None:
    request = Request({"type": "http", "headers": []})
    session = await sessions_of(clock, {}).find(request)

    assert session is not None
    assert session.opens(Scope.OPERATE)


async def test_without_a_store_a_session_lasts_and_ends_here(clock: VirtualClock) -> None:
    store = make_store()
    sessions, other = sessions_of(clock, store=store), sessions_of(clock, store=store)
    cookie = sessions.open("read") or ""
    orders: Any = store.orders
    asked = 0

    async def away(*_: object) -> None:
        nonlocal asked
        asked += 1
        raise StoreUnavailable("connection refused")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orders, "reply", away, raising=False)
        patch.setattr(orders, "replied", away, raising=False)
        for _ in range(10):
            assert await sessions.of(cookie) is not None
        assert asked == 1
        session = await sessions.of(cookie)
        assert session is not None
        await sessions.end(session)
        assert await sessions.of(cookie) is None
        assert await other.of(cookie) is not None
