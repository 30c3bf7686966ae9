"""What people do from a page: a reason, a look at what would come of it, and a confirmation."""

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from app.api.caller import Caller
from app.api.deps import Parts, PartsDep
from app.api.faults import first_fault
from app.api.orders import HaltIn
from app.controller.operate import Placed, Wish
from app.domain.control import OrderKind
from app.domain.remediation import Remediation
from app.errors import EngineUnavailable, OrderConflict, OrderRefused
from app.policies.plain_words import fix
from app.web.guard import form, from_here, operator
from app.web.rendering import HEADERS, render, root_of
from app.web.route import PageRoute
from app.web.telling import Reported, fidelity
from app.web.verbs import OF_TARGETS, VERBS

router = APIRouter(include_in_schema=False, route_class=PageRoute, dependencies=[Depends(operator)])

FormDep = Annotated[dict[str, str], Depends(form)]
_FROM_HERE: Final = [Depends(from_here)]
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{10,40}")
_NO_TARGET: Final = "no opted-in container of that name, or several claim it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would come of it now."""

    would: str = ""
    #: What is in the way, and what a person can do about that; empty: nothing is.
    stopped: str = ""
    fix: str = ""
    report: Reported | None = None


@router.get("/targets/{target}/{verb}")
async def ask_target(target: str, verb: str, request: Request, parts: PartsDep) -> Response:
    """Ask for a reason, and say what would come of it."""
    name = await _named(parts, target, verb)
    preview = await _preview(parts, request, name, verb)
    return _asked(request, verb, about=name, preview=preview)


@router.post("/targets/{target}/{verb}", dependencies=_FROM_HERE)
async def do_target(
    target: str, verb: str, request: Request, parts: PartsDep, sent: FormDep
) -> Response:
    """Do it to one container."""
    name = await _named(parts, target, verb)

    async def do(wish: Wish, order: HaltIn) -> None:
        match verb:
            case "restart":
                await parts.operator.act(name, OrderKind.RESTART, wish)
            case "scale-out":
                await parts.operator.act(name, OrderKind.SCALE_OUT, wish)
            case "scale-in":
                await parts.operator.scale_in(name, wish)
            case "hold":
                await parts.operator.hold(name, wish, lasts=order.lasts)
            case "release":
                await parts.operator.release(name, wish)
            case "reset":
                await parts.operator.reset(name, wish)

    return await _done(request, verb, sent, do, about=name)


@router.get("/remediations/{remediation_id}/cancel")
async def ask_cancel(remediation_id: str, request: Request, parts: PartsDep) -> Response:
    """Ask for a reason."""
    record = await _story(parts, remediation_id)
    preview = await _tried(request, lambda wish: parts.operator.cancel(record, wish), "")
    return _asked(request, "cancel", about=record.id, preview=preview)


@router.post("/remediations/{remediation_id}/cancel", dependencies=_FROM_HERE)
async def do_cancel(
    remediation_id: str, request: Request, parts: PartsDep, sent: FormDep
) -> Response:
    """Call a remediation off."""
    record = await _story(parts, remediation_id)

    async def do(wish: Wish, order: HaltIn) -> None:
        await parts.operator.cancel(record, wish)

    return await _done(request, "cancel", sent, do, about=record.id)


@router.get("/pause")
async def ask_pause(request: Request) -> Response:
    """Ask for a reason."""
    return _asked(request, "pause", about="", preview=Preview())


@router.get("/resume")
async def ask_resume(request: Request) -> Response:
    """Ask for a reason."""
    return _asked(request, "resume", about="", preview=Preview())


@router.post("/pause", dependencies=_FROM_HERE)
async def do_pause(request: Request, parts: PartsDep, sent: FormDep) -> Response:
    """Stop everything."""

    async def do(wish: Wish, order: HaltIn) -> None:
        await parts.operator.pause(wish, lasts=order.lasts)

    return await _done(request, "pause", sent, do, about="")


@router.post("/resume", dependencies=_FROM_HERE)
async def do_resume(request: Request, parts: PartsDep, sent: FormDep) -> Response:
    """Let everything go on."""

    async def do(wish: Wish, order: HaltIn) -> None:
        await parts.operator.resume(wish)

    return await _done(request, "resume", sent, do, about="")


async def _named(parts: Parts, target: str, verb: str) -> str:
    """Complete a target's name. :raises HTTPException: 404"""
    if verb not in OF_TARGETS:
        raise HTTPException(404, "no such page")
    await parts.desk.engine_seen()
    found = await parts.desk.find(target)
    if found is not None:
        return found
    source = await parts.desk.source_of(target)
    if source is not None:
        raise HTTPException(404, f"that is a clone of {source}: go to that one")
    raise HTTPException(404, _NO_TARGET)


async def _story(parts: Parts, remediation_id: str) -> Remediation:
    record = await parts.desk.remediation(remediation_id)
    if record is None:
        raise HTTPException(404, "no remediation of that id; they are kept for 30 days")
    return record


async def _preview(parts: Parts, request: Request, name: str, verb: str) -> Preview:
    """Say what would come of it; where that takes the engine, and it is away, say so."""
    order = parts.operator
    match verb:
        case "restart":
            would = "It would be restarted within a second."
            return await _tried(
                request, lambda wish: order.act(name, OrderKind.RESTART, wish), would
            )
        case "scale-out":
            tried = await _tried(
                request,
                lambda wish: order.act(name, OrderKind.SCALE_OUT, wish),
                "Another instance would be made, as this report says:",
            )
            try:
                report = await order.fidelity(name)
            except (EngineUnavailable, OrderRefused):
                report = None
            return replace(tried, report=fidelity(report) if report is not None else None)
        case "scale-in":
            return await _tried(request, lambda wish: order.scale_in(name, wish), "")
        case "release":
            return await _tried(request, lambda wish: order.release(name, wish), "")
        case _:
            return Preview()


async def _tried(
    request: Request, do: Callable[[Wish], Awaitable[Placed | None]], would: str
) -> Preview:
    """Do it dry."""
    prefix = request.state.links.label_prefix
    try:
        placed = await do(Wish(reason="preview", author="page", dry_run=True))
    except OrderConflict as exc:
        return Preview(stopped=str(exc))
    except OrderRefused as exc:
        return Preview(stopped=str(exc), fix=fix(exc.reason, prefix=prefix))
    except EngineUnavailable as exc:
        return Preview(stopped=f"the container engine does not answer: {exc}")
    if placed is not None and placed.container is not None:
        would = f"{placed.container} would leave."
    return Preview(would=would)


def _asked(
    request: Request,
    verb: str,
    *,
    about: str,
    preview: Preview,
    status: int = 200,
    sent: Mapping[str, str] | None = None,
) -> Response:
    return render(
        request,
        "order.html",
        status=status,
        verb=verb,
        what=VERBS[verb],
        about=about,
        slot=about.partition(":")[2] or about,
        preview=preview,
        sent=sent or {},
        # Of this form: sent twice, it is done once.
        key=secrets.token_urlsafe(16),
        back=_back(verb, about),
    )


async def _done(
    request: Request,
    verb: str,
    sent: Mapping[str, str],
    do: Callable[[Wish, HaltIn], Awaitable[None]],
    *,
    about: str,
) -> Response:
    """Do it, and lead back; where something is in the way, ask again and say what."""
    prefix = request.state.links.label_prefix
    wanted = {
        "reason": sent.get("reason", ""),
        "author": sent.get("author", "").strip() or "page",
        "for": sent.get("for", "").strip() or None,
    }
    key = sent.get("key", "")
    try:
        order = HaltIn.model_validate(wanted)
        if _KEY.fullmatch(key) is None:
            raise HTTPException(400, "the form was not made by this page: go back, and try again")
        who = Caller.of(request, request.app.state.parts.tokens, request.state.session.scopes)
        wish = Wish(
            reason=order.reason,
            author=order.author,
            key=f"order:page:{key}",
            scope=who.scope,
            address=who.address,
        )
        await do(wish, order)
    except ValidationError as exc:
        faults = list(exc.errors(include_url=False, include_input=False))
        again = Preview(stopped=first_fault(faults))
        return _asked(request, verb, about=about, preview=again, status=422, sent=sent)
    except OrderConflict as exc:
        again = Preview(stopped=str(exc))
        return _asked(request, verb, about=about, preview=again, status=409, sent=sent)
    except OrderRefused as exc:
        again = Preview(stopped=str(exc), fix=fix(exc.reason, prefix=prefix))
        return _asked(request, verb, about=about, preview=again, status=422, sent=sent)
    where = f"{root_of(request)}{_back(verb, about)}?done={verb}"
    return RedirectResponse(where, status_code=303, headers=HEADERS)


def _back(verb: str, about: str) -> str:
    """Lead from the first page to the one that it was asked on."""
    if not about:
        return ""
    return f"{'remediations' if verb == 'cancel' else 'targets'}/{quote(about, safe=':')}"
