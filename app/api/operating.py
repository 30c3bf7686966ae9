"""What people have done: to one target, or to all of Relevo."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import Response
from pydantic import BaseModel

from app.api.body import Body
from app.api.deps import Scope, needs
from app.api.orders import (
    FidelityOut,
    HaltIn,
    HeldOut,
    OrderIn,
    PauseOut,
    PlacedOut,
    ReleasedOut,
    ScaleInDryRunOut,
    ScaleOutDryRunOut,
)
from app.api.schemas import HaltOut
from app.api.writing import Writing, WritingDep, taking
from app.domain.control import OrderKind
from app.errors import OrderConflict, OrderRefused

router = APIRouter(prefix="/api/v1", tags=["operating"], dependencies=[needs(Scope.OPERATE)])

OrderDep = Annotated[OrderIn, Depends(Body(OrderIn))]
HaltDep = Annotated[HaltIn, Depends(Body(HaltIn))]


@router.post(
    "/targets/{target}/restart", **taking("Restart a container now", OrderIn, PlacedOut, 404)
)
async def restart_target(target: str, order: OrderDep, write: WritingDep) -> Response:
    """
    Pause, brake, a deploy and the absence of an alert do not stop it; a hold and an attempt that
    has no verdict yet do (409), and so do what protects the container and the budget (422). While
    a remediation waits it becomes its next attempt, else it begins one; its verdict is told like
    any other, and does not count as a failed restart.
    """
    return await _act(target, OrderKind.RESTART, order, write)


@router.post(
    "/targets/{target}/scale-out",
    **taking("Scale a group out", OrderIn, PlacedOut, 404, dry=ScaleOutDryRunOut),
)
async def scale_out_target(target: str, order: OrderDep, write: WritingDep) -> Response:
    """
    Let another instance take over a share of the load.

    As for a restart; the group's maximum holds as well. A dry run answers the fidelity report,
    field by field, of the clone that would be made, and also why none can be.
    """
    if not write.is_dry(order):
        return await _act(target, OrderKind.SCALE_OUT, order, write)
    name, operator = await write.target(target), write.parts.operator
    report = await operator.fidelity(name)
    in_the_way = None
    try:
        await operator.act(name, OrderKind.SCALE_OUT, write.wish(order))
    except (OrderConflict, OrderRefused) as exc:
        in_the_way = str(exc)
    told = ScaleOutDryRunOut(
        report=FidelityOut.of(report) if report is not None else None, in_the_way=in_the_way
    )
    return Response(told.model_dump_json(), media_type="application/json")


@router.post(
    "/targets/{target}/scale-in",
    **taking("Scale a group in", OrderIn, PlacedOut, 404, dry=ScaleInDryRunOut),
)
async def scale_in_target(target: str, order: OrderDep, write: WritingDep) -> Response:
    """
    Let the newest clone of a target's group leave, quiet or not.

    It is drained for a while, stopped with its own grace, and removed. A pause, the brake and an
    alert do not stop it; a hold, another scale-in and a scale-out that has no verdict yet do (409).
    Refused (422) where there is no clone of ours, for the last instance that serves, and by the
    budget. Originals never leave. `attempt` names its activity, `remediation` the story that
    made it, where that is known.
    """

    async def do() -> BaseModel:
        desk, name = write.parts.desk, await write.target(target)
        placed = await write.parts.operator.scale_in(name, write.wish(order))
        made_in = await desk.remediation(placed.remediation)
        told = PlacedOut(
            remediation=made_in.id if made_in is not None else None, attempt=placed.attempt
        )
        if not placed.dry_run:
            return told
        return ScaleInDryRunOut(**told.model_dump(), container=placed.container)

    return await write.answer("scale_in", target, order, do)


@router.post(
    "/targets/{target}/hold",
    **taking("Keep Relevo away from a container", HaltIn, HeldOut, 404),
)
async def hold_target(target: str, order: HaltDep, write: WritingDep) -> Response:
    """
    Until released, or for a time.

    Its alerts are still taken on and shown. An attempt that has begun is finished.
    """

    async def do() -> BaseModel:
        name = await write.target(target)
        halt = await write.parts.operator.hold(name, write.wish(order), lasts=order.lasts)
        return HeldOut(target=name, hold=HaltOut.of(halt))

    return await write.answer("hold", target, order, do)


@router.post(
    "/targets/{target}/release",
    **taking("End the hold on a container, and its quarantine", OrderIn, ReleasedOut, 404),
)
async def release_target(target: str, order: OrderDep, write: WritingDep) -> Response:
    """
    409 where there is neither. If it still needs help, a new story begins where its failures in the
    window have brought it: reset has those forgotten.
    """

    async def do() -> BaseModel:
        name = await write.target(target)
        placed = await write.parts.operator.release(name, write.wish(order))
        return ReleasedOut(target=name, remediation=placed.remediation if placed else None)

    return await write.answer("release", target, order, do)


@router.post(
    "/targets/{target}/reset",
    **taking("Have a container's failed restarts forgotten", OrderIn, PlacedOut, 404),
)
async def reset_target(target: str, order: OrderDep, write: WritingDep) -> Response:
    """Its ladder starts from the first step. Where no story is open, none is begun for this."""

    async def do() -> BaseModel:
        desk, name = write.parts.desk, await write.target(target)
        placed = await write.parts.operator.reset(name, write.wish(order))
        # Where no story is open, none is begun for this.
        record = await desk.remediation(placed.remediation)
        return PlacedOut(remediation=record.id if record is not None else None, attempt=None)

    return await write.answer("reset", target, order, do)


@router.post(
    "/remediations/{remediation_id}/cancel",
    **taking("Call a remediation off", OrderIn, PlacedOut, 404),
)
async def cancel_remediation(remediation_id: str, order: OrderDep, write: WritingDep) -> Response:
    """
    Nothing more is done until its alerts are gone.

    409 where it is closed, or acting at this moment: a restart is never cut off half-way.
    """

    async def do() -> BaseModel:
        record = await write.parts.desk.remediation(remediation_id)
        if record is None:
            raise HTTPException(404, "no remediation of that id; they are kept for 30 days")
        return PlacedOut.of(await write.parts.operator.cancel(record, write.wish(order)))

    return await write.answer("cancel", remediation_id, order, do)


@router.post("/pause", **taking("Let nothing be done automatically", HaltIn, PauseOut))
async def pause(order: HaltDep, write: WritingDep) -> Response:
    """
    Let nothing be done of Relevo's own accord, until resumed or for a time.

    Alerts are still taken on and shown, and what has begun is finished. People still can restart
    and scale out.
    """

    async def do() -> BaseModel:
        halt = await write.parts.operator.pause(write.wish(order), lasts=order.lasts)
        return PauseOut(pause=HaltOut.of(halt))

    return await write.answer("pause", "", order, do)


@router.post("/resume", **taking("End the pause, and release the brake", OrderIn, PauseOut))
async def resume(order: OrderDep, write: WritingDep) -> Response:
    """
    What was pending is looked at again, and begins one at a time. Failures from before no longer
    count for the brake.
    """

    async def do() -> BaseModel:
        await write.parts.operator.resume(write.wish(order))
        return PauseOut(pause=None)

    return await write.answer("resume", "", order, do)


async def _act(target: str, kind: OrderKind, order: OrderIn, write: Writing) -> Response:
    async def do() -> BaseModel:
        name = await write.target(target)
        return PlacedOut.of(await write.parts.operator.act(name, kind, write.wish(order)))

    return await write.answer(kind, target, order, do)
