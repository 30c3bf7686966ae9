"""Containers of a fake engine that a gate looks at, and what it is asked."""

from datetime import timedelta
from typing import Any

from app.adapters.gate.client import GateEngine
from tests.adapters.engine.fake_daemon import (
    CONTAINER_ID,
    STARTED_AT,
    FakeDaemon,
    Reply,
    inspected,
    line,
)

OPTED_IN = {"relevo.enable": "true"}
GRACE = timedelta(seconds=10)
RESTART = f"POST /containers/{CONTAINER_ID}/restart"


def there_are(daemon: FakeDaemon, *containers: dict[str, Any]) -> None:
    """Let the daemon have these and no others; each as `inspected` tells it."""
    listing = []
    for one in containers:
        daemon.knows(one)
        listing.append(
            line(
                Id=one["Id"],
                Names=[one["Name"]],
                Image=one["Config"]["Image"],
                Labels=one["Config"]["Labels"],
                State=one["State"]["Status"],
            )
        )
    daemon.answer("GET /containers/json", Reply(body=listing))


def web(**labels: str) -> dict[str, Any]:
    """A running container that has opted in."""
    return inspected(Config={"Labels": OPTED_IN | labels})


def ready(daemon: FakeDaemon) -> None:
    """Let there be one opted-in container that restarts as it is told."""
    there_are(daemon, web())
    daemon.answer(RESTART, Reply(status=204))


async def restart(engine: GateEngine, attempt_id: str = "a.1", **more: Any) -> None:
    """Ask for a restart as the controller does."""
    await engine.restart(
        CONTAINER_ID,
        attempt_id=attempt_id,
        **{"expected_started_at": STARTED_AT, "stop_grace": GRACE, **more},
    )
