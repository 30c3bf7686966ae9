"""The application over fakes, called through its own ASGI interface."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from app.adapters.policy_file import parse_rulebook
from app.api.app import create_app
from app.api.deps import Parts, Scope, Tokens
from app.ports import Store
from tests.controller.house import House, VirtualClock, build
from tests.fakes import FakeEngine, web
from tests.memory_store import make_store


@pytest.fixture
async def store() -> Store:
    return make_store()


@pytest.fixture
async def house(store: Store) -> House:
    clock = VirtualClock()
    engine = FakeEngine(clock)
    engine.run(web())
    return build(store, clock, engine)


def parts_of(house: House, tokens: dict[Scope, list[str]] | None = None) -> Parts:
    """What HTTP reaches of a house, with these tokens or open."""
    return Parts(
        intake=house.intake,
        desk=house.desk,
        overview=house.overview,
        operator=house.operator,
        gauges=house.gauges,
        reloading=house.reloading,
        parse=parse_rulebook,
        telemetry=house.telemetry,
        clock=house.clock,
        tokens=Tokens(tokens or {}),
    )


def application(
    house: House, tokens: dict[Scope, list[str]] | None = None, *pages: APIRouter
) -> FastAPI:
    """The application of a house."""
    return create_app(parts_of(house, tokens), *pages)


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    await house.tenure.beat()
    transport = httpx.ASGITransport(app=application(house), raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://relevo") as client:
        yield client
