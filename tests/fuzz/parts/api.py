"""
The API over its own document, by schemathesis: what fits the document, what does not, and stories.

The real application, served over a real socket with tokens; every check that schemathesis has.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import Unsatisfiable

from app.api.app import create_app
from app.api.deps import Scope
from app.api.slowing import Slowing
from tests.api.conftest import parts_of
from tests.controller.house import VirtualClock, build
from tests.fakes import FakeEngine, web
from tests.fuzz.parts import Missing
from tests.fuzz.tally import Tally
from tests.memory_store import make_store

try:
    import schemathesis
    from schemathesis.checks import load_all_checks
    from schemathesis.core.failures import AcceptedNegativeData, FailureGroup
except ImportError:  # it is a development dependency
    schemathesis = None  # type: ignore[assignment]

_TOKEN: Final = "an-admin-token-of-some-length"
_STARTS_S: Final = 30.0
#: Requests of one story.
_STEPS: Final = 8
#: Of all cases, by kind; the rest are stories.
_FITTING, _UNFIT = 0.4, 0.3
#: A stream of events has no end: asked for by its own tests.
_STREAM: Final = "/api/v1/events"
_READY: Final = "/-/ready"
#: What may be said to a body that fits: no schema tells of control characters in a text, nor of a
#: policy file that contradicts itself.
_SAID_TO_FITTING: Final = ["2xx", "401", "403", "404", "409", "422"]

_WEBHOOK: Final = "/api/v1/webhooks/alertmanager"


@dataclass
class _Served:
    """An application on a port of its own."""

    app: FastAPI
    url: str


async def _application() -> FastAPI:
    clock = VirtualClock()
    engine = FakeEngine(clock)
    engine.run(web())
    house = build(make_store(), clock, engine)
    await house.tenure.beat()
    app = create_app(parts_of(house, {Scope.ADMIN: [_TOKEN]}))
    # Of each case one is sent with a wrong token, too, and would be kept waiting for seconds.
    app.state.slowing = Slowing(at_most=0.001)
    return app


@contextmanager
def served() -> Iterator[_Served]:
    """Serve the application in a thread of its own: schemathesis waits for its answers."""
    found: list[Any] = []
    ready = threading.Event()

    async def serve() -> None:
        app = await _application()
        config = uvicorn.Config(
            app, host="127.0.0.1", port=0, log_level="critical", lifespan="off", http="httptools"
        )
        server = uvicorn.Server(config)
        found.extend((app, server))
        serving = asyncio.create_task(server.serve(), name="serve")
        while not server.started and not serving.done():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        ready.set()
        await serving

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    if not ready.wait(_STARTS_S):
        raise Missing("a port of this host")
    app, server = found
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield _Served(app, f"http://127.0.0.1:{port}")
    finally:
        server.should_exit = True
        thread.join(_STARTS_S)


class _Trier:
    """Sends cases, and has every check look at the answers."""

    def __init__(self, tally: Tally, schema: Any, url: str) -> None:
        self._tally, self.schema, self._url = tally, schema, url
        load_all_checks()

    @property
    def head(self) -> dict[str, str]:
        """What opens every operation."""
        return {"Authorization": f"Bearer {_TOKEN}"}

    def send(self, case: Any) -> None:
        """Try one case."""
        self.look(case, case.call(base_url=self._url, headers=self.head))

    def look(self, case: Any, response: Any) -> None:
        """Count a case, and have its answer checked."""
        tally = self._tally
        tally.cases += 1
        tally.outcomes[str(response.status_code)] += 1
        try:
            case.validate_response(
                response,
                headers=self.head,
                transport_kwargs={"base_url": self._url, "headers": self.head},
            )
        except FailureGroup as exc:
            for one in exc.exceptions:
                if response.status_code == 503 and case.operation.path == _READY:
                    continue  # nobody's loops run here, and it says so: that is its purpose
                if isinstance(one, AcceptedNegativeData) and _takes_more(case):
                    continue
                what = f"{case.operation.label}: {type(one).__name__}: {one}"
                tally.find(tally.cases, " ".join(what.split()), str(exc)[-400:])


def _takes_more(case: Any) -> bool:
    """
    Tell where more is taken than the document says.

    One bad alert keeps no other of its notification out; and a question may have a moment told in
    seconds, or something beside that nobody reads.
    """
    return bool(case.operation.path == _WEBHOOK or case.method == "GET")


def fuzz(tally: Tally, cases: int) -> None:
    """Send what fits, what does not, and stories."""
    if schemathesis is None:
        raise Missing("schemathesis")
    with served() as one:
        document = one.app.openapi()
        del document["paths"][_STREAM]
        accepts = {"positive_data_acceptance": {"expected-statuses": _SAID_TO_FITTING}}
        config = schemathesis.Config.from_dict({"checks": accepts})
        schema = schemathesis.openapi.from_dict(document, config=config)
        schema.config.update(base_url=one.url)
        trier = _Trier(tally, schema, one.url)
        modes = schemathesis.GenerationMode
        _alone(tally, trier, modes.POSITIVE, int(cases * _FITTING))
        _alone(tally, trier, modes.NEGATIVE, int(cases * _UNFIT))
        _stories(tally, trier, max(1, int(cases * (1 - _FITTING - _UNFIT)) // _STEPS))


def _settings(number: int, **more: Any) -> settings:
    return settings(
        max_examples=max(1, number),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        **more,
    )


def _alone(tally: Tally, trier: _Trier, mode: Any, cases: int) -> None:
    operations = [one.ok() for one in trier.schema.get_all_operations()]
    for operation in operations:

        @seeded(tally.seed)
        @_settings(cases // len(operations))
        @given(case=operation.as_strategy(generation_mode=mode))
        def one(case: Any) -> None:
            trier.send(case)

        with suppress(Unsatisfiable):  # where it takes nothing that could be wrong
            one()


def _stories(tally: Tally, trier: _Trier, number: int) -> None:
    """Let one answer lead to the next request, along the document's links and what is inferred."""

    class Story(trier.schema.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"base_url": trier._url, "headers": trier.head}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            trier.look(case, response)

    @seeded(tally.seed)
    def told() -> None:
        Story.run(settings=_settings(number, stateful_step_count=_STEPS))

    told()
