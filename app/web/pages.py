"""Pages that show; what is done from them is in `app.web.actions`."""

from contextlib import suppress
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from app.api.deps import Parts, PartsDep
from app.controller.board import Fleet
from app.domain.remediation import Remediation
from app.errors import EngineUnavailable, StoreUnavailable
from app.policies.roster import Found, NotOurs
from app.ports import RemediationFilter
from app.web.guard import visitor
from app.web.links import Links
from app.web.masthead import masthead
from app.web.nowhere import gone, not_looked_after, typos_of
from app.web.rendering import HEADERS, render, root_of
from app.web.route import PageRoute
from app.web.rows import Row, rows
from app.web.telling import DONE, curve, fidelity, story_of

router = APIRouter(include_in_schema=False, route_class=PageRoute, dependencies=[Depends(visitor)])

#: Stories of one target that a page lists; the API has all of them.
_STORIES: Final = 20
_ACTIVITIES: Final = 10
#: Rows that are sent anew one by one; more of them are the whole table.
_ONE_BY_ONE: Final = 50

Done = Annotated[str | None, Query(max_length=20)]


@router.get("/")
async def first(request: Request, parts: PartsDep, done: Done = None) -> Response:
    """Show everything: is it about to touch something, and how is it stopped?"""
    fleet = await parts.board.fleet()
    return render(
        request,
        "fleet.html",
        status=503 if fleet.status.store_trouble or not _is_seen(fleet) else 200,
        **_fleet(request, parts, fleet),
        done=DONE.get(done or ""),
    )


@router.get("/live")
async def live(
    request: Request,
    parts: PartsDep,
    target: Annotated[list[str], Query(max_length=_ONE_BY_ONE)] = [],  # noqa: B006 - FastAPI copies
) -> Response:
    """Show again what has changed: some rows, or all."""
    fleet = await parts.board.fleet()
    some = _fleet(request, parts, fleet)
    names = {str(row.target) for row in some["rows"]}
    if target and names.issuperset(target):
        some["rows"] = [row for row in some["rows"] if row.target in target]
        return render(request, "live_rows.html", **some)
    return render(request, "live_fleet.html", **some)


@router.get("/targets/{target}")
async def one_target(target: str, request: Request, parts: PartsDep, done: Done = None) -> Response:
    """Show one container: what happened to it, and what can be done."""
    found = await _target(request, parts, target)
    if isinstance(found, Response):
        return found
    return render(request, "target.html", **found, done=DONE.get(done or ""))


@router.get("/targets/{target}/live")
async def target_live(target: str, request: Request, parts: PartsDep) -> Response:
    """Show again what may have changed on its page."""
    found = await _target(request, parts, target, is_open=True)
    if isinstance(found, Response):
        return _anew(404)  # the name leads to another one now: so does the page
    return render(request, "live_target.html", **found)


@router.get("/targets/{target}/usage")
async def usage(target: str, parts: PartsDep) -> Response:
    """Tell what it used in the last hour, and what was done to it: for the page's own script."""
    name = parts.desk.canonical(target)
    found = await parts.samples.of(name)
    try:
        stories = await parts.desk.remediations(RemediationFilter(target=name, limit=_STORIES))
    except StoreUnavailable:
        stories = ()
    return JSONResponse(curve(found, stories, now=parts.clock.now()), headers=HEADERS)


@router.get("/remediations/{remediation_id}")
async def one_story(
    remediation_id: str, request: Request, parts: PartsDep, done: Done = None
) -> Response:
    """Show one story: decisions with their reasons, attempts with their verdicts, the evidence."""
    found = await _story(request, parts, remediation_id)
    return render(request, "remediation.html", **found, done=DONE.get(done or ""))


@router.get("/remediations/{remediation_id}/live")
async def story_live(remediation_id: str, request: Request, parts: PartsDep) -> Response:
    """Show again what may have changed on its page."""
    try:
        found = await _story(request, parts, remediation_id)
    except HTTPException as exc:
        return _anew(exc.status_code)
    return render(request, "live_remediation.html", **found)


def _anew(status: int) -> Response:
    """Have the page loaded anew that asked what it shows."""
    return Response(status_code=status, headers={**HEADERS, "HX-Refresh": "true"})


def _fleet(request: Request, parts: Parts, fleet: Fleet) -> dict[str, Any]:
    links: Links = request.state.links
    return {
        "head": masthead(fleet),
        "rows": rows(fleet, parts.desk.rulebook(), prefix=links.label_prefix),
        "is_seen": _is_seen(fleet),
        "precision": fleet.status.precision,
        "asides": fleet.status.asides,
        "typos": fleet.status.label_typos,
        "prefix": links.label_prefix,
    }


def _is_seen(fleet: Fleet) -> bool:
    """Whether the engine was ever seen."""
    return fleet.status.engine is not None


async def _target(
    request: Request, parts: Parts, asked: str, *, is_open: bool = False
) -> dict[str, Any] | Response:
    """
    Find what the page of a target shows.

    :param is_open: somebody looks at it: one that is away for a moment (a deploy) is not lost
    """
    desk, links = parts.desk, request.state.links
    with suppress(EngineUnavailable):  # what is remembered can be shown without an engine
        await desk.engine_seen()
    name = desk.canonical(asked)
    fleet = await parts.board.fleet({name})
    line = next((one for one in fleet.lines if one.target == name), None)
    not_ours: NotOurs | None = None
    if line is None:
        found = await _whose(parts, name)
        if isinstance(found, Found) and str(found.root.target) != name:
            where = f"{root_of(request)}targets/{found.root.target}"
            return RedirectResponse(where, status_code=303, headers=HEADERS)
        not_ours = found if isinstance(found, NotOurs) else None
    stories = await _past(parts, fleet, name)
    activities: tuple[Any, ...] = ()
    if line is not None and line.view is not None and stories is not None:
        activities = await desk.activities(group=line.view.group, limit=_ACTIVITIES)
    if line is None and not stories:
        if fleet.status.store_trouble or fleet.status.engine_trouble:
            raise HTTPException(503, "nothing is known of it while store or engine are away")
        if not is_open:
            return _nowhere(request, fleet, name, not_ours)
    row: Row | None = None
    if line is not None:
        (row,) = rows(fleet, desk.rulebook(), prefix=links.label_prefix)
    engine, _, slot = name.partition(":")
    past = stories[0].container if stories else slot
    container = line.container if line is not None else past
    view = line.view if line is not None else None
    return {
        "target": name,
        "slot": slot or name,
        "head": masthead(await parts.board.fleet()),
        "row": row,
        "gone": None if line is not None else gone(not_ours, fleet.status),
        "view": view,
        "stories": None if stories is None else [story_of(one) for one in stories],
        "activities": activities,
        "report": fidelity(view.readiness) if view is not None and view.readiness else None,
        "links": links.of_container(engine, container, now=fleet.now),
        "trouble": fleet.trouble,
        "typos": typos_of(container, fleet.status),
    }


async def _whose(parts: Parts, name: str) -> Found | NotOurs | None:
    """Tell what a container's name leads to; None where the engine was never seen."""
    try:
        return await parts.desk.whose(name)
    except EngineUnavailable:
        return None


async def _past(parts: Parts, fleet: Fleet, name: str) -> tuple[Remediation, ...] | None:
    """Read the stories of a target; None where that cannot be done now."""
    if fleet.status.store_trouble:
        return None
    try:
        return await parts.desk.remediations(RemediationFilter(target=name, limit=_STORIES))
    except StoreUnavailable:
        return None


def _nowhere(request: Request, fleet: Fleet, name: str, found: NotOurs | None) -> Response:
    """Say of a name that leads to no target what it is instead."""
    links: Links = request.state.links
    told = not_looked_after(name, found, fleet.status, prefix=links.label_prefix)
    values = {"title": told.title, "said": told.said, "do": told.do}
    return render(request, "fault.html", status=404, may_pass=True, **values)


async def _story(request: Request, parts: Parts, remediation_id: str) -> dict[str, Any]:
    desk, links = parts.desk, request.state.links
    record = await desk.remediation(remediation_id)
    if record is None:
        raise HTTPException(404, "no remediation of that id; they are kept for 30 days")
    files = await desk.case_files(record)
    fleet = await parts.board.fleet()
    line = next((one for one in fleet.lines if one.target == record.target), None)
    view = line.view if line is not None else None
    return {
        "story": story_of(record, files),
        "record": record,
        "head": masthead(fleet),
        "slot": record.target.partition(":")[2],
        "report": fidelity(view.readiness) if view is not None and view.readiness else None,
        "links": links.of_story(record, now=fleet.now),
    }
