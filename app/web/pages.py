"""Pages that show; what is done from them is in `app.web.actions`."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from app.api.deps import Parts, PartsDep
from app.controller.board import Fleet
from app.domain.remediation import Remediation
from app.errors import EngineUnavailable, StoreUnavailable
from app.ports import RemediationFilter
from app.web.guard import visitor
from app.web.links import Links
from app.web.masthead import masthead
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
    found = await _target(request, parts, target)
    return found if isinstance(found, Response) else render(request, "live_target.html", **found)


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
    return render(request, "live_remediation.html", **await _story(request, parts, remediation_id))


def _fleet(request: Request, parts: Parts, fleet: Fleet) -> dict[str, Any]:
    links: Links = request.state.links
    return {
        "head": masthead(fleet),
        "rows": rows(fleet, parts.desk.rulebook(), prefix=links.label_prefix),
        "precision": fleet.status.precision,
        "asides": fleet.status.asides,
        "prefix": links.label_prefix,
        "now": fleet.now,
    }


def _is_seen(fleet: Fleet) -> bool:
    """Whether the engine was ever seen."""
    return fleet.status.engine is not None


async def _target(request: Request, parts: Parts, asked: str) -> dict[str, Any] | Response:
    desk, links = parts.desk, request.state.links
    try:
        await desk.engine_seen()
        source = await desk.source_of(asked)
        if source is not None:
            return RedirectResponse(
                f"{root_of(request)}targets/{source}", status_code=303, headers=HEADERS
            )
    except EngineUnavailable:
        pass  # what is remembered can be shown without an engine
    name = desk.canonical(asked)
    fleet = await parts.board.fleet({name})
    line = next((one for one in fleet.lines if one.target == name), None)
    stories: tuple[Remediation, ...] = ()
    activities: tuple[Any, ...] = ()
    if not fleet.status.store_trouble:
        stories = await desk.remediations(RemediationFilter(target=name, limit=_STORIES))
        if line is not None and line.view is not None:
            activities = await desk.activities(group=line.view.group, limit=_ACTIVITIES)
    if line is None and not stories:
        if fleet.status.store_trouble or not _is_seen(fleet):
            raise HTTPException(503, "nothing is known of it while store or engine are away")
        raise HTTPException(404, "no opted-in container of that name, and no story of one")
    row: Row | None = None
    if line is not None:
        (row,) = rows(fleet, desk.rulebook(), prefix=links.label_prefix)
    container = line.container if line is not None else stories[0].container
    engine = name.partition(":")[0]
    view = line.view if line is not None else None
    return {
        "target": name,
        "slot": name.partition(":")[2] or name,
        "head": masthead(await parts.board.fleet()),
        "row": row,
        "view": view,
        "stories": [story_of(one) for one in stories],
        "activities": activities,
        "report": fidelity(view.readiness) if view is not None and view.readiness else None,
        "links": links.of_container(engine, container, now=fleet.now),
        "trouble": fleet.trouble,
        "now": fleet.now,
    }


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
        "now": fleet.now,
    }
