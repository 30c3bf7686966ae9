"""What happened, for people; and the small facts."""

from datetime import timedelta

import pytest

from app.domain.remediation import Remediation, State
from app.ports import Cooldown, Entry, Glance, RemediationFilter, Store
from tests.adapters.store.builders import (
    START,
    WEB,
    activity,
    at,
    claimed,
    closed,
    failed,
    just_before,
    limits,
    remediation,
    step,
)

OLD = closed("r1", opened=0)
DB = remediation("r2", opened=100, target="host:db", state=State.QUARANTINED)
NEW = remediation("r3", opened=200)


async def write(store: Store, *remediations: Remediation) -> None:
    for one in remediations:
        claim = await claimed(store, 0, target=one.target)
        await store.records.note(claim, Entry(remediation=one, due=None), now=START)


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        pytest.param(RemediationFilter(), (NEW, DB, OLD), id="all-newest-first"),
        pytest.param(RemediationFilter(limit=2), (NEW, DB), id="limited"),
        pytest.param(RemediationFilter(target=WEB), (NEW, OLD), id="one-target"),
        pytest.param(RemediationFilter(target="host:none"), (), id="unknown-target"),
        pytest.param(RemediationFilter(state=State.QUARANTINED), (DB,), id="one-state"),
        pytest.param(RemediationFilter(state=State.CLOSED), (OLD,), id="closed"),
        pytest.param(RemediationFilter(state=State.HELD), (), id="nobody-in-that-state"),
        pytest.param(RemediationFilter(target=WEB, state=State.CLOSED), (OLD,), id="both"),
        pytest.param(RemediationFilter(open_only=True), (NEW, DB), id="open"),
        pytest.param(RemediationFilter(open_only=True, limit=1), (NEW,), id="open-limited"),
        pytest.param(RemediationFilter(open_only=True, target=WEB), (NEW,), id="open-of-one"),
        pytest.param(RemediationFilter(open_only=True, since=at(101)), (NEW,), id="open-since"),
        pytest.param(
            RemediationFilter(open_only=True, state=State.QUARANTINED), (DB,), id="open-in-a-state"
        ),
        pytest.param(
            RemediationFilter(open_only=True, state=State.CLOSED), (), id="open-and-closed"
        ),
        pytest.param(RemediationFilter(since=at(100)), (NEW, DB), id="since-inclusive"),
        pytest.param(RemediationFilter(since=at(101)), (NEW,), id="since-later"),
    ],
)
async def test_lists_remediations(
    store: Store, which: RemediationFilter, expected: tuple[Remediation, ...]
) -> None:
    await write(store, OLD, DB, NEW)

    assert await store.history.remediations(which) == expected


async def test_lists_a_remediation_once_however_often_it_is_written(store: Store) -> None:
    await write(store, remediation("r1"), remediation("r1"), closed("r1"))

    assert await store.history.remediations(RemediationFilter()) == (closed("r1"),)


async def test_a_filter_looks_further_than_the_first_page(store: Store) -> None:
    await write(store, OLD, *(remediation(f"n{n}", opened=n + 1) for n in range(130)))

    assert await store.history.remediations(RemediationFilter(state=State.CLOSED)) == (OLD,)
    everything = await store.history.remediations(RemediationFilter(limit=1000))
    assert len(everything) == 131


async def test_many_targets_at_a_glance(store: Store) -> None:
    ill, well, unknown = "host:web", "host:db", "host:never"
    await failed(store, "r1:1", 5, target=ill)
    await failed(store, "r1:2", 20, target=ill)
    rest = Cooldown(group="host:shop", attempt_id="r1:2", until=at(60))
    story = remediation("r1", target=ill, group="host:shop")
    await step(store, 30, Entry(remediation=story, due=None, cooldown=rest), target=ill)
    over = closed("r2", target=well, group="host:db")
    await step(store, 30, Entry(remediation=over, due=None), target=well)
    groups = {well: "host:db", ill: "host:shop", unknown: "host:shop"}

    found = await store.history.glance(groups, now=at(59), since=at(5))

    assert list(found) == [well, ill, unknown]
    assert found[ill] == Glance(remediation=story, failed_at=(at(20),), cooling_until=at(60))
    assert found[well] == Glance(remediation=None, failed_at=(), cooling_until=None)
    assert found[unknown] == Glance(remediation=None, failed_at=(), cooling_until=at(60))
    later = await store.history.glance(groups, now=at(60), since=just_before(at(5)))
    assert (later[ill].failed_at, later[ill].cooling_until) == ((at(5), at(20)), None)
    early = await store.history.glance(groups, now=just_before(at(20)), since=START)
    assert early[ill].failed_at == (at(5),)


async def test_more_targets_than_one_script_looks_at(store: Store) -> None:
    story = remediation("r1", target="host:web-1200")
    await step(store, 0, Entry(remediation=story, due=None), target="host:web-1200")
    groups = {f"host:web-{number}": "host:shop" for number in range(1201)}

    found = await store.history.glance(groups, now=START, since=START)

    assert [one for one in found if found[one].remediation is not None] == ["host:web-1200"]
    assert list(found) == list(groups)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(99, 0), (100, 1), (110, 2), (159.999, 2), (160, 1), (170, 0)],
)
def test_failures_count_in_a_window_that_is_open_at_its_far_end(
    seconds: float, expected: int
) -> None:
    seen = Glance(remediation=None, failed_at=(at(100), at(110)), cooling_until=None)

    assert seen.failures(timedelta(seconds=60), now=at(seconds)) == expected


async def test_unknown_ids_are_none(store: Store) -> None:
    assert await store.history.remediation("never") is None
    assert await store.history.activity("never") is None


async def test_lists_activities_newest_first(store: Store) -> None:
    claim = await claimed(store)
    for number, group in enumerate(("host:a", "host:b", "host:a")):
        one = activity(f"a{number}", started=number, group=group)
        await store.records.intend(
            claim, remediation(), now=START, lease=at(30) - START, limits=limits(), activity=one
        )

    async def ids(group: str | None = None, limit: int = 100) -> list[str]:
        return [one.id for one in await store.history.activities(group=group, limit=limit)]

    assert await ids() == ["a2", "a1", "a0"]
    assert await ids(limit=1) == ["a2"]
    assert await ids(limit=0) == []
    assert await ids("host:a") == ["a2", "a0"]
    assert await ids("host:none") == []


async def test_a_thousand_activities_are_listed(store: Store) -> None:
    claim = await claimed(store)
    for number in range(1002):
        one = activity(f"a{number}", started=number)
        await store.records.intend(
            claim, remediation(), now=START, lease=at(30) - START, limits=limits(), activity=one
        )

    for group in (None, one.group):
        listed = await store.history.activities(group=group, limit=5000)
        assert (len(listed), listed[-1].id) == (1000, "a2")


async def test_facts_are_remembered(store: Store) -> None:
    assert await store.facts.get("watchdog_seen") is None

    await store.facts.put("watchdog_seen", "ja, gesehen")
    await store.facts.put("watchdog_seen", "seen")

    assert await store.facts.get("watchdog_seen") == "seen"


async def test_what_was_left_without_an_end_is_not_open(store: Store) -> None:
    await write(store, OLD, DB, NEW)

    claim = await claimed(store, 0)
    await store.records.note(claim, Entry(remediation=None, due=None), now=START)

    assert await store.history.remediations(RemediationFilter(open_only=True)) == (DB,)
