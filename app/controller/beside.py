"""The fresh clone beside its source: found, and both measured where the answer can matter."""

import asyncio
from datetime import datetime

from app.domain.container import Container
from app.domain.remediation import Action, Remediation
from app.domain.usage import SideBySide, Used
from app.errors import ContainerGone, EngineRefused, EngineUnavailable
from app.policies import traffic
from app.policies.roster import Roster
from app.policies.spec import Policy
from app.ports import ContainerEngine


async def fresh_clone(
    engine: ContainerEngine, remediation: Remediation | None, roster: Roster, *, prefix: str
) -> Container | None:
    """
    Look at the clone of the open scale-out; None where none is open, or it is gone.

    :raises EngineUnavailable:
    """
    attempt = remediation.open_attempt if remediation is not None else None
    if attempt is None or attempt.action is not Action.SCALE_OUT:
        return None
    clone_id = attempt.clone_id
    if clone_id is None:
        made = roster.made_by(attempt.id, prefix)
        clone_id = made.listed.id if made is not None else None
    if clone_id is None:
        return None
    try:
        return await engine.inspect(clone_id)
    except ContainerGone:
        return None


async def measure(
    engine: ContainerEngine,
    remediation: Remediation | None,
    source: str,
    clone: Container | None,
    policy: Policy,
    *,
    now: datetime,
) -> SideBySide | None:
    """
    Measure both at once, which takes a second or two; None where nothing asks for it.

    Never raises for the engine: what cannot be measured proves nothing.

    :param source: id of the target's container
    """
    if clone is None or not traffic.is_asked(remediation, clone, policy, now=now):
        return None
    of_source, of_clone = await asyncio.gather(
        _used(engine, source, now), _used(engine, clone.id, now)
    )
    return SideBySide(source=of_source, clone=of_clone)


async def _used(engine: ContainerEngine, container_id: str, now: datetime) -> Used | None:
    try:
        return await engine.used(container_id, at=now)
    except (ContainerGone, EngineRefused, EngineUnavailable):
        return None
