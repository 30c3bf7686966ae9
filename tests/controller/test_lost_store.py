"""A store that lost its memory, or may have; a host that slept; whatever else is in doubt."""

from collections.abc import AsyncIterator
from copy import deepcopy
from datetime import timedelta
from typing import Final

import pytest

from app.adapters.store.codec import AUDIT_ENTRY
from app.controller.operate import Wish
from app.controller.tenure import HOLD, RENEW
from app.domain.alert import AlertStatus
from app.domain.audit import AuditKind
from app.errors import EngineSilent, StoreUnavailable
from tests.builders import START, TARGET, alert, at, container, listed_alert
from tests.controller.house import pass_time
from tests.controller.town import Neighbour, Town, WeakStore, known
from tests.fakes import FakeAlertmanager
from tests.memory_store import MemoryStore

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(60)]

HOLD_S, RENEW_S = HOLD.total_seconds(), RENEW.total_seconds()
#: Until something odd is noticed, and the hold for it is over, at most.
OVER: Final = HOLD_S + RENEW_S + 2
ANNA: Final = Wish(reason="looked at it", author="anna")


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    one = Town()
    yield one
    await one.close()


async def led(town: Town) -> Neighbour:
    """A controller that has led for a while; no fixture: time is not virtual in those."""
    one = town.neighbour("anna")
    await one.start()
    await pass_time(seconds=30)
    return one


async def until_noticed(one: Neighbour) -> None:
    """Let time pass until it holds still."""
    for _ in range(60):
        if "Redis" in await one.trouble():
            return
        await pass_time(milliseconds=100)
    raise AssertionError(await one.trouble())


def lose(town: Town, how: str, older: MemoryStore) -> None:
    town.memory = MemoryStore() if how == "emptied" else deepcopy(older)


# ---------------------------------------------------------------- a lost store


@pytest.mark.parametrize("how", ["emptied", "older"])
async def test_nothing_is_taken_on_or_done_until_it_is_known_again(town: Town, how: str) -> None:
    anna = await led(town)
    older = deepcopy(town.memory)
    await anna.take()
    await pass_time(seconds=20)
    lose(town, how, older)

    # From the first moment on: before anybody has looked at what it is.
    with pytest.raises(StoreUnavailable, match=r"has lost|older|history"):
        await anna.take()
    await until_noticed(anna)
    assert town.acting() == []
    assert not anna.house.tenure.view().is_ready
    with pytest.raises(StoreUnavailable, match="pulled anew"):
        await anna.take()

    took = await town.until(["anna"], within=OVER)

    assert took >= HOLD_S - 1
    assert await anna.take(alert(starts_at=at(51))) == 1
    assert town.done() == []
    await pass_time(seconds=61)
    assert [who for who, _ in town.done()] == ["anna"]


@pytest.mark.parametrize("how", ["emptied", "older"])
async def test_a_restarted_controller_notices_it_as_well(town: Town, how: str) -> None:
    """What is remembered of a store is some seconds old: it has gone on since, as it may."""
    anna = await led(town)
    older = deepcopy(town.memory)
    await anna.take()
    assert town.memory.seat.counter > (await anna.house.tenure.memory.recall()).fence
    await anna.restart()
    await pass_time(seconds=1)
    lose(town, how, older)

    with pytest.raises(StoreUnavailable, match=r"has lost|older|history"):
        await anna.take(alert(fingerprint="f2"))


async def test_it_takes_a_pull_however_long_that_takes(town: Town) -> None:
    one = town.neighbour("anna")
    await one.start(pulling=False)
    await one.house.resync.pull()
    await pass_time(seconds=30)
    town.memory = MemoryStore()

    await pass_time(minutes=10)
    assert town.acting() == []
    with pytest.raises(StoreUnavailable):
        await one.take()

    await one.house.resync.pull()
    await pass_time(seconds=2)
    assert town.acting() == ["anna"]
    assert await one.take() == 1


async def test_a_pull_without_alertmanager_is_not_complete(town: Town) -> None:
    alertmanager = FakeAlertmanager(up_since=START - timedelta(days=1))
    one = town.neighbour("anna", alerts=alertmanager)
    await one.start()
    await pass_time(seconds=30)
    alertmanager.down = True
    town.memory = MemoryStore()

    await pass_time(minutes=5)
    assert town.acting() == []

    alertmanager.down = False
    await town.until(["anna"], within=65)


async def test_a_person_ends_it_at_once(town: Town) -> None:
    anna = await led(town)
    town.memory = MemoryStore()
    await until_noticed(anna)
    await pass_time(seconds=1.5)

    await anna.house.operator.resume(ANNA)

    await town.until(["anna"], within=RENEW_S)
    assert await anna.take() == 1


async def test_a_word_to_one_that_follows_is_heard_by_the_one_that_leads(town: Town) -> None:
    anna, ben = await led(town), town.neighbour("ben")
    await ben.start()
    await pass_time(seconds=2 * RENEW_S)
    town.memory = MemoryStore()
    await until_noticed(anna)
    await pass_time(seconds=2.5)
    assert town.acting() == []
    (follower,) = (one for one in (anna, ben) if not one.house.tenure.leads)

    await follower.house.operator.resume(ANNA)

    assert await town.until(["anna" if follower is ben else "ben"], within=2) <= 2


async def test_a_word_of_long_ago_ends_no_new_doubt(town: Town) -> None:
    anna = await led(town)
    await anna.house.operator.resume(ANNA)
    await pass_time(seconds=2 * RENEW_S)

    anna.house.tenure.hold("something odd")

    await pass_time(seconds=10)
    assert not anna.house.tenure.may_claim


@pytest.mark.parametrize("how", ["emptied", "older"])
async def test_pause_holds_and_charges_are_told_again(town: Town, how: str) -> None:
    anna = await led(town)
    older = deepcopy(town.memory)
    await anna.take()
    await pass_time(seconds=61)
    assert len(town.done()) == 1
    charged = await anna.house.store.failures.charged(since=START)
    pause = await anna.house.operator.pause(ANNA, lasts=None)
    hold = await anna.house.operator.hold("host1:db", ANNA, lasts=timedelta(hours=1))
    await pass_time(seconds=2 * RENEW_S)
    fence = (await anna.house.store.leadership.look()).fence
    lose(town, how, older)

    await town.until([], within=RENEW_S + 1)
    await town.until(["anna"], within=OVER)

    store = anna.house.store
    assert await store.controls.pause() == pause
    assert await store.controls.holds() == {"host1:db": hold}
    assert await store.failures.charged(since=START) == charged
    assert (await store.leadership.look()).fence > fence


async def test_a_restart_of_relevo_does_not_hide_it(town: Town) -> None:
    """Redis and Relevo come back together, the one without its memory."""
    anna = await led(town)
    await anna.house.operator.pause(ANNA, lasts=None)
    await pass_time(seconds=2 * RENEW_S)
    await anna.crash()
    town.memory = MemoryStore()

    await anna.restart()

    assert town.acting() == []
    with pytest.raises(StoreUnavailable):
        await anna.take()
    await town.until(["anna"], within=OVER)
    assert await anna.house.store.controls.pause() is not None


async def test_the_first_store_of_all_takes_alerts_on_at_once(town: Town) -> None:
    """Whether it is new, or has lost everything while we were new as well, nobody can tell."""
    town.memory = MemoryStore()
    one = town.neighbour("anna")
    await one.start()

    assert await one.take() == 1
    assert town.acting() == []
    await town.until(["anna"], within=OVER)


async def test_an_embedded_store_begins_empty(town: Town) -> None:
    town.memory = MemoryStore()
    one = town.neighbour("anna", own_server=True)
    await one.start()

    assert town.acting() == ["anna"]


async def test_a_follower_knows_a_lost_store_as_well(town: Town) -> None:
    """Whoever notices first begins the new history; all others hold still as well."""
    anna = await led(town)
    bert = town.neighbour("bert")
    await bert.start()
    await pass_time(seconds=10)
    town.memory = MemoryStore()

    for one in (anna, bert):
        with pytest.raises(StoreUnavailable):
            await one.take()
        await until_noticed(one)
    standing = await anna.house.store.leadership.look()
    assert standing == await bert.house.store.leadership.look()
    await town.watch(seconds=OVER + 16)
    assert len(town.acting()) == 1
    assert await anna.take() == 1
    assert await bert.take() == 1


async def test_a_rollback_while_nobody_looked_is_found_by_its_marks(town: Town) -> None:
    """Its history is the same by name, and the seat in it ours."""
    anna = await led(town)
    older = deepcopy(town.memory)
    for number in range(3):
        await anna.take(alert(fingerprint=f"f{number}"))
    await pass_time(seconds=RENEW_S)
    await anna.crash()
    town.memory = older

    await anna.restart()

    assert town.acting() == []
    assert "older copy" in await anna.trouble()


async def test_what_an_older_store_has_planned_is_checked_first(town: Town) -> None:
    """An alert that has ended since then is in there, and its restart is due."""
    alertmanager = FakeAlertmanager(up_since=START - timedelta(days=1), alerts=[listed_alert()])
    one = town.neighbour("anna", alerts=alertmanager)
    await one.start()
    await one.take()
    await pass_time(seconds=30)
    older = deepcopy(town.memory)
    alertmanager.alerts.clear()
    await one.take(alert(status=AlertStatus.RESOLVED))
    await pass_time(seconds=25)
    town.memory = older

    await pass_time(minutes=10)

    assert town.acting() == ["anna"]
    assert town.done() == []


# ---------------------------------------------------------------- in doubt


async def test_a_restarted_redis_is_left_alone_for_a_while(town: Town) -> None:
    anna = await led(town)
    await anna.take()
    await pass_time(seconds=25)
    town.memory.seat.run_id = "another"

    await town.until([], within=RENEW_S + 0.2)
    assert "Redis was restarted" in await anna.trouble()
    # It is ours, and it is whole: alerts are taken on.
    assert await anna.take(alert(fingerprint="f2")) == 1
    took = await town.until(["anna"], within=OVER)

    assert took >= HOLD_S - 0.2
    assert town.done() == []


async def test_an_embedded_redis_is_another_process_each_time(town: Town) -> None:
    one = town.neighbour("anna", own_server=True)
    await one.start()
    await pass_time(seconds=10)
    town.memory.seat.run_id = "another"

    await pass_time(seconds=2 * RENEW_S)

    assert town.acting() == ["anna"]


async def test_a_host_that_was_suspended_looks_before_it_acts(town: Town) -> None:
    anna = await led(town)
    slept = timedelta(hours=8)
    before = anna.clock.now()
    anna.clock.suspend(slept)

    await town.until([], within=RENEW_S + 0.2)

    assert "suspended for 28800 s" in await anna.trouble()
    assert anna.clock.now() - before >= slept
    assert await town.until(["anna"], within=OVER) >= HOLD_S - 0.2


async def test_a_nap_is_no_suspension(town: Town) -> None:
    anna = await led(town)
    anna.clock.suspend(timedelta(seconds=1))

    await pass_time(seconds=2 * RENEW_S)

    assert town.acting() == ["anna"]


async def test_a_store_that_cannot_keep_its_word_is_not_acted_on(town: Town) -> None:
    town.memory = weak = WeakStore()
    known(weak)
    weak.weak = ("Redis keeps no append-only file.",)
    one = town.neighbour("anna")
    await one.start()
    await one.take()

    await pass_time(minutes=3)

    assert town.done() == []
    assert "append-only" in await one.trouble()
    assert not one.house.tenure.view().is_ready

    weak.weak = ()
    await town.until(["anna"], within=31 + RENEW_S)
    await pass_time(seconds=11)
    assert [who for who, _ in town.done()] == ["anna"]


async def test_a_store_that_weakens_is_noticed(town: Town) -> None:
    town.memory = weak = WeakStore()
    known(weak)
    one = town.neighbour("anna")
    await one.start()
    assert town.acting() == ["anna"]

    weak.weak = ("Redis may throw away what Relevo keeps.",)

    await town.until([], within=30 + RENEW_S)


async def test_one_of_another_engine_neither_acts_nor_accepts(town: Town) -> None:
    anna = await led(town)
    carl = town.neighbour("carl", engine="host2")
    await carl.start()
    await pass_time(seconds=2)

    assert not carl.house.tenure.accepts
    with pytest.raises(StoreUnavailable, match=r"belongs to the engine 'host1'.*RELEVO_REDIS_URL"):
        await carl.take()
    await anna.crash()
    await pass_time(minutes=5)

    assert town.acting() == []
    assert not carl.house.tenure.view().is_ready
    await anna.restart()
    await town.until(["anna"], within=20)


async def test_a_notification_with_less_than_all_is_pulled_before_anything_is_done(
    town: Town,
) -> None:
    alertmanager = FakeAlertmanager(up_since=START - timedelta(days=1))
    one = town.neighbour("anna", alerts=alertmanager)
    await one.start()
    await pass_time(seconds=30)
    alertmanager.down = True
    await one.house.intake.take([alert()], truncated=7)

    assert town.acting() == []
    assert "left 7 alerts out" in await one.trouble()
    # Alerts are still taken on: the more is known the better.
    assert await one.take(alert(fingerprint="f2")) == 1
    alertmanager.down = False
    await one.house.resync.pull()
    assert town.acting() == ["anna"]


async def test_a_whole_pull_follows_it_at_once(town: Town) -> None:
    alertmanager = FakeAlertmanager(up_since=START - timedelta(days=1))
    one = town.neighbour("anna", alerts=alertmanager)
    await one.start()
    await pass_time(seconds=30)

    await one.house.intake.take([alert()], truncated=7)
    assert town.acting() == []

    assert await town.until(["anna"], within=1) < 1


async def test_a_pull_that_cannot_be_made_is_not_waited_for_for_ever(town: Town) -> None:
    """What is known is then all that is to be had; the guards of a silent source apply."""
    alertmanager = FakeAlertmanager(up_since=START - timedelta(days=1), down=True)
    one = town.neighbour("anna", alerts=alertmanager)
    await one.start()
    await one.house.intake.take([alert()], truncated=1)

    assert 119 <= await town.until(["anna"], within=121) <= 121


async def test_an_engine_that_answers_nothing_more_is_left_alone(town: Town) -> None:
    one = town.neighbour("anna")
    for number in (2, 3, 4):
        town.run(container(f"w{number}", number))
    one.engine.errors = [EngineSilent("no answer")] * 9
    await one.start()
    for number in (2, 3, 4):
        name = f"w{number}"
        labels = {"alertname": "ContainerHighCPU", "engine": "host1", "name": name}
        await one.take(alert(fingerprint=name, labels=labels))

    await town.until([], within=300)

    assert len(one.engine.errors) == 6
    assert "took 3 requests in a row and answered none" in await one.trouble()
    assert await town.until(["anna"], within=OVER) >= HOLD_S - 0.2


# ---------------------------------------------------------------- who speaks


async def test_only_the_leader_posts_alerts_and_its_successor_goes_on(town: Town) -> None:
    anna = await led(town)
    bert = town.neighbour("bert")
    await bert.start()
    for number in range(2, 7):
        town.run(container(f"w{number}", number))
        labels = {"alertname": "ContainerHighCPU", "engine": "host1", "name": f"w{number}"}
        await anna.take(alert(fingerprint=f"f{number}", labels=labels))
    await pass_time(minutes=40)
    told = {one.labels["alertname"] for one in anna.sink.posts}
    assert told
    assert bert.sink.posts == []

    await anna.crash()
    await town.until(["bert"], within=20)
    await pass_time(minutes=2)

    assert {one.labels["alertname"] for one in bert.sink.posts} & told


# ---------------------------------------------------------------- what the audit loses


def losses(town: Town) -> list[str]:
    lines = [AUDIT_ENTRY.load(one.text, key="audit") for one in town.memory.audit._lines]
    return [line.detail or "" for line in lines if line.kind is AuditKind.LOST]


async def orders(one: Neighbour, *reasons: str) -> None:
    for reason in reasons:
        wish = Wish(reason=reason, author="anna")
        await one.house.operator.hold(TARGET, wish, lasts=None)


@pytest.mark.parametrize("how", ["emptied", "older"])
async def test_lines_that_a_store_has_lost_are_missed_in_the_audit_itself(
    town: Town, how: str
) -> None:
    anna = await led(town)
    await orders(anna, "first")
    older = deepcopy(town.memory)
    await orders(anna, "second", "third")
    known = town.memory.audit._lines[-1]
    await pass_time(seconds=2 * RENEW_S)
    lose(town, how, older)
    await until_noticed(anna)
    await pass_time(seconds=OVER)

    (said,) = losses(town)

    assert f"line 3 ({known.id}, {known.chain}) is gone" in said
    assert "there was none" in said if how == "emptied" else "the newest was 1 " in said
    check = await town.memory.audit.verify()
    assert (check.broken_at, len(check.losses)) == (None, 1)
    # Said once, however long ago.
    await orders(anna, "fourth")
    await pass_time(minutes=5)
    assert len(losses(town)) == 1


async def test_a_last_line_that_somebody_exchanged_is_missed(town: Town) -> None:
    anna = await led(town)
    await orders(anna, "first", "second")
    await pass_time(seconds=2 * RENEW_S)
    del town.memory.audit._lines[-1]

    await orders(anna, "another")
    await pass_time(seconds=2 * RENEW_S)

    (said,) = losses(town)
    assert "line 2 " in said


async def test_what_is_known_of_the_audit_outlives_the_process(town: Town) -> None:
    anna = await led(town)
    await orders(anna, "first", "second")
    await pass_time(seconds=2 * RENEW_S)
    await anna.crash()
    del town.memory.audit._lines[-1]

    await anna.restart()
    await pass_time(seconds=30)

    assert len(losses(town)) == 1


async def test_an_audit_that_only_grows_has_lost_nothing(town: Town) -> None:
    anna = await led(town)
    for number in range(4):
        await orders(anna, f"no. {number}")
        await pass_time(seconds=2 * RENEW_S)

    assert losses(town) == []
