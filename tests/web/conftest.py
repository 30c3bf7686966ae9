"""The pages over fakes, called through the application's own ASGI interface."""

from collections.abc import AsyncIterator, Mapping

import httpx
import pytest

from app.api.deps import Scope
from app.ports import Store
from app.web import docs
from app.web.links import Links
from app.web.site import site
from tests.api.conftest import application
from tests.controller.house import House, VirtualClock, build
from tests.fakes import FakeEngine, web
from tests.memory_store import make_store

#: As a browser on the same machine reaches it.
BASE = "http://127.0.0.1:5000"
#: What a browser sends along with a form of our own page.
FROM_HERE = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}
TOKENS = {
    Scope.INGEST: ["in"],
    Scope.READ: ["read"],
    Scope.OPERATE: ["operate", "operate-next"],
    Scope.ADMIN: ["admin"],
}


@pytest.fixture
async def store() -> Store:
    return make_store()


@pytest.fixture
async def house(store: Store) -> House:
    clock = VirtualClock()
    engine = FakeEngine(clock)
    engine.run(web())
    made = build(store, clock, engine)
    await made.tenure.beat()
    return made


def browser(
    house: House,
    tokens: dict[Scope, list[str]] | None = None,
    *,
    base: str = BASE,
    external_url: str | None = None,
) -> httpx.AsyncClient:
    """Whoever looks at the pages; cookies are kept, redirects not followed."""
    app = application(house, tokens, docs.router, site(Links()), external_url=external_url)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=base)


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(house) as client:
        yield client


def key_of(page: str) -> str:
    """Find the hidden key of a form."""
    return page.partition('name="key" value="')[2].partition('"')[0]


async def order(
    http: httpx.AsyncClient,
    path: str,
    fields: Mapping[str, str] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    **more: str,
) -> httpx.Response:
    """Ask for the form, fill it in, send it."""
    page = await http.get(path)
    assert page.status_code == 200, page.text
    filled = {"key": key_of(page.text), "reason": "stuck", **(fields or {}), **more}
    return await http.post(path, data=filled, headers=FROM_HERE if headers is None else headers)
