"""The HTTP application, made of parts that somebody else opened."""

from weakref import WeakValueDictionary

from fastapi import APIRouter
from fastapi.routing import APIRoute

from app import __version__
from app.api import (
    audit,
    errors,
    events,
    management,
    operating,
    policies,
    remediations,
    status,
    targets,
    webhooks,
)
from app.api.deps import Parts
from app.api.document import Documented
from app.api.hosts import Names, OwnNamesOnly
from app.api.limits import Bounded, Untraced
from app.api.reading import Reading
from app.api.receiver import Receiver
from app.api.sessions import Sessions
from app.api.slowing import API_COST, LOGIN_COST, Slowing

_DESCRIPTION = """
Relevo heals containers on Docker hosts: it takes Alertmanager's notice, waits, restarts the
container, checks that the trouble is really gone, and scales out when it is not.

Every action and every non-action has a reason; the words are the same here, in the log and
in the metrics. Times are RFC 3339 in UTC. Errors are RFC 9457 problem documents.

Where the server has tokens (`RELEVO_TOKEN_*`), show one: `Authorization: Bearer <token>`. Each
operation lists the tokens that open it; one of them is enough.

Where too many requests are being handled at once, one more is answered 503, whatever it asks for:
send it again. What goes wrong in Relevo itself is a 500; its log says what.

A client should ignore fields that it does not know: there may be more in a later version.
"""
_TAGS = [
    {"name": "receiver", "description": "Alerts in."},
    {"name": "targets", "description": "What is watched, and what is about to happen to it."},
    {"name": "history", "description": "What happened, and why."},
    {"name": "operating", "description": "What people have done. Each order has a reason."},
    {"name": "policies", "description": "What is tried, how hard, and what would come of it."},
    {"name": "audit", "description": "Who did what, in lines that nobody can change unseen."},
    {"name": "status", "description": "How Relevo is."},
    {"name": "events", "description": "What has changed, as it happens."},
    {"name": "management", "description": "Health, metrics and reload, as Prometheus has them."},
]


def create_app(parts: Parts, *pages: APIRouter) -> Documented:
    """
    Make the application.

    The receiver has a way of its own, with the same guards: it is the one in a hurry.

    :param pages: routers of pages, beside the API
    """
    app = Documented(
        title="Relevo",
        version=__version__,
        description=_DESCRIPTION,
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        openapi_tags=_TAGS,
        generate_unique_id_function=_operation_id,
        # FastAPI's own pages load their scripts from somebody else's server.
        docs_url=None,
        redoc_url=None,
    )
    app.state.parts = parts
    # By Idempotency-Key, for as long as a request with it is being handled (app/api/writing.py).
    app.state.locks = WeakValueDictionary()
    app.state.reading = Reading()
    # Simulations that are under way or wait (app/api/policies.py).
    app.state.simulated = set()
    # Of people's browsers; the API itself is opened by tokens, and its events by either.
    app.state.sessions = Sessions(parts.tokens, parts.clock, lambda: parts.desk.replies())
    # Wrong tokens; apart from each other, so that machines do not wait for people.
    app.state.slowing = Slowing(at_most=API_COST)
    app.state.login_slowing = Slowing(at_most=LOGIN_COST)
    app.state.names = names = Names(parts.external_url)
    # Around all routes, so that none can be forgotten.
    app.add_middleware(OwnNamesOnly, parts=parts, names=names)
    errors.install(app)
    receiver = OwnNamesOnly(Receiver(app, parts), parts=parts, names=names)
    app.receiver = Untraced(Bounded(receiver))
    # The last that is added comes first.
    app.add_middleware(Bounded)
    app.add_middleware(Untraced)
    reading = (targets, remediations, operating, policies, audit, status, events, management)
    for module in (webhooks, *reading):
        app.include_router(module.router)
    for page in pages:
        app.include_router(page)
    return app


def _operation_id(route: APIRoute) -> str:
    """Name the operation in generated clients."""
    return route.name
