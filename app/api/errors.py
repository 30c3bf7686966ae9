"""Errors for callers: RFC 9457 problem documents that say what to do and echo no input."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from starlette.exceptions import HTTPException

from app.api.faults import first_fault
from app.api.shape import Shape
from app.domain.reason import Reason
from app.errors import (
    BadConfiguration,
    EngineUnavailable,
    NotAccepting,
    OrderConflict,
    OrderRefused,
    StoreUnavailable,
)

log = structlog.get_logger("relevo.api")

PROBLEM: Final = "application/problem+json"
#: How soon a caller should try again; Alertmanager has its own idea and ignores it.
RETRY_AFTER = {"Retry-After": "1"}
#: What each of them means here.
_MEANS: Final[Mapping[int, str]] = {
    400: "The body is not JSON, or did not arrive whole.",
    401: "No token was shown, or one that is not known here.",
    403: "The token does not open the scope. Where nobody needs one: Relevo was asked by a name "
    "that is not known to be its own, or by a page of another site.",
    404: "There is nothing of that name.",
    409: "Something else is going on there, or the Idempotency-Key was used for another request.",
    413: "The body is too large.",
    415: "The body is said to be something else than JSON.",
    422: "What was asked or sent is wrong: `detail` names the field, and what to do.",
    503: "The store or the container engine does not answer, nothing is taken on now, or too many "
    "wrong tokens come from your address: send it again.",
}
#: As RFC 9110 has them; Python's own differ from version to version.
_TITLES: Final[Mapping[int, str]] = {413: "Content Too Large", 422: "Unprocessable Content"}
_HEADERS: Final[Mapping[int, tuple[str, str]]] = {
    401: ("WWW-Authenticate", "`Bearer`"),
    503: ("Retry-After", "Seconds after which to send it again."),
}


class ProblemOut(Shape):
    """An error, as RFC 9457 has it."""

    type: Annotated[str, Field(description="No errors have a page of their own.")] = "about:blank"
    title: Annotated[str, Field(description="The status in words.")]
    status: Annotated[int, Field(description="The HTTP status once more.")]
    detail: Annotated[str, Field(description="For people: what is wrong, and what to do.")]
    reason: Annotated[
        Reason | None,
        Field(description="What is in the way, where there is a word: docs/reasons.md has it."),
    ] = None


def problem(
    status: int,
    detail: str,
    headers: dict[str, str] | None = None,
    *,
    reason: str | None = None,
) -> JSONResponse:
    """Answer an error; with the word for what is in the way, where there is one."""
    said = {
        "title": _TITLES.get(status) or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return _answer(ProblemOut.model_validate(said | {"reason": reason}), headers)


def documented(*codes: int, says: str | None = None) -> dict[int | str, dict[str, Any]]:
    """
    Say in the OpenAPI document which errors a route answers.

    :param says: what they mean at this route, where that is more than what they mean everywhere
    """
    return {code: _described(code, says or _MEANS[code]) for code in codes}


def _described(code: int, text: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{ProblemOut.__name__}"}
    told: dict[str, Any] = {"description": text, "content": {PROBLEM: {"schema": schema}}}
    if code in _HEADERS:
        name, means = _HEADERS[code]
        told["headers"] = {name: {"description": means, "schema": {"type": "string"}}}
    return told


def install(app: FastAPI) -> None:
    """Turn everything that can go wrong into a problem document."""

    @app.exception_handler(HTTPException)
    async def _http(_: Request, exc: HTTPException) -> JSONResponse:
        headers = dict(exc.headers) if exc.headers else None
        return problem(exc.status_code, str(exc.detail), headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, exc: RequestValidationError) -> JSONResponse:
        return problem(422, first_fault(list(exc.errors())))

    @app.exception_handler(OrderConflict)
    async def _conflict(_: Request, exc: OrderConflict) -> JSONResponse:
        return problem(409, str(exc))

    @app.exception_handler(OrderRefused)
    async def _refused(_: Request, exc: OrderRefused) -> JSONResponse:
        return problem(422, str(exc), reason=exc.reason)

    @app.exception_handler(BadConfiguration)
    async def _wrong_policies(_: Request, exc: BadConfiguration) -> JSONResponse:
        return problem(422, str(exc))

    @app.exception_handler(StoreUnavailable)
    async def _no_store(_: Request, exc: StoreUnavailable) -> JSONResponse:
        said = f"the store is unavailable: {exc}"
        return problem(503, said, RETRY_AFTER, reason=Reason.STORE_DOWN)

    @app.exception_handler(EngineUnavailable)
    async def _no_engine(_: Request, exc: EngineUnavailable) -> JSONResponse:
        said = f"the container engine is unavailable: {exc}"
        return problem(503, said, RETRY_AFTER, reason=Reason.ENGINE_DOWN)

    @app.exception_handler(NotAccepting)
    async def _closed(_: Request, exc: NotAccepting) -> JSONResponse:
        return problem(503, str(exc), RETRY_AFTER)


async def answer_of(app: FastAPI, request: Request, exc: Exception) -> Response | None:
    """Answer an error as a route of the application would have it answered; None: nobody does."""
    for kind in type(exc).__mro__:
        handler = app.exception_handlers.get(kind)
        if handler is not None:
            answer: Response = await handler(request, exc)  # type: ignore[misc]
            return answer
    return None


def _answer(body: ProblemOut, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        body.model_dump(exclude_none=True),
        status_code=body.status,
        headers=headers,
        media_type=PROBLEM,
    )
