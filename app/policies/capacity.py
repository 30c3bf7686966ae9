"""Whether a host has room for another instance of a container."""

from math import ceil, floor

from app.domain.decision import Reason
from app.domain.observation import Refusal
from app.domain.usage import Room
from app.policies.spec import Reserve

_MIB = 1 << 20


def shortage(room: Room, reserve: Reserve) -> Refusal | None:
    """Tell what another instance would lack, with the numbers; None: it fits."""
    memory = room.free_memory - reserve.memory * room.memory
    if room.needs_memory > memory:
        free = max(0, floor(memory / _MIB))
        return Refusal(
            reason=Reason.NO_MEMORY_HEADROOM,
            detail=(
                f"needs {ceil(room.needs_memory / _MIB)} MiB, {free} MiB are free "
                f"beyond the reserve of {reserve.memory * 100:g} %"
            ),
        )
    cpus = room.free_cpus - reserve.cpus
    if room.needs_cpus > cpus:
        free_cpus = floor(max(0.0, cpus) * 100) / 100
        return Refusal(
            reason=Reason.NO_CPU_HEADROOM,
            detail=(
                f"needs {ceil(room.needs_cpus * 100) / 100:g} cores, {free_cpus:g} are free "
                f"beyond the reserve of {reserve.cpus:g}"
            ),
        )
    return None
