"""The application over fakes, called through its own ASGI interface."""

import re
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Scope_

from app.adapters.policy_file import parse_rulebook
from app.api.app import create_app
from app.api.deps import Parts, Scope
from app.api.document import operations
from app.api.rotation import RotatingTokens
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


def parts_of(
    house: House, tokens: dict[Scope, list[str]] | None = None, external_url: str | None = None
) -> Parts:
    """What HTTP reaches of a house, with these tokens or open."""
    return Parts(
        intake=house.intake,
        desk=house.desk,
        overview=house.overview,
        operator=house.operator,
        auditor=house.controller.auditor,
        gauges=house.gauges,
        reloading=house.reloading,
        parse=parse_rulebook,
        telemetry=house.telemetry,
        board=house.controller.board,
        feed=house.controller.feed,
        samples=house.controller.samples,
        clock=house.clock,
        tokens=RotatingTokens(tokens or {}),
        external_url=external_url,
    )


def application(
    house: House,
    tokens: dict[Scope, list[str]] | None = None,
    *pages: APIRouter,
    external_url: str | None = None,
) -> FastAPI:
    """The application of a house; it answers nothing that its document does not tell of."""
    app = create_app(parts_of(house, tokens, external_url), *pages)
    app.add_middleware(OnlyDocumented)
    return app


class OnlyDocumented:
    """Looks at every answer: one whose status the document does not know fails the test."""

    _known: Sequence[tuple[re.Pattern[str], str, set[str]]] = ()

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope_, receive: Receive, send: Send) -> None:
        async def looking(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._look(scope, str(message["status"]))
            await send(message)

        await self._app(scope, receive, looking)

    def _look(self, scope: Scope_, status: str) -> None:
        if not OnlyDocumented._known:
            OnlyDocumented._known = tuple(
                (
                    re.compile(re.sub(r"\{\w+\}", "[^/]+", path)),
                    method.upper(),
                    set(told["responses"]),
                )
                for path, method, told in operations(scope["app"].openapi())
            )
        for path, method, statuses in OnlyDocumented._known:
            if method == scope["method"] and path.fullmatch(scope["path"]):
                assert status in statuses, f"{method} {scope['path']} answers {status}: document it"
                return


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    await house.tenure.beat()
    transport = httpx.ASGITransport(app=application(house), raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5000") as client:
        yield client
