"""The application over fakes, called through its own ASGI interface."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from app.adapters.clock import LoopClock
from app.api.app import create_app
from app.api.deps import Parts, Scope, Tokens
from app.ports import Store
from tests.builders import START
from tests.controller.house import House, build
from tests.fakes import FakeEngine, web
from tests.memory_store import make_store


@pytest.fixture
async def store() -> Store:
    return make_store()


@pytest.fixture
async def house(store: Store) -> House:
    clock = LoopClock(START)
    engine = FakeEngine(clock)
    engine.run(web())
    return build(store, clock, engine)


def application(
    house: House, tokens: dict[Scope, list[str]] | None = None, *pages: APIRouter
) -> FastAPI:
    """The application of a house, with these tokens or open."""
    return create_app(
        Parts(
            intake=house.intake,
            desk=house.desk,
            telemetry=house.telemetry,
            clock=house.clock,
            tokens=Tokens(tokens or {}),
        ),
        *pages,
    )


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=application(house), raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://relevo") as client:
        yield client
