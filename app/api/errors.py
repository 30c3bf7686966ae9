"""Errors for callers: RFC 9457 problem documents that say what to do and echo no input."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.api.schemas import ProblemOut, RefusalOut
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

PROBLEM = "application/problem+json"
#: How soon a caller should try again; Alertmanager has its own idea and ignores it.
_RETRY_AFTER = {"Retry-After": "1"}


def problem(
    status: int,
    detail: str,
    headers: dict[str, str] | None = None,
    *,
    reason: str | None = None,
) -> JSONResponse:
    """Answer an error; with the word for what is in the way, where there is one."""
    title = HTTPStatus(status).phrase
    if reason is None:
        return _answer(ProblemOut(title=title, status=status, detail=detail), headers)
    return _answer(RefusalOut(title=title, status=status, detail=detail, reason=reason), headers)


def documented(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Say in the OpenAPI document which errors a route answers."""
    return {
        code: {
            "model": ProblemOut,
            "description": HTTPStatus(code).phrase,
            "content": {PROBLEM: {}},
        }
        for code in codes
    }


def first_fault(errors: list[Any]) -> str:
    """Name the first field that is wrong and why; never what was sent."""
    first = errors[0]
    if first["type"] == "extra_forbidden":
        return "a key that is not known here: /docs lists those that are"
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return f"{where}: {first['msg']}" if where else str(first["msg"])


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
        return problem(503, said, _RETRY_AFTER, reason=Reason.STORE_DOWN)

    @app.exception_handler(EngineUnavailable)
    async def _no_engine(_: Request, exc: EngineUnavailable) -> JSONResponse:
        said = f"the container engine is unavailable: {exc}"
        return problem(503, said, _RETRY_AFTER, reason=Reason.ENGINE_DOWN)

    @app.exception_handler(NotAccepting)
    async def _closed(_: Request, exc: NotAccepting) -> JSONResponse:
        return problem(503, str(exc), _RETRY_AFTER)


def _answer(body: ProblemOut, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        body.model_dump(), status_code=body.status, headers=headers, media_type=PROBLEM
    )
