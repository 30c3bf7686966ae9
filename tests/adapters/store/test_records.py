"""What a step leaves behind is written as a whole, by its holder, once."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.domain.activity import ActivityStatus
from app.domain.alert import KnownAlert
from app.domain.remediation import Remediation, State
from app.errors import LeaseLost
from app.ports import Cooldown, Dossier, Entry, Notice, RemediationFilter, Store
from tests.adapters.store.builders import (
    GROUP,
    START,
    WEB,
    WINDOW,
    activity,
    alert,
    at,
    attempt,
    claim_of,
    claimed,
    closed,
    due,
    notice,
    read,
    remediation,
    step,
)


async def test_a_target_that_nobody_knows_has_an_empty_dossier(store: Store) -> None:
    assert await read(store, 0) == Dossier(
        remediation=None, alerts=(), failures=0, cooling_until=None
    )
    assert await store.records.remediation_of(WEB) is None


async def test_a_remediation_is_read_back_as_it_was_written(store: Store) -> None:
    full = remediation(
        attempts=(attempt(1), attempt(2, clone="web_new", error="500: ünerwartet")),
        next_at=at(60),
        absent_since=at(5),
    )

    await step(store, 0, Entry(remediation=full, due=at(60)))

    assert await store.records.remediation_of(WEB) == full
    assert (await read(store, 60)).remediation == full
    assert await store.history.remediation(full.id) == full


async def test_a_closed_remediation_is_history(store: Store) -> None:
    await step(store, 0, Entry(remediation=remediation(), due=at(60)))

    await step(store, 60, Entry(remediation=closed(), due=None))

    assert await store.records.remediation_of(WEB) is None
    assert (await read(store, 61)).remediation is None
    assert await store.history.remediation("r1") == closed()


async def test_no_remediation_after_the_step_means_none_is_open(store: Store) -> None:
    await step(store, 0, Entry(remediation=remediation(), due=None))

    await step(store, 1, Entry(remediation=None, due=None))

    assert await store.records.remediation_of(WEB) is None
    assert await store.history.remediation("r1") == remediation()


async def test_an_earlier_remediation_can_be_amended(store: Store) -> None:
    await step(store, 0, Entry(remediation=closed("r1"), due=None))
    turned = closed("r1", attempts=(attempt(evidence="came back after 10 minutes"),))
    new = remediation("r2", opened=900)

    await step(store, 900, Entry(remediation=new, due=at(960), amended=(turned,)))

    assert await store.history.remediation("r1") == turned
    assert await store.records.remediation_of(WEB) == new


async def test_closing_another_remediation_leaves_the_open_one(store: Store) -> None:
    await step(store, 0, Entry(remediation=remediation("r2", opened=900), due=None))

    await step(store, 901, Entry(remediation=closed("r1"), due=None))

    assert await store.records.remediation_of(WEB) == remediation("r2", opened=900)


async def test_a_superseded_remediation_makes_room_for_the_new_one(store: Store) -> None:
    await step(store, 0, Entry(remediation=remediation("r1"), due=None))
    new = remediation("r2", opened=10)

    await step(store, 10, Entry(remediation=new, due=None, amended=(closed("r1"),)))

    assert await store.records.remediation_of(WEB) == new
    waiting = await store.history.remediations(RemediationFilter(state=State.WAITING))
    assert waiting == (new,)


async def test_an_activity_is_written_with_its_step(store: Store) -> None:
    await step(store, 0, Entry(remediation=None, due=None, activity=activity()))
    done = activity(status=ActivityStatus.SUCCESSFUL, container="web_new", finished_at=at(9))

    await step(store, 9, Entry(remediation=None, due=None, activity=done))

    assert await store.history.activities() == (done,)


@pytest.mark.parametrize("planned", [at(600), None], ids=["planned", "nothing-planned"])
async def test_news_during_the_step_keeps_its_own_due_time(
    store: Store, planned: datetime | None
) -> None:
    claim = await claimed(store)
    await store.inbox.accept([notice("f2")], (), now=at(5))

    await store.records.note(claim, Entry(remediation=None, due=planned), now=at(6))

    assert await due(store, 6) == [WEB]


async def test_a_due_time_before_the_news_wins_as_well(store: Store) -> None:
    claim = await claimed(store)
    await store.inbox.accept([notice("f2")], (), now=at(20))

    await store.records.note(claim, Entry(remediation=None, due=at(10)), now=at(21))

    assert await store.schedule.overdue(now=at(21)) == timedelta(seconds=11)


async def test_a_note_can_be_repeated_when_its_answer_was_lost(store: Store) -> None:
    claim = await claimed(store)
    entry = Entry(remediation=remediation(), due=at(60), failed_attempt="r1:1", activity=activity())
    await store.records.note(claim, entry, now=at(1))
    dossier = await read(store, 1)

    # The time of the call may be later; what is written is the same.
    await store.records.note(claim, entry, now=at(2))

    assert await read(store, 2) == dossier
    assert await due(store, 59) == []
    # After the next claim, too; which the repetition leaves alone.
    successor = await claim_of(store, 60)
    await store.records.note(claim, entry, now=at(61))
    await store.records.note(successor, Entry(remediation=None, due=None), now=at(62))
    with pytest.raises(LeaseLost):
        await store.records.note(claim, entry, now=at(63))


async def test_another_note_under_the_same_claim_is_refused(store: Store) -> None:
    claim = await claimed(store)
    await store.records.note(claim, Entry(remediation=remediation(), due=at(60)), now=at(1))

    with pytest.raises(LeaseLost):
        await store.records.note(claim, Entry(remediation=None, due=None), now=at(2))

    assert await store.records.remediation_of(WEB) == remediation()


async def test_a_refused_note_writes_nothing(store: Store) -> None:
    old = await claimed(store)
    await claim_of(store, 30)
    known = KnownAlert(alert=alert(), received_at=START, notified_at=START, listed=True)

    with pytest.raises(LeaseLost):
        await store.records.note(
            old,
            Entry(
                remediation=remediation(),
                due=at(40),
                failed_attempt="r1:1",
                over=(known,),
                activity=activity(),
                cooldown=Cooldown(group=GROUP, attempt_id="r1:1", until=at(600)),
                amended=(closed("r0"),),
                recovered_attempt="r0:1",
                tally={"restarts": 1},
            ),
            now=at(31),
        )

    dossier = await read(store, 31)
    assert dossier == Dossier(remediation=None, alerts=(known,), failures=0, cooling_until=None)
    assert await store.history.activity("a1") is None
    assert await store.failures.failing_targets(now=at(31), window=WINDOW) == 0
    assert await store.failures.recoveries(since=START) == {}
    assert await store.history.tallies() == {}


async def test_alerts_are_marked_as_listed(store: Store) -> None:
    await store.inbox.accept([notice("f1"), notice("f2")], (), now=START)
    claim = await claim_of(store, 0)

    entry = Entry(remediation=None, due=at(1), listed=("f1", "unknown"))
    await store.records.note(claim, entry, now=START)

    dossier = await read(store, 1)
    assert {one.alert.fingerprint: one.listed for one in dossier.alerts} == {
        "f1": True,
        "f2": False,
    }
    assert dossier.alerts[0].alert == alert("f1")


@pytest.mark.parametrize(
    ("meanwhile", "left"),
    [
        pytest.param(None, False, id="nothing-new"),
        pytest.param(notice(), True, id="notified-again"),
        pytest.param(notice(resolved=True), True, id="resolved"),
        pytest.param(notice(starts=5), True, id="fires-anew"),
        pytest.param(notice("f2"), False, id="another-alert"),
    ],
)
async def test_an_alert_that_is_over_is_forgotten_unless_there_is_news(
    store: Store, meanwhile: Notice | None, left: bool
) -> None:
    claim = await claimed(store)
    (seen,) = (await read(store, 0)).alerts
    if meanwhile is not None:
        await store.inbox.accept([meanwhile], (), now=at(5))

    entry = Entry(remediation=None, due=None, over=(seen,), listed=("f1",))
    await store.records.note(claim, entry, now=at(6))

    dossier = await read(store, 7)
    assert ("f1" in {one.alert.fingerprint for one in dossier.alerts}) == left


async def test_an_alert_flagged_meanwhile_is_still_the_one_that_was_seen(store: Store) -> None:
    claim = await claimed(store)
    (seen,) = (await read(store, 0)).alerts

    entry = Entry(remediation=None, due=None, over=(replace(seen, listed=False),))
    await store.records.note(claim, entry, now=at(1))

    assert (await read(store, 2)).alerts == ()


async def test_what_was_resolved_and_forgotten_stays_dead(store: Store) -> None:
    await store.inbox.accept([notice()], (), now=START)
    await store.inbox.accept([notice(resolved=True)], (), now=at(5))
    claim = await claim_of(store, 5)
    (seen,) = (await read(store, 5)).alerts
    await store.records.note(claim, Entry(remediation=None, due=None, over=(seen,)), now=at(6))

    await store.inbox.accept([notice()], (), now=at(7))

    assert await due(store, 8) == []


async def test_the_newest_closed_remediation_is_the_previous_one(store: Store) -> None:
    await step(store, 0, Entry(remediation=remediation("r1"), due=None))
    assert (await read(store, 0)).previous is None

    await step(store, 1, Entry(remediation=closed("r1"), due=None))
    assert (await read(store, 1)).previous == closed("r1")

    await step(store, 2, Entry(remediation=remediation("r2", opened=900), due=None))
    dossier = await read(store, 2)
    assert (dossier.previous, dossier.remediation) == (closed("r1"), remediation("r2", opened=900))

    await step(store, 3, Entry(remediation=closed("r2", opened=900), due=None))
    dossier = await read(store, 3)
    assert (dossier.previous, dossier.remediation) == (closed("r2", opened=900), None)
    assert (await read(store, 3, target="host:db")).previous is None


async def test_what_ends_is_the_previous_one_although_a_clock_was_set_back(store: Store) -> None:
    await step(store, 0, Entry(remediation=remediation("r1", opened=7200), due=None))
    await step(store, 1, Entry(remediation=closed("r1", opened=7200), due=None))
    await step(store, 2, Entry(remediation=remediation("r2", opened=900), due=None))

    await step(store, 3, Entry(remediation=closed("r2", opened=900), due=None))

    dossier = await read(store, 3)
    assert (dossier.previous, dossier.remediation) == (closed("r2", opened=900), None)


async def test_an_amended_remediation_is_read_as_it_is_now(store: Store) -> None:
    await step(store, 0, Entry(remediation=closed("r1"), due=None))
    turned = closed("r1", relapsed_as="r2")
    new = remediation("r2", opened=900, relapse_of="r1")

    await step(store, 900, Entry(remediation=new, due=None, amended=(turned,)))

    dossier = await read(store, 900)
    assert (dossier.remediation, dossier.previous) == (new, turned)


@pytest.mark.parametrize(
    "amended",
    [
        (closed("r1"), closed("r2", opened=900)),
        (closed("r2", opened=900), closed("r1")),
    ],
    ids=["oldest-first", "newest-first"],
)
async def test_an_older_one_that_is_amended_is_not_the_previous_one(
    store: Store, amended: tuple[Remediation, ...]
) -> None:
    await step(store, 0, Entry(remediation=None, due=None, amended=amended))
    assert (await read(store, 0)).previous == closed("r2", opened=900)

    turned = closed("r1", relapsed_as="r9")
    await step(store, 1, Entry(remediation=None, due=None, amended=(turned,)))

    assert (await read(store, 1)).previous == closed("r2", opened=900)
    assert await store.history.remediation("r1") == turned


async def test_one_that_is_superseded_is_the_previous_one(store: Store) -> None:
    await step(store, 0, Entry(remediation=remediation("r1"), due=None))
    new = remediation("r2", opened=10)

    await step(store, 10, Entry(remediation=new, due=None, amended=(closed("r1"),)))

    dossier = await read(store, 10)
    assert (dossier.remediation, dossier.previous) == (new, closed("r1"))


async def test_one_that_an_intent_opens_again_is_not_the_previous_one(store: Store) -> None:
    await step(store, 0, Entry(remediation=closed("r1"), due=None))

    await step(store, 1, Entry(remediation=remediation("r1"), due=None))

    assert (await read(store, 1)).previous is None


async def test_tallies_add_up_for_ever(store: Store) -> None:
    assert await store.history.tallies() == {}

    await step(store, 0, Entry(remediation=None, due=None, tally={"restarts": 1, "would_have": 2}))
    await step(store, 1, Entry(remediation=None, due=None, tally={"restarts": 3}), target="host:db")

    assert await store.history.tallies() == {"restarts": 4, "would_have": 2}


async def test_a_repeated_note_is_tallied_once(store: Store) -> None:
    claim = await claimed(store)
    for order_of_names in (("a", "b"), ("b", "a")):
        tally = {name: 1 for name in order_of_names}
        entry = Entry(remediation=None, due=at(60), tally=tally, recovered_attempt="r1:1")
        await store.records.note(claim, entry, now=at(1))

    assert await store.history.tallies() == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    "other",
    [
        {"recovered_attempt": "r1:1"},
        {"freed": "r1:1"},
        {"back": True},
        {"answered_order": "r1:1"},
        {"tally": {"restarts": 1}},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_a_note_that_differs_in_one_thing_is_another(
    store: Store, other: dict[str, Any]
) -> None:
    claim = await claimed(store)
    entry = Entry(remediation=remediation(), due=at(60))
    await store.records.note(claim, entry, now=at(1))

    with pytest.raises(LeaseLost):
        await store.records.note(claim, replace(entry, **other), now=at(2))

    assert await store.history.tallies() == {}
    assert await store.failures.recoveries(since=START) == {}
