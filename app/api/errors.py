"""Errors for callers: RFC 9457 problem documents that say what to do and echo no input."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.api.schemas import ProblemOut
from app.errors import EngineUnavailable, NotAccepting, StoreUnavailable

log = structlog.get_logger("relevo.api")

PROBLEM = "application/problem+json"
#: How soon a caller should try again; Alertmanager has its own idea and ignores it.
_RETRY_AFTER = {"Retry-After": "1"}


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Answer an error."""
    body = ProblemOut(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(body.model_dump(), status_code=status, headers=headers, media_type=PROBLEM)


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

    @app.exception_handler(StoreUnavailable)
    async def _no_store(_: Request, exc: StoreUnavailable) -> JSONResponse:
        return problem(503, f"the store is unavailable: {exc}", _RETRY_AFTER)

    @app.exception_handler(EngineUnavailable)
    async def _no_engine(_: Request, exc: EngineUnavailable) -> JSONResponse:
        return problem(503, f"the container engine is unavailable: {exc}", _RETRY_AFTER)

    @app.exception_handler(NotAccepting)
    async def _closed(_: Request, exc: NotAccepting) -> JSONResponse:
        return problem(503, str(exc), _RETRY_AFTER)
