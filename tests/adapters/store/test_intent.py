"""The intent of an action is written before the action, and one group rests at a time."""

import pytest

from app.domain.remediation import State
from app.errors import CoolingDown, LeaseLost
from app.ports import Cooldown, Entry, Store
from tests.adapters.store.builders import (
    GROUP,
    LEASE,
    START,
    WEB,
    WINDOW,
    activity,
    at,
    claim_of,
    claimed,
    just_before,
    limits,
    read,
    remediation,
    step,
)


async def test_the_intent_is_written_before_the_action(store: Store) -> None:
    claim = await claimed(store)
    acting = remediation(state=State.ACTING)

    await store.records.intend(
        claim, acting, now=at(1), lease=LEASE, limits=limits(), activity=activity()
    )

    assert await store.records.remediation_of(WEB) == acting
    assert await store.history.activity("a1") == activity()


async def test_the_same_intent_again_changes_nothing(store: Store) -> None:
    claim = await claimed(store)
    cooldown = Cooldown(group=GROUP, attempt_id="r1:1", until=at(600))
    for _ in range(2):
        await store.records.intend(
            claim,
            remediation(),
            now=at(1),
            lease=LEASE,
            limits=limits(),
            activity=activity(),
            cooldown=cooldown,
        )

    assert await store.history.activities() == (activity(),)
    await store.records.note(claim, Entry(remediation=remediation(), due=None), now=at(2))


async def test_one_attempt_scales_a_group_out_at_a_time(store: Store) -> None:
    web, api = await claimed(store), await claimed(store, target="host:api")
    first = Cooldown(group=GROUP, attempt_id="r1:1", until=at(600))
    await store.records.intend(
        web, remediation(), now=START, lease=LEASE, limits=limits(), cooldown=first
    )

    other = remediation("r2", target="host:api")
    second = Cooldown(group=GROUP, attempt_id="r2:1", until=at(900))
    with pytest.raises(CoolingDown) as refused:
        await store.records.intend(
            api,
            other,
            now=just_before(at(600)),
            lease=LEASE,
            limits=limits(),
            activity=activity(),
            cooldown=second,
        )

    assert refused.value.until == at(600)
    # Nothing was written.
    assert await store.records.remediation_of("host:api") is None
    assert await store.history.activity("a1") is None
    # Free at exactly its end.
    await store.records.intend(
        api, other, now=at(600), lease=LEASE, limits=limits(), cooldown=second
    )
    assert (await read(store, 600)).cooling_until == at(900)


async def test_another_group_does_not_cool_down(store: Store) -> None:
    web, api = await claimed(store), await claimed(store, target="host:api")
    first = Cooldown(group=GROUP, attempt_id="r1:1", until=at(600))
    await store.records.intend(
        web, remediation(), now=START, lease=LEASE, limits=limits(), cooldown=first
    )

    second = Cooldown(group="host:api", attempt_id="r2:1", until=at(600))
    await store.records.intend(
        api,
        remediation("r2", target="host:api"),
        now=START,
        lease=LEASE,
        limits=limits(),
        cooldown=second,
    )


async def test_the_attempt_that_began_a_cooldown_passes_and_moves_it(store: Store) -> None:
    claim = await claimed(store)
    for end in (600, 700, 650):
        moved = Cooldown(group=GROUP, attempt_id="r1:1", until=at(end))
        await store.records.intend(
            claim, remediation(), now=START, lease=LEASE, limits=limits(), cooldown=moved
        )
        assert (await read(store, 0)).cooling_until == at(end)


async def test_a_lost_lease_goes_before_a_cooldown(store: Store) -> None:
    old = await claimed(store)
    new = await claim_of(store, 30)
    theirs = Cooldown(group=GROUP, attempt_id="r9:1", until=at(600))
    await store.records.intend(
        new, remediation(), now=at(30), lease=LEASE, limits=limits(), cooldown=theirs
    )

    ours = Cooldown(group=GROUP, attempt_id="r1:1", until=at(700))
    with pytest.raises(LeaseLost):
        await store.records.intend(
            old, remediation(), now=at(31), lease=LEASE, limits=limits(), cooldown=ours
        )


async def test_a_note_lifts_only_the_cooldown_of_its_own_attempt(store: Store) -> None:
    cooldown = Cooldown(group=GROUP, attempt_id="r1:1", until=at(600))
    await step(store, 0, Entry(remediation=None, due=None, cooldown=cooldown))
    for attempt_id, expected in (("r2:1", at(600)), ("r1:1", None)):
        lifted = Cooldown(group=GROUP, attempt_id=attempt_id, until=None)
        await step(store, 1, Entry(remediation=None, due=None, cooldown=lifted))
        assert (await read(store, 1)).cooling_until == expected


async def test_a_note_never_shortens_the_cooldown_of_another_attempt(store: Store) -> None:
    theirs = Cooldown(group=GROUP, attempt_id="r1:1", until=at(600))
    await step(store, 0, Entry(remediation=None, due=None, cooldown=theirs))
    for end, expected in ((500, at(600)), (700, at(700))):
        ours = Cooldown(group=GROUP, attempt_id=f"r2:{end}", until=at(end))
        await step(store, end - 400, Entry(remediation=None, due=None, cooldown=ours))
        assert (await read(store, end - 399)).cooling_until == expected


async def test_a_cooldown_is_over_at_exactly_its_end(store: Store) -> None:
    claim = await claimed(store)
    cooldown = Cooldown(group=GROUP, attempt_id="r1:1", until=at(600))
    await store.records.intend(
        claim, remediation(), now=START, lease=LEASE, limits=limits(), cooldown=cooldown
    )

    last = await store.records.read(
        claim.target, group=GROUP, now=just_before(at(600)), window=WINDOW, brake_window=WINDOW
    )
    assert last.cooling_until == at(600)
    assert (await read(store, 600)).cooling_until is None


async def test_a_cooldown_that_a_wrong_clock_began_is_none(store: Store) -> None:
    """Clocks of two hosts differ by less than a minute, or one of them is wrong."""
    ahead = Cooldown(group=GROUP, attempt_id="r1:1", until=at(90_000))
    await step(store, 3660, Entry(remediation=None, due=None, cooldown=ahead))
    assert (await read(store, 3600)).cooling_until == at(90_000)
    assert (await read(store, 3599)).cooling_until is None

    web = await claimed(store)
    own = Cooldown(group=GROUP, attempt_id="r2:1", until=at(900))
    await store.records.intend(
        web, remediation("r2"), now=at(300), lease=LEASE, limits=limits(), cooldown=own
    )

    assert (await read(store, 300)).cooling_until == at(900)
    assert (await read(store, 4000)).cooling_until is None
