"""What is watched, and what is about to happen to it."""

from fastapi import APIRouter, HTTPException

from app.api.deps import PartsDep, Scope, needs
from app.api.errors import documented
from app.api.schemas import CloneOut, HaltOut, ReadinessOut, StayOut, TargetOut, TargetsOut
from app.controller.desk import TargetView

router = APIRouter(prefix="/api/v1/targets", tags=["targets"], dependencies=[needs(Scope.READ)])


@router.get("", summary="List the opted-in containers", responses=documented(401, 403, 503))
async def list_targets(parts: PartsDep) -> TargetsOut:
    """Every one with its state, and what happens to it next."""
    views = await parts.desk.targets()
    return TargetsOut(targets=[_out(view) for view in views])


@router.get("/{target}", summary="Show one target", responses=documented(401, 403, 404, 503))
async def show_target(target: str, parts: PartsDep) -> TargetOut:
    """Named `engine:slot`, or by its slot alone; a clone's name leads to whom it belongs to."""
    view = await parts.desk.target(target)
    if view is None:
        raise HTTPException(404, "no opted-in target of that name; GET /api/v1/targets lists them")
    return _out(view)


def _out(view: TargetView) -> TargetOut:
    record = view.remediation
    report, count = view.readiness, view.headcount
    return TargetOut(
        target=view.target,
        container=view.container,
        group=view.group,
        mode=view.mode,
        state=view.state,
        reason=record.reason if record is not None else None,
        next_action=record.next_action if record is not None else None,
        next_action_at=(
            record.next_at if record is not None and record.next_action is not None else None
        ),
        failures_in_window=view.failures,
        instances=count.instances,
        min_instances=count.least,
        desired_instances=count.desired,
        max_instances=view.max_instances,
        clones=[CloneOut.of(one) for one in count.clones],
        clones_stay=StayOut.of(count.stays) if count.stays is not None else None,
        cooling_until=view.cooling_until,
        remediation=record.id if record is not None else None,
        policy=view.policy,
        hold=HaltOut.of(view.hold) if view.hold is not None else None,
        readiness=None
        if report is None
        else ReadinessOut(
            can_scale_out=not report.is_refused,
            traffic=report.traffic,
            reasons=[item.reason or "" for item in report.refusals],
            details=[item.detail for item in report.refusals],
        ),
    )
