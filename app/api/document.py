"""
The OpenAPI document: what FastAPI knows of the routes, and what it does not.

That is: the bodies that we read ourselves, which tokens open what, names that read well in a
generated client, and an example of each answer. The examples were recorded from a running Relevo
(tests/reference), so they are what it really says.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import resources
from typing import Any, Final

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Scope_

from app.api.deps import OPENS, Scope
from app.api.errors import ProblemOut
from app.api.notification import AlertIn, WebhookIn
from app.api.orders import HaltIn, OrderIn
from app.api.policies import SimulateIn
from app.api.sessions import COOKIE
from app.api.webhooks import PATH
from app.api.words import NAMED

#: Read or answered past FastAPI, which therefore knows nothing of them.
_OURS: Final = (AlertIn, HaltIn, OrderIn, ProblemOut, SimulateIn, WebhookIn)
#: As a person who writes a client would call them; of others only the ending is taken off.
_NAMES: Final[Mapping[str, str]] = {
    "AlertIn": "Alert",
    "HaltIn": "HaltOrder",
    "OrderIn": "Order",
    "SimulateIn": "SimulationOrder",
    "WebhookIn": "Notification",
}
#: As FastAPI calls the one scheme that there is in our code.
_BEARER: Final = "HTTPBearer"
_REF: Final = "#/components/schemas/"
_OPENED_BY: Final[Mapping[Scope, str]] = {
    Scope.INGEST: "A token of `RELEVO_TOKEN_INGEST`: hands in alerts, and does nothing else.",
    Scope.READ: "A token of `RELEVO_TOKEN_READ`: reads everything.",
    Scope.OPERATE: "A token of `RELEVO_TOKEN_OPERATE`: reads, and has things done.",
    Scope.ADMIN: "A token of `RELEVO_TOKEN_ADMIN`: opens everything.",
}
_SESSION: Final = "session"
#: What paths are made of: meaning, example.
_IN_PATHS: Final[Mapping[str, tuple[str, str]]] = {
    "target": (
        "`engine:slot`, or the slot alone where that says enough. The slot is the container's "
        "name, or what Compose calls it.",
        "host1:shop-web-1",
    ),
    "remediation_id": ("Id of the story, as lists and orders tell it.", "shop-web-1-mwro18g0"),
}


class Documented(FastAPI):
    """The application with the whole of its document, and the receiver before all else."""

    #: Takes what is posted to `webhooks.PATH`, with guards of its own around it.
    receiver: ASGIApp

    async def __call__(self, scope: Scope_, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope.get("path") == PATH and scope.get("method") == "POST":
            scope["app"] = self
            await self.receiver(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Make the document, once."""
        if self.openapi_schema is None:
            self.openapi_schema = document_of(self, _examples())
        return self.openapi_schema

    def supposed(self) -> dict[str, Any]:
        """Make the document as FastAPI would."""
        self.openapi_schema = None
        document = super().openapi()
        self.openapi_schema = None
        return document


def document_of(app: Documented, examples: Mapping[str, Any]) -> dict[str, Any]:
    """
    Make the document of an application.

    :param examples: as in examples.json: under ``operations`` by operation and status (or
        ``request``), under ``everywhere`` by status; empty for a document without any
    """
    document = app.supposed()
    _add_ours(document["components"]["schemas"])
    _secure(document)
    for _, _, operation in operations(document):
        _tidy(operation)
        _exemplify(operation, examples)
    return _named(document)


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Walk the operations of a document: path, method in small letters, operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def _add_ours(schemas: dict[str, Any]) -> None:
    _, told = models_json_schema(
        [(model, "validation") for model in _OURS], ref_template=_REF + "{model}"
    )
    schemas |= told["$defs"]
    # Each is read by itself, so pydantic was not told.
    schemas[WebhookIn.__name__]["properties"]["alerts"]["items"] = _ref(AlertIn.__name__)


def _secure(document: dict[str, Any]) -> None:
    """Say which tokens open which operation; any one of those that are listed does."""
    document["components"]["securitySchemes"] = {
        **{
            scope.value: {"type": "http", "scheme": "bearer", "description": text}
            for scope, text in _OPENED_BY.items()
        },
        _SESSION: {
            "type": "apiKey",
            "in": "cookie",
            "name": f"{COOKIE}_5000",
            "description": "The session of a browser that has logged in at `/login`; the number is "
            "the port that it has asked.",
        },
    }
    for _, _, operation in operations(document):
        # FastAPI notes the scope that `needs` names.
        scopes = {scope for one in operation.get("security", ()) for scope in one[_BEARER]}
        # Whoever comes without a session shows a token that reads.
        with_session = operation.pop("x-session", False)
        wanted = {Scope.READ} if with_session else {Scope(scope) for scope in scopes}
        names = [one.value for scope in wanted for one in OPENS[scope]]
        if with_session:
            names.append(_SESSION)
        operation["security"] = [{name: []} for name in names]


def _tidy(operation: dict[str, Any]) -> None:
    """Take out what FastAPI only supposes, and what our code says in code's own way."""
    answers = operation["responses"]
    # That is its own form of a 422; ours are documented where they can happen.
    supposed = answers.get("422", {}).get("content", {}).get("application/json")
    if supposed is not None:
        del answers["422"]
    operation["description"] = operation["description"].replace("``", "`")
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            text, example = _IN_PATHS[parameter["name"]]
            parameter |= {"description": text, "example": example}
        parameter["schema"].pop("description", None)  # said beside it as well
    for status, answer in answers.items():
        if answer["description"] == "Successful Response":
            answer["description"] = "Taken." if status == "202" else "The answer."
    operation["responses"] = dict(sorted(answers.items()))


def _exemplify(operation: dict[str, Any], examples: Mapping[str, Any]) -> None:
    own = examples.get("operations", {}).get(operation["operationId"], {})
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        if kind == "application/json" and "request" in own:
            content["example"] = own["request"]
    for status, answer in operation["responses"].items():
        example = own.get(status, examples.get("everywhere", {}).get(status))
        for content in answer.get("content", {}).values():
            if example is not None and "example" not in content:
                content["example"] = example


@lru_cache(maxsize=1)
def _examples() -> dict[str, Any]:
    text = resources.files("app.api").joinpath("examples.json").read_text(encoding="utf-8")
    told: dict[str, Any] = json.loads(text)
    return told


def _named(document: dict[str, Any]) -> dict[str, Any]:
    """Give every schema a name of its own, without the endings and titles that Python has."""
    schemas = document["components"]["schemas"]
    for supposed in ("HTTPValidationError", "ValidationError"):
        schemas.pop(supposed, None)
    hoisted: dict[str, Any] = {}
    parts = {part: _walk(document[part], hoisted) for part in ("paths", "components")}
    renamed = {_name(name): schema for name, schema in parts["components"]["schemas"].items()}
    named = {name: {"title": name, **schema} for name, schema in (renamed | hoisted).items()}
    # Some enums are told in part only, under names of their own.
    used = set(re.findall(f'"{_REF}([^"]+)"', json.dumps(parts) + json.dumps(hoisted)))
    parts["components"]["schemas"] = {
        # Whole answers are shown where they are given.
        name: {key: one for key, one in named[name].items() if key != "examples"}
        for name in sorted(used)
    }
    return document | parts


def _walk(node: Any, hoisted: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_walk(one, hoisted) for one in node]
    if not isinstance(node, dict):
        return node
    if NAMED in node:
        name = node[NAMED]["name"]
        hoisted[name] = {
            "description": node[NAMED]["description"],
            "type": node["type"],
            "enum": node["enum"],
        }
        about = {"description": node["description"]} if "description" in node else {}
        return _ref(name) | about
    walked = {
        key: one if key in ("example", "examples") else _walk(one, hoisted)
        for key, one in node.items()
        # A property may be called that; then it is no text.
        if not (key == "title" and isinstance(one, str))
    }
    ref = walked.get("$ref")
    if isinstance(ref, str) and ref.startswith(_REF):
        walked["$ref"] = _REF + _name(ref.removeprefix(_REF))
    return walked


def _name(name: str) -> str:
    return _NAMES.get(name, re.sub("Out$", "", name))


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF + name}
