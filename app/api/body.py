"""Bodies, bounded, and read as one of our models."""

import asyncio
from typing import Any, Final, Generic, TypeVar

import pydantic_core
from fastapi import HTTPException, Request
from pydantic import BaseModel, ValidationError

from app.api.faults import first_fault

#: 10,000 alerts of usual size are 3.5 MB.
MAX_BODY: Final = 4 * 1024 * 1024
#: From its first byte to its last, in seconds; Alertmanager itself gives up after ten.
BODY_TAKES: Final = 10.0

M = TypeVar("M", bound=BaseModel)


async def read_body(request: Request, *, at_most: int = MAX_BODY) -> bytes:
    """
    Read the whole body, up to so many bytes and for `BODY_TAKES` at most.

    Counted as it comes: a Content-Length may be missing or a lie. The server has no bound of its
    own on how slowly it comes.
    """
    too_large = HTTPException(413, f"the body is larger than {at_most} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdecimal() and len(declared) > len(str(at_most)):
        raise too_large
    chunks = bytearray()
    try:
        async with asyncio.timeout(BODY_TAKES):
            is_whole = False
            while not is_whole:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise HTTPException(400, "the caller left before the end of the body")
                chunks += message.get("body", b"")
                if len(chunks) > at_most:
                    raise too_large
                is_whole = not message.get("more_body", False)
    except TimeoutError as exc:
        # Not 408: Alertmanager drops what it is answered that for. Nor is the rest waited for.
        raise HTTPException(
            400, f"the body took longer than {BODY_TAKES:g} s", headers={"Connection": "close"}
        ) from exc
    return bytes(chunks)


def check_json(request: Request) -> None:
    """Refuse what is said to be no JSON: 415."""
    kind = request.headers.get("content-type", "")
    if kind == "application/json":
        return
    kind = kind.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise HTTPException(415, "send application/json")


async def read_json(request: Request) -> object:
    """Read JSON: 415, 413, and 400 for what is none."""
    check_json(request)
    raw = await read_body(request)
    try:
        # NaN is no JSON; deep nesting ends in the parser's own recursion limit.
        return pydantic_core.from_json(raw, allow_inf_nan=False)
    except ValueError as exc:
        raise HTTPException(400, "the body is not JSON") from exc


class Body(Generic[M]):
    """A dependency: the body as a model. FastAPI's own reads bodies of any size."""

    def __init__(self, model: type[M]) -> None:
        self._model = model

    async def __call__(self, request: Request) -> M:
        """Read it, or say what is wrong with it."""
        parsed = await read_json(request)
        try:
            return self._model.model_validate(parsed)
        except ValidationError as exc:
            faults = list(exc.errors(include_url=False, include_input=False))
            raise HTTPException(422, first_fault(faults)) from exc


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """Say in the OpenAPI document what a body holds; app/api/document.py puts the model there."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


#: Documented beside what a route itself answers.
BODY_FAULTS: Final = (400, 413, 415, 422)
