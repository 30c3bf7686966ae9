"""A whole Relevo over fakes with one container, and somebody who calls it and takes notes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

import httpx

from app.api.app import create_app
from app.api.deps import Parts, Scope, Tokens
from app.api.document import operations
from app.domain.container import Container
from app.errors import StoreUnavailable
from tests.api.conftest import parts_of
from tests.builders import compose, container
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import FakeEngine
from tests.memory_store import MemoryStore, make_view

TOKENS: Final = {
    Scope.INGEST: ["ingest"],
    Scope.READ: ["read"],
    Scope.OPERATE: ["operate"],
    Scope.ADMIN: ["admin"],
}
NAME: Final = "shop-web-1"
TARGET: Final = f"host1:{NAME}"
WHY: Final = {"reason": "stuck since the import", "author": "ana"}
HALT: Final = {"reason": "moving the database", "author": "ana", "for": "2h"}
QUESTION: Final = {"policy": "default", "scenario": "second_restart"}
NOTICE: Final[Mapping[str, Any]] = {
    "version": "4",
    "groupKey": '{}:{alertname="ContainerHighCPU"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "relevo",
    "groupLabels": {"alertname": "ContainerHighCPU"},
    "commonLabels": {"severity": "critical"},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager:9093",
    "alerts": [
        {
            "status": "firing",
            "labels": {
                "alertname": "ContainerHighCPU",
                "engine": "host1",
                "name": NAME,
                "severity": "critical",
            },
            "annotations": {"relevo_settle": "4m"},
            "startsAt": "2026-11-22T09:59:30Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": "b1946ac92492d234",
        }
    ],
}


@dataclass
class Scene:
    """A house, somebody who calls it, and its switches."""

    house: House
    store_is_down: bool = False
    #: What HTTP reaches of it.
    parts: Parts = field(init=False)
    http: httpx.AsyncClient = field(init=False)
    #: What is to be let go with it.
    until_end: ExitStack = field(default_factory=ExitStack)

    async def ill(self, **span: float) -> str:
        """Have the container ill for a while; the id of its story."""
        await self.http.post("/api/v1/webhooks/alertmanager", json=NOTICE)
        await pass_time(**span)
        return (await self.house.story()).id

    async def well(self, **span: float) -> None:
        """Have its alert end, and time pass."""
        (alert,) = NOTICE["alerts"]
        over = {**alert, "status": "resolved", "endsAt": "2026-11-22T10:00:10Z"}
        await self.http.post(
            "/api/v1/webhooks/alertmanager", json={**NOTICE, "status": "resolved", "alerts": [over]}
        )
        await pass_time(**span)


@asynccontextmanager
async def scene(*, works: bool = True) -> AsyncIterator[Scene]:
    """
    Open a Relevo with one container; in a loop of its own it is the same moment each time.

    :param works: its worker runs
    """
    made: list[Scene] = []
    memory = MemoryStore()

    def memory_of() -> MemoryStore:
        if made and made[0].store_is_down:
            raise StoreUnavailable("connection refused")
        return memory

    clock = VirtualClock()
    engine = FakeEngine(clock)
    engine.run(container(NAME, 1, labels=compose("shop", "web", 1)))
    engine.on_clone = _second
    house = build(make_view(memory_of), clock, engine)
    one = Scene(house)
    made.append(one)
    one.parts = parts_of(house, TOKENS)
    transport = httpx.ASGITransport(app=create_app(one.parts))
    token = {"Authorization": "Bearer admin"}
    one.http = httpx.AsyncClient(transport=transport, base_url="http://relevo", headers=token)
    with one.until_end:
        async with one.http, working(house, leaving=True) if works else nullcontext():
            await house.tenure.beat()
            yield one


def _second(clone: Container) -> Container:
    """Name a clone as the real engine's part does, where Compose made its source."""
    labels = {**clone.labels, "com.docker.compose.container-number": "2"}
    return replace(clone, name="shop-web-2", labels=labels)


class Recorder:
    """Calls operations by their ids, and keeps what they answer."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.paths = {
            operation["operationId"]: (method.upper(), path)
            for path, method, operation in operations(document)
        }
        self.answers: dict[str, dict[str, Any]] = {name: {} for name in self.paths}
        self.requests: dict[str, Any] = {}

    async def call(
        self,
        at: Scene,
        name: str,
        *,
        expect: int,
        about: str = TARGET,
        query: str = "",
        **more: Any,
    ) -> httpx.Response:
        """
        Call an operation, and keep its answer as the example of that status.

        :param about: fills the hole in its path
        :raises AssertionError: it answers another status
        """
        method, path = self.paths[name]
        url = path.replace("{target}", about).replace("{remediation_id}", about)
        answer = await at.http.request(method, url + (f"?{query}" if query else ""), **more)
        assert answer.status_code == expect, f"{name}: {answer.status_code}, {answer.text}"
        if "json" in more and answer.status_code == 202:
            self.requests[name] = more["json"]
        is_text = answer.headers["content-type"].startswith("text/plain")
        self.answers[name][str(expect)] = answer.text if is_text else answer.json()
        return answer


def parts() -> Parts:
    """Parts of a Relevo that is only looked at."""
    nothing: Any = None
    names = {one.name: nothing for one in fields(Parts)}
    return Parts(**{**names, "tokens": Tokens(TOKENS)})
