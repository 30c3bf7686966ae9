"""Alerts are kept before anybody is told so, in whatever order and how often they come."""

from collections import Counter
from dataclasses import replace
from itertools import permutations

import pytest

from app.domain.alert import AlertStatus, KnownAlert
from app.ports import Claim, Entry, Notice, Store, Taken
from tests.adapters.store.builders import (
    LEASE,
    START,
    WEB,
    alert,
    aside,
    at,
    claimed,
    due,
    notice,
    read,
)


async def known(store: Store, seconds: float = 0) -> dict[str, KnownAlert]:
    """What the store knows of the target's alerts."""
    (claim,) = (await store.schedule.claim(now=at(seconds), lease=LEASE, limit=1)).claims
    dossier = await read(store, seconds, target=claim.target)
    return {one.alert.fingerprint: one for one in dossier.alerts}


async def test_an_accepted_alert_is_read_back_as_it_came(store: Store) -> None:
    assert await store.inbox.accept([notice()], (), now=START) == (Taken.ACCEPTED,)

    assert await known(store) == {
        "f1": KnownAlert(alert=alert(), received_at=START, notified_at=START, listed=False)
    }


async def test_nothing_is_nothing(store: Store) -> None:
    assert await store.inbox.accept((), (), now=START) == ()


FIRING = notice(starts=0)
RESOLVED = notice(starts=0, resolved=True)
LATER = notice(starts=600)
LATER_RESOLVED = notice(starts=600, resolved=True)
LISTED = notice(starts=0, listed=True)


@pytest.mark.parametrize(
    ("notices", "answers"),
    [
        pytest.param([FIRING, FIRING], "accepted duplicate", id="twice"),
        pytest.param([FIRING, RESOLVED], "accepted resolved", id="in-order"),
        pytest.param([RESOLVED, FIRING], "resolved stale", id="resolved-first"),
        pytest.param([RESOLVED, RESOLVED], "resolved resolved", id="resolved-twice"),
        pytest.param([FIRING, RESOLVED, FIRING], "accepted resolved stale", id="late-repeat"),
        pytest.param([FIRING, RESOLVED, LATER], "accepted resolved accepted", id="again"),
        pytest.param([LATER, RESOLVED], "accepted stale", id="late-resolved"),
        pytest.param([LATER, FIRING], "accepted duplicate", id="older-while-firing"),
        pytest.param([FIRING, LATER], "accepted accepted", id="newer-while-firing"),
        pytest.param([FIRING, LATER_RESOLVED], "accepted resolved", id="missed-the-firing"),
        pytest.param([LATER_RESOLVED, RESOLVED], "resolved stale", id="older-resolved"),
        pytest.param([LATER_RESOLVED, FIRING], "resolved stale", id="older-than-tombstone"),
        pytest.param([RESOLVED, LISTED], "resolved accepted", id="listed-outranks-tombstone"),
        pytest.param([FIRING, RESOLVED, LISTED], "accepted resolved accepted", id="listed-again"),
        pytest.param([LISTED, FIRING], "accepted duplicate", id="listed-then-notified"),
        pytest.param(
            [RESOLVED, LISTED, FIRING], "resolved accepted duplicate", id="tombstone-is-gone"
        ),
        pytest.param([RESOLVED, notice("f2")], "resolved accepted", id="another-alert"),
        pytest.param(
            [RESOLVED, notice(target="host:db")], "resolved accepted", id="another-target"
        ),
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["one-call", "many-calls"])
async def test_orders_notices_by_the_start_of_their_alert(
    store: Store, notices: list[Notice], answers: str, together: bool
) -> None:
    expected = tuple(Taken(word) for word in answers.split())

    if together:
        assert await store.inbox.accept(notices, (), now=START) == expected
    else:
        taken = [await store.inbox.accept([one], (), now=START) for one in notices]
        assert tuple(taken) == tuple((word,) for word in expected)


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_any_order_ends_the_same(store: Store, order: tuple[int, ...]) -> None:
    """Highly available pairs repeat and reorder."""
    story = [FIRING, RESOLVED, LATER, LATER]

    for seconds, place in enumerate(order):
        await store.inbox.accept([story[place]], (), now=at(seconds))

    assert (await known(store, 10))["f1"].alert == LATER.alert


async def test_a_repeat_moves_only_the_time_of_the_last_notice(store: Store) -> None:
    await store.inbox.accept([notice()], (), now=START)

    await store.inbox.accept([notice()], (), now=at(15))

    one = (await known(store, 15))["f1"]
    assert (one.received_at, one.notified_at) == (START, at(15))


async def test_a_new_start_is_received_anew(store: Store) -> None:
    await store.inbox.accept([notice(listed=True)], (), now=START)

    await store.inbox.accept([notice(starts=600)], (), now=at(615))

    one = (await known(store, 615))["f1"]
    assert (one.received_at, one.listed) == (at(615), False)


async def test_a_resolved_alert_keeps_when_it_came_and_that_it_was_listed(store: Store) -> None:
    await store.inbox.accept([notice(listed=True)], (), now=START)

    await store.inbox.accept([notice(resolved=True)], (), now=at(90))

    assert (await known(store, 90))["f1"] == KnownAlert(
        alert=alert(resolved=True), received_at=START, notified_at=at(90), listed=True
    )


async def test_a_resolved_alert_that_nobody_knew_is_not_kept(store: Store) -> None:
    await store.inbox.accept([notice(resolved=True)], (), now=START)

    assert await known(store) == {}


async def test_a_stale_notice_changes_nothing(store: Store) -> None:
    await store.inbox.accept([notice(starts=600)], (), now=at(610))
    before = await known(store, 610)

    await store.inbox.accept([notice(resolved=True)], (), now=at(620))

    assert await due(store, 620) == []
    assert await known(store, 700) == before


@pytest.mark.parametrize("resolved", [False, True])
async def test_news_pulls_a_waiting_target_to_now(store: Store, resolved: bool) -> None:
    """The step decides again, from what is stored, and plans the same time anew."""
    claim = await claimed(store)
    await store.records.note(claim, Entry(remediation=None, due=at(600)), now=START)

    news = notice("f1", resolved=True) if resolved else notice("f2")
    await store.inbox.accept([news], (), now=at(5))

    assert await due(store, 5) == [WEB]


async def test_a_repeat_leaves_a_waiting_target_waiting(store: Store) -> None:
    claim = await claimed(store)
    await store.records.note(claim, Entry(remediation=None, due=at(600)), now=START)

    await store.inbox.accept([notice()], (), now=at(5))

    assert await due(store, 599) == []
    assert await due(store, 600) == [WEB]


async def test_a_repeat_heals_a_lost_schedule(store: Store) -> None:
    claim = await claimed(store)
    await store.records.note(claim, Entry(remediation=None, due=None), now=START)
    assert await due(store, 1) == []

    await store.inbox.accept([notice()], (), now=at(5))

    assert await due(store, 5) == [WEB]


async def test_a_repeat_during_the_step_schedules_nothing(store: Store) -> None:
    claim = await claimed(store)

    await store.inbox.accept([notice()], (), now=at(5))

    await store.records.note(claim, Entry(remediation=None, due=None), now=at(6))
    assert await due(store, 6) == []


async def test_an_earlier_due_time_stays(store: Store) -> None:
    await store.inbox.accept([notice()], (), now=START)
    await store.inbox.accept([notice("f2")], (), now=at(20))

    assert await store.schedule.overdue(now=at(20)) == at(20) - START


async def test_many_notices_at_once(store: Store) -> None:
    many = [notice(f"f{number}", target=f"host:web-{number % 7}") for number in range(1203)]

    assert await store.inbox.accept(many, (), now=START) == (Taken.ACCEPTED,) * 1203
    assert await store.inbox.accept(many, (), now=START) == (Taken.DUPLICATE,) * 1203


async def test_asides_are_listed_newest_first(store: Store) -> None:
    await store.inbox.accept((), [aside(1), aside(2)], now=START)
    await store.inbox.accept([notice()], [aside(3, seconds=1)], now=at(1))

    assert await store.history.asides() == (aside(3, seconds=1), aside(2), aside(1))
    assert await store.history.asides(limit=1) == (aside(3, seconds=1),)
    assert await store.history.asides(limit=0) == ()


async def test_the_same_call_again_leaves_no_second_aside(store: Store) -> None:
    for _ in range(2):
        await store.inbox.accept((), [aside(1), aside(1)], now=START)

    assert len(await store.history.asides()) == 2


async def test_a_thousand_asides_are_kept(store: Store) -> None:
    await store.inbox.accept((), [aside(number) for number in range(600)], now=START)
    await store.inbox.accept((), [aside(number, seconds=1) for number in range(600)], now=at(1))

    kept = await store.history.asides(limit=5000)

    assert len(kept) == 1000
    assert kept[-1] == aside(200)


async def test_an_excerpt_may_hold_what_is_no_unicode(store: Store) -> None:
    odd = replace(aside(), excerpt="half a pair: \ud83d, and a NUL: \0")

    await store.inbox.accept((), [odd], now=START)

    (kept,) = await store.history.asides()
    assert kept.excerpt == "half a pair: \\ud83d, and a NUL: \0"


async def test_one_target_is_not_mixed_up_with_another(store: Store) -> None:
    await store.inbox.accept([notice(), notice("f2", target="host:db")], (), now=START)
    db, web = (await store.schedule.claim(now=START, lease=LEASE, limit=2)).claims

    async def fingerprints(claim: Claim) -> list[str]:
        dossier = await read(store, 0, target=claim.target)
        return [one.alert.fingerprint for one in dossier.alerts]

    assert (db.target, await fingerprints(db)) == ("host:db", ["f2"])
    assert (web.target, await fingerprints(web)) == (WEB, ["f1"])


async def test_alerts_are_read_in_the_order_of_their_receipt(store: Store) -> None:
    for seconds, fingerprint in enumerate(("f3", "f1", "f2")):
        await store.inbox.accept([notice(fingerprint)], (), now=at(seconds))

    dossier = await read(store, 5)

    assert [one.alert.fingerprint for one in dossier.alerts] == ["f3", "f1", "f2"]
    assert {one.alert.status for one in dossier.alerts} == {AlertStatus.FIRING}


async def test_no_target_has_more_alerts_than_are_kept(store: Store) -> None:
    many = [notice(fingerprint=f"{number:x}") for number in range(1001)]
    taken = await store.inbox.accept(many, (), now=at(0))

    assert Counter(taken) == {Taken.ACCEPTED: 1000, Taken.FULL: 1}
    # What is known already is still taken.
    assert await store.inbox.accept(many[:1], (), now=at(1)) == (Taken.DUPLICATE,)


async def test_the_oldest_tombstones_go_first(store: Store) -> None:
    for number in range(1001):
        over = notice(fingerprint=f"{number:04}", resolved=True, starts=number)
        await store.inbox.accept([over], (), now=at(2000))

    def fires(number: int) -> Notice:
        return notice(fingerprint=f"{number:04}", starts=number)

    answers = await store.inbox.accept([fires(1000), fires(501), fires(0)], (), now=at(2001))
    assert answers == (Taken.STALE, Taken.STALE, Taken.ACCEPTED)
