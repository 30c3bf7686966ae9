"""Room on the host: each boundary on both sides."""

from dataclasses import replace

import pytest

from app.domain.decision import Reason
from app.domain.usage import Room
from app.policies.capacity import shortage
from app.policies.spec import Reserve

MIB = 1 << 20
ROOM = Room(
    memory=1000 * MIB,
    cpus=4.0,
    free_memory=356 * MIB,
    free_cpus=1.25,
    needs_memory=256 * MIB,
    needs_cpus=1.0,
)


@pytest.mark.parametrize(
    ("room", "reason"),
    [
        pytest.param(ROOM, None, id="fits-exactly"),
        pytest.param(
            replace(ROOM, free_memory=356 * MIB - 1), Reason.NO_MEMORY_HEADROOM, id="a-byte-less"
        ),
        pytest.param(replace(ROOM, free_cpus=1.24), Reason.NO_CPU_HEADROOM, id="less-cpu"),
        pytest.param(
            replace(ROOM, free_memory=0, free_cpus=0), Reason.NO_MEMORY_HEADROOM, id="neither"
        ),
        pytest.param(
            replace(ROOM, needs_memory=0, free_memory=0), Reason.NO_MEMORY_HEADROOM, id="reserve"
        ),
    ],
)
def test_a_clone_must_fit_beside_the_reserve(room: Room, reason: Reason | None) -> None:
    short = shortage(room, Reserve())

    assert (short.reason if short is not None else None) is reason


def test_without_a_reserve_everything_may_be_used() -> None:
    full = replace(ROOM, free_memory=256 * MIB, free_cpus=1.0)

    assert shortage(full, Reserve(memory=0, cpus=0)) is None


@pytest.mark.parametrize(
    ("room", "said"),
    [
        (
            replace(ROOM, free_memory=280 * MIB),
            "needs 256 MiB, 180 MiB are free beyond the reserve of 10 %",
        ),
        (
            replace(ROOM, free_memory=10 * MIB),
            "needs 256 MiB, 0 MiB are free beyond the reserve of 10 %",
        ),
        (
            replace(ROOM, free_cpus=0.756),
            "needs 1 cores, 0.5 are free beyond the reserve of 0.25",
        ),
    ],
)
def test_the_numbers_are_said(room: Room, said: str) -> None:
    short = shortage(room, Reserve())

    assert short is not None
    assert short.detail == said
