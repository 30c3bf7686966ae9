"""The HTTP application, made of parts that somebody else opened."""

from weakref import WeakValueDictionary

from fastapi import APIRouter, FastAPI

from app import __version__
from app.api import (
    errors,
    management,
    operating,
    policies,
    remediations,
    status,
    targets,
    webhooks,
)
from app.api.deps import Parts

_DESCRIPTION = """
Relevo heals containers on Docker hosts: it takes Alertmanager's notice, waits, restarts the
container, checks that the trouble is really gone, and scales out when it is not.

Every action and every non-action has a reason; the words are the same here, in the log and
in the metrics. Times are RFC 3339 in UTC. Errors are RFC 9457 problem documents.
"""


def create_app(parts: Parts, *pages: APIRouter) -> FastAPI:
    """
    Make the application.

    The receiver's route comes first: it is the one in a hurry.

    :param pages: routers of pages, beside the API
    """
    app = FastAPI(
        title="Relevo",
        version=__version__,
        description=_DESCRIPTION,
        # FastAPI's own pages load their scripts from somebody else's server.
        docs_url=None,
        redoc_url=None,
    )
    app.state.parts = parts
    # By Idempotency-Key, for as long as a request with it is being handled (app/api/writing.py).
    app.state.locks = WeakValueDictionary()
    errors.install(app)
    for module in (webhooks, targets, remediations, operating, policies, status, management):
        app.include_router(module.router)
    for page in pages:
        app.include_router(page)
    return app
