"""What is tried, how hard, and what would come of it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from app.api.body import BODY_FAULTS, Body, body_of
from app.api.deps import PartsDep, Scope, needs
from app.api.errors import documented
from app.api.rulebook import policies_as_written
from app.api.shape import Shape
from app.domain.duration import format_duration
from app.domain.reason import Reason
from app.errors import NotAccepting
from app.policies.reachability import reachability
from app.policies.simulate import Scenario, Step, simulate
from app.policies.spec import Policy, Rulebook

router = APIRouter(prefix="/api/v1/policies", tags=["policies"], dependencies=[needs(Scope.READ)])

_ALL: Final = "all"
#: A policy file of a thousand policies has 200 kB; reading one costs 20 µs a byte.
_LONGEST_FILE: Final = 256 * 1024
#: One at a time: a simulation is a second's work, and the controller has others to do.
_POOL: Final = ThreadPoolExecutor(1, thread_name_prefix="simulate")
#: Who is behind so many waits for long, and holds places that others need (see `limits`).
_MOST_SIMULATED: Final = 8


def _known(scenario: str) -> str:
    if scenario not in (_ALL, *Scenario):
        raise ValueError(f"is none of {', '.join((_ALL, *Scenario))}")
    return scenario


class PoliciesOut(Shape):
    """The policy file in force, in its own words, every value written out."""

    model_config = ConfigDict(extra="allow")

    defaults: Annotated[dict[str, Any], Field(description="What holds where no policy matches.")]
    policies: Annotated[
        list[dict[str, Any]],
        Field(
            description="The first match wins. Each with its effective values, and with "
            "`reachability`: when it scales out, with the arithmetic; null: at the first need."
        ),
    ]
    enable: list[dict[str, Any]]
    guards: dict[str, Any]


class SimulateIn(Shape):
    """Which policy, and how the trouble answers."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
    )

    policy_file: Annotated[
        Annotated[str, StringConstraints(max_length=_LONGEST_FILE)] | None,
        Field(description="Text of a policy file; without it, the one in force."),
    ] = None
    policy: Annotated[
        Annotated[str, StringConstraints(max_length=200)] | None,
        Field(description="Name of a policy; without it, the defaults."),
    ] = None
    scenario: Annotated[
        str,
        AfterValidator(_known),
        WithJsonSchema({"type": "string", "enum": [_ALL, *(one.value for one in Scenario)]}),
        Field(
            description="persists: nothing helps · second_restart: that one helps · flaps: "
            "everything helps, not for long · load: no restart helps, another instance does"
        ),
    ] = _ALL


class StepOut(Shape):
    """One thing that happens: an action, a verdict, a hold, an end."""

    at_seconds: Annotated[float, Field(description="Since the first notice of the alert.")]
    at: Annotated[str, Field(description="The same, for people: 21m15s.")]
    what: Annotated[str, Field(description="The decision; of a verdict, its own word.")]
    reason: Reason
    detail: str


class TimelineOut(Shape):
    """What would be done about one kind of trouble."""

    scenario: Scenario
    steps: list[StepOut]


class SimulationOut(Shape):
    """What a policy does, in virtual time."""

    policy: str
    scenarios: list[TimelineOut]


@router.get("", summary="Show the policies in force", responses=documented(401, 403, 503))
async def list_policies(parts: PartsDep) -> PoliciesOut:
    """In the words of the policy file, every value written out."""
    book = parts.desk.rulebook()
    told = policies_as_written(book)
    told["defaults"]["reachability"] = _sentence(book.defaults)
    for written, (_, policy) in zip(told["policies"], book.policies, strict=True):
        written["reachability"] = _sentence(policy)
    return PoliciesOut(**told)


@router.post(
    "/simulate",
    summary="Show what a policy would do, and when",
    responses=documented(*BODY_FAULTS, 401, 403, 404, 503),
    openapi_extra=body_of(SimulateIn),
)
async def simulate_policy(
    request: Request, asked: Annotated[SimulateIn, Depends(Body(SimulateIn))], parts: PartsDep
) -> SimulationOut:
    """
    What would be done about a container that falls ill.

    The decisions are the controller's own, in virtual time; nothing is asked and nothing is
    touched. A wrong policy file is a 422 with a line per fault: `policy_file:line:column`.
    """
    waiting: set[object] = request.app.state.simulated
    if len(waiting) >= _MOST_SIMULATED:
        raise NotAccepting("too many simulations are waiting: try again")
    simulated = asyncio.get_running_loop().run_in_executor(
        _POOL, _simulate, asked, parts.desk.rulebook(), parts.parse
    )
    waiting.add(simulated)
    simulated.add_done_callback(waiting.discard)
    return await simulated


def _simulate(
    asked: SimulateIn, book: Rulebook, parse: Callable[[str, str], Rulebook]
) -> SimulationOut:
    if asked.policy_file is not None:
        book = parse(asked.policy_file, "policy_file")
    policy = _named(book, asked.policy)
    return SimulationOut(
        policy=policy.name,
        scenarios=[
            TimelineOut(
                scenario=one,
                steps=[_step(step) for step in simulate(policy, one, guards=book.guards)],
            )
            for one in Scenario
            if asked.scenario in (_ALL, one)
        ],
    )


def _named(book: Rulebook, name: str | None) -> Policy:
    for policy in (book.defaults, *(policy for _, policy in book.policies)):
        if name in (None, policy.name):
            return policy
    raise HTTPException(404, "no policy of that name; GET /api/v1/policies lists those in force")


def _step(step: Step) -> StepOut:
    return StepOut(
        at_seconds=step.at.total_seconds(),
        at=format_duration(step.at),
        what=step.what,
        reason=step.reason,
        detail=step.detail,
    )


def _sentence(policy: Policy) -> str | None:
    found = reachability(policy)
    return found.sentence if found is not None else None
