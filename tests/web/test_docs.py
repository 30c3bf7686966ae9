"""The page of the API works offline."""

import re

import httpx
import pytest

from app.web import docs
from tests.api.conftest import application
from tests.controller.house import House, VirtualClock, build
from tests.fakes import FakeEngine
from tests.memory_store import make_store


@pytest.fixture
async def house() -> House:
    clock = VirtualClock()
    return build(make_store(), clock, FakeEngine(clock))


@pytest.fixture
async def http(house: House) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=application(house, None, docs.router))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5000")


async def test_everything_the_page_needs_comes_from_here(http: httpx.AsyncClient) -> None:
    page = await http.get("/docs")

    assert page.status_code == 200
    assert "//" not in page.text
    needed = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(needed) >= 4
    for path in needed:
        if not path.startswith("data:"):
            assert (await http.get(f"/{path}")).status_code == 200, path
    assert "script-src 'self'" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path", ["docs.html", "../docs.py", "..%2f..%2fmain.py", "vendor/vendor.json", ""]
)
async def test_nothing_else_is_handed_out(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(f"/static/{path}")).status_code == 404
