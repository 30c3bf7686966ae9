"""The HTTP application, made of parts that somebody else opened."""

from fastapi import FastAPI

from app import __version__
from app.api import errors, management, remediations, status, targets, webhooks
from app.api.deps import Parts

_DESCRIPTION = """
Relevo heals containers on Docker hosts: it takes Alertmanager's notice, waits, restarts the
container, checks that the trouble is really gone, and scales out when it is not.

Every action and every non-action has a reason; the words are the same here, in the log and
in the metrics. Times are RFC 3339 in UTC. Errors are RFC 9457 problem documents.
"""


def create_app(parts: Parts) -> FastAPI:
    """Make the application. The receiver's route comes first: it is the one in a hurry."""
    app = FastAPI(title="Relevo", version=__version__, description=_DESCRIPTION)
    app.state.parts = parts
    errors.install(app)
    for module in (webhooks, targets, remediations, status, management):
        app.include_router(module.router)
    return app
