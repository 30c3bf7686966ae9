"""What every write has in common: its key, its dry run, and one answer however often it is sent."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Header, HTTPException, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, create_model

from app.api.body import BODY_FAULTS, body_of
from app.api.caller import Caller, CallerDep
from app.api.deps import Parts, PartsDep
from app.api.errors import documented
from app.api.orders import OrderIn
from app.controller.operate import Wish
from app.errors import OrderConflict
from app.ports import Reply

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        pattern="^[!-~]+$",
        description="A name of your choice for this request, such as a UUID. Sent again under the "
        "same key, within 24 h, it is answered the same and not done twice.",
        examples=["7d1f3f2e-8f0c-4a53-9d6e-0b1f0a3c9a55"],
    ),
]
DryRun = Annotated[bool, Query(description="Only say what would come of it; as in the body.")]
_NO_TARGET: Final = (
    "no opted-in target of that name, or several containers claim it; "
    "GET /api/v1/targets lists them"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """A write that is being handled."""

    parts: Parts
    caller: Caller
    key: str | None
    dry_run: bool
    #: The same key at the same time: the second waits for the answer of the first.
    locks: MutableMapping[str, asyncio.Lock]

    async def target(self, name: str) -> str:
        """Complete a target's name, or answer 404."""
        found = await self.parts.desk.find(name)
        if found is None:
            source = await self.parts.desk.source_of(name)
            if source is not None:  # to restart another container than the one named helps nobody
                raise HTTPException(404, f"that is a clone of {source}: name that target")
            raise HTTPException(404, _NO_TARGET)
        return found

    def is_dry(self, order: OrderIn) -> bool:
        """Whether it is only asked about, by query or body."""
        return order.dry_run or self.dry_run

    def wish(self, order: OrderIn) -> Wish:
        """Hand over who wants it, and why."""
        return Wish(
            reason=order.reason,
            author=order.author,
            # Apart from the key of the whole answer: the order and its answer are kept together.
            key=None if self.key is None else f"order:{self.key}",
            dry_run=self.is_dry(order),
            scope=self.caller.scope,
            address=self.caller.address,
        )

    async def answer(
        self, what: str, about: str, order: OrderIn, do: Callable[[], Awaitable[BaseModel]]
    ) -> Response:
        """
        Do something once, and answer 202; answer a dry run 200.

        :raises OrderConflict: the same key was used for something else
        """
        if self.is_dry(order):
            would = {"dry_run": True, **(await do()).model_dump(mode="json")}
            return _json(json.dumps(would), 200)
        if self.key is None:
            return _json((await do()).model_dump_json(), 202)
        key, digest = f"http:{self.key}", _digest(what, about, order)
        replies = self.parts.desk.replies()
        lock = self.locks.setdefault(key, asyncio.Lock())
        async with lock:
            known = await replies.replied(key)
            if known is None:
                reply = Reply(key=key, digest=digest, answer=(await do()).model_dump_json())
                known = await replies.reply(reply) or reply
        if known.digest != digest:
            raise OrderConflict("this Idempotency-Key was used for another request")
        return _json(known.answer, 202)


async def writing(
    request: Request,
    parts: PartsDep,
    caller: CallerDep,
    key: Key = None,
    dry_run: DryRun = False,
) -> Writing:
    """Read what every write takes beside its body; a misspelt ``dry_run`` must not do the thing."""
    asked = request.query_params
    if any(name != "dry_run" for name in asked) or len(asked.multi_items()) > 1:
        raise HTTPException(422, "the only query parameter here is dry_run, once")
    return Writing(
        parts=parts, caller=caller, key=key, dry_run=dry_run, locks=request.app.state.locks
    )


WritingDep = Annotated[Writing, Depends(writing)]


def taking(
    summary: str,
    body: type[OrderIn],
    answer: type[BaseModel],
    *codes: int,
    dry: type[BaseModel] | None = None,
) -> dict[str, Any]:
    """
    Describe a route that takes an order: arguments for its decorator.

    :param dry: what a dry run answers, where that is more than the answer and that it was one
    """
    return {
        "summary": summary,
        "status_code": 202,
        "response_model": answer,
        "responses": {
            200: {"model": dry or _dry(answer), "description": "Of a dry run; nothing was done."},
            **documented(*BODY_FAULTS, 401, 403, 409, 503, *codes),
            **documented(
                422,
                says="What was sent is wrong: `detail` names the field, and what to do. Or a guard "
                "forbids it: `reason` is its word.",
            ),
        },
        "openapi_extra": body_of(body),
    }


def _dry(answer: type[BaseModel]) -> type[BaseModel]:
    """Make the model of the same answer, of something that was not done."""
    name = answer.__name__.removesuffix("Out")
    return create_model(
        f"{name}DryRunOut",
        __base__=answer,
        __doc__="The same answer, of something that was not done.",
        dry_run=(Literal[True], ...),
    )


def _json(text: str, status: int) -> Response:
    return Response(text, status_code=status, media_type="application/json")


def _digest(what: str, about: str, order: OrderIn) -> str:
    asked = json.dumps([what, about, order.model_dump(mode="json")])
    return hashlib.sha256(asked.encode()).hexdigest()
