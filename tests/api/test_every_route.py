"""Every route of the application, pages too: who may, and who may not."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import Route

from app.api.app import create_app
from app.api.deps import OPENS, Scope, needs
from app.api.rotation import RotatingTokens
from app.api.slowing import Slowing
from app.controller.feed import MOST_LISTENERS
from app.web import docs, guard
from app.web.links import Links
from app.web.route import PageRoute
from app.web.site import site
from tests.api.conftest import parts_of
from tests.controller.house import House, VirtualClock, build
from tests.fakes import FakeEngine, web
from tests.memory_store import make_store

BASE: Final = "http://127.0.0.1:5000"
FROM_HERE: Final = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}
TOKENS: Final = {scope: [f"{scope}-old", f"{scope}-next"] for scope in Scope}
#: What everybody may see: that it lives, what it is called, and the way in.
OPEN: Final = {
    "/-/healthy",
    "/-/ready",
    "/docs",
    "/openapi.json",
    "/static/{path:path}",
    "/login",
    "/logout",
}


@dataclass(frozen=True)
class Door:
    """One route with one method."""

    method: str
    path: str
    #: What it asks for; None: nothing.
    scope: Scope | None
    is_page: bool

    @property
    def url(self) -> str:
        named = {"target": "web", "remediation_id": "x", "verb": "hold", "path": "pages.css"}
        return self.path.replace("{path:path}", "{path}").format(**named)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def doors(routes: Iterable[Any]) -> Iterator[Door]:
    """Every route, those of routers in routers among them."""
    for route in routes:
        within = getattr(route, "original_router", None)
        if within is not None:
            yield from doors(within.routes)
            continue
        assert isinstance(route, Route), f"{route}: what may be done there, and by whom?"
        asked = declared(route.dependant) if isinstance(route, APIRoute) else set()
        for method in sorted(route.methods or ()):
            # Where two are asked for the narrower one decides: all of them must let in.
            scope = min(asked, key=lambda one: len(OPENS[one]), default=None)
            yield Door(method, route.path, scope, isinstance(route, PageRoute))


def declared(dependant: Dependant) -> set[Scope]:
    """What a route asks for, its dependencies' dependencies too."""
    found = set()
    if isinstance(scope := getattr(dependant.call, "scope", None), Scope):
        found.add(scope)
    if dependant.call is guard.visitor:
        found.add(Scope.READ)
    if dependant.call is guard.operator:
        found.add(Scope.OPERATE)
    return found.union(*(declared(one) for one in dependant.dependencies))


def undeclared(app: FastAPI) -> list[str]:
    """Routes that ask for nothing and are not meant to be open."""
    return [str(one) for one in doors(app.routes) if one.scope is None and one.path not in OPEN]


@dataclass
class Walked:
    """The whole application, and its tokens."""

    app: FastAPI
    tokens: RotatingTokens

    def client(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app)
        return httpx.AsyncClient(transport=transport, base_url=BASE, headers=FROM_HERE | headers)


@pytest.fixture
async def house() -> House:
    clock = VirtualClock()
    engine = FakeEngine(clock)
    engine.run(web())
    one = build(make_store(), clock, engine)
    await one.tenure.beat()
    return one


@pytest.fixture
async def walked(house: House) -> AsyncIterator[Walked]:
    tokens = RotatingTokens(TOKENS)
    parts = replace(parts_of(house), tokens=tokens)
    async with AsyncExitStack() as stack:
        # A stream would never end; one too many is sent away.
        for _ in range(MOST_LISTENERS):
            stack.enter_context(house.controller.feed.listening())
        app = create_app(parts, docs.router, site(Links()))
        # What a wrong token costs is told elsewhere; here are hundreds of them.
        app.state.slowing = app.state.login_slowing = Slowing(at_most=0.001)
        yield Walked(app, tokens)


async def ask(http: httpx.AsyncClient, door: Door) -> httpx.Response:
    sent: dict[str, Any] = {}
    if door.method in ("POST", "PUT"):
        # Nothing that could be done: who is let in is told what is wrong with it.
        sent = {"data": {}} if door.is_page else {"json": {}}
    return await http.request(door.method, door.url, **sent)


def guarded(app: FastAPI, *, pages: bool) -> list[Door]:
    found = [one for one in doors(app.routes) if one.scope is not None and one.is_page is pages]
    assert len(found) >= 15
    return found


# ---------------------------------------------------------------- each says what it asks for


async def test_every_route_declares_its_scope(walked: Walked) -> None:
    assert undeclared(walked.app) == []


async def test_what_is_open_is_there(walked: Walked) -> None:
    assert {one.path for one in doors(walked.app.routes)} >= OPEN


@pytest.mark.parametrize("nested", [False, True])
async def test_a_route_that_declares_nothing_is_noticed(house: House, nested: bool) -> None:
    careless = APIRouter()

    @careless.get("/api/v1/secrets")
    @careless.get("/api/v1/guarded", dependencies=[needs(Scope.READ)])
    async def tell() -> str:
        return "all of them"

    outer = APIRouter()
    outer.include_router(careless)

    app = create_app(parts_of(house), outer if nested else careless)

    assert undeclared(app) == ["GET /api/v1/secrets"]


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/api/v1/webhooks/alertmanager", Scope.INGEST),
        ("GET", "/api/v1/targets", Scope.READ),
        ("GET", "/api/v1/events", Scope.READ),
        ("GET", "/metrics", Scope.READ),
        ("POST", "/api/v1/targets/{target}/restart", Scope.OPERATE),
        ("POST", "/api/v1/pause", Scope.OPERATE),
        ("GET", "/api/v1/audit", Scope.ADMIN),
        ("POST", "/-/reload", Scope.ADMIN),
        ("PUT", "/-/reload", Scope.ADMIN),
        ("GET", "/", Scope.READ),
        ("POST", "/targets/{target}/{verb}", Scope.OPERATE),
    ],
)
async def test_it_is_the_right_one(walked: Walked, method: str, path: str, scope: Scope) -> None:
    found = {(one.method, one.path): one.scope for one in doors(walked.app.routes)}

    assert found[method, path] is scope


# ---------------------------------------------------------------- the API, by token


@pytest.mark.parametrize("shown", [None, "", "nonsense", "é", "x" * 5000])
async def test_without_a_token_nothing_is_told(walked: Walked, shown: str | None) -> None:
    headers = {} if shown is None else {b"Authorization": f"Bearer {shown}".encode()}
    for door in guarded(walked.app, pages=False):
        async with walked.client() as http:
            http.headers.update(headers)
            answer = await ask(http, door)
        assert answer.status_code == 401, door
        assert answer.headers["www-authenticate"] == "Bearer", door
        assert set(answer.json()) == {"type", "title", "status", "detail"}, door


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("which", ["old", "next"])
async def test_a_token_opens_what_it_is_for_and_nothing_else(
    walked: Walked, scope: Scope, which: str
) -> None:
    async with walked.client(Authorization=f"Bearer {scope}-{which}") as http:
        for door in guarded(walked.app, pages=False):
            answer = await ask(http, door)
            assert door.scope is not None
            if scope in OPENS[door.scope]:
                assert answer.status_code not in (401, 403), door
            else:
                assert answer.status_code == 403, door
                assert scope not in answer.json()["detail"].replace(door.scope, ""), door


@pytest.mark.parametrize("scope", list(Scope))
async def test_a_revoked_token_opens_nothing(walked: Walked, scope: Scope) -> None:
    walked.tokens.take({one: [f"{one}-next", f"{one}-third"] for one in Scope})
    reachable = [
        one for one in guarded(walked.app, pages=False) if one.scope and scope in OPENS[one.scope]
    ]
    for door in reachable:
        async with walked.client(Authorization=f"Bearer {scope}-old") as http:
            assert (await ask(http, door)).status_code == 401, door
        for which in ("next", "third"):
            async with walked.client(Authorization=f"Bearer {scope}-{which}") as http:
                assert (await ask(http, door)).status_code not in (401, 403), door


# ---------------------------------------------------------------- pages, by session


@asynccontextmanager
async def session(walked: Walked, token: str) -> AsyncIterator[httpx.AsyncClient]:
    async with walked.client() as http:
        await http.post("/login", data={"token": token})
        yield http


@pytest.mark.parametrize("header", [None, "Bearer admin-old"])
async def test_without_a_session_a_page_leads_to_the_login(
    walked: Walked, header: str | None
) -> None:
    for door in guarded(walked.app, pages=True):
        async with walked.client(**({"Authorization": header} if header else {})) as http:
            answer = await ask(http, door)
        assert answer.status_code == 303, door
        assert "login?next=" in answer.headers["location"], door


@pytest.mark.parametrize("scope", list(Scope))
async def test_a_session_opens_what_its_token_is_for(walked: Walked, scope: Scope) -> None:
    async with session(walked, f"{scope}-old") as http:
        for door in guarded(walked.app, pages=True):
            answer = await ask(http, door)
            assert door.scope is not None
            if scope in OPENS[door.scope]:
                assert answer.status_code not in (303, 401, 403), door
            elif scope is Scope.INGEST:
                assert answer.status_code == 303, door
            else:
                assert answer.status_code == 403, door


async def test_a_session_ends_with_its_token(walked: Walked) -> None:
    async with session(walked, "admin-old") as http:
        assert (await http.get("/")).status_code == 200
        walked.tokens.take({one: [f"{one}-next"] for one in Scope})
        for door in guarded(walked.app, pages=True):
            assert (await ask(http, door)).status_code == 303, door
        assert (await http.get("/api/v1/events")).status_code == 401
