"""Messages reach their tool at least once and in order, and whatever is ill there harms nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from app.controller.courier import Courier, Deliveries
from app.controller.telemetry import Telemetry
from app.domain.audit import AuditKind
from app.domain.decision import Verdict
from app.domain.message import Annotation, Message, MessageKind
from app.errors import MessageRefused, SourceUnavailable, StoreUnavailable
from app.ports import Pending, Waiting
from tests.builders import START, alert, at
from tests.controller.house import House, VirtualClock, build, pass_time, working
from tests.fakes import FakeAlertmanager, FakeEngine, FakePrometheus
from tests.memory_outbox import MemoryOutbox
from tests.memory_store import make_store

pytestmark = pytest.mark.looptime

DOWN = SourceUnavailable("Grafana is away")


def message(number: int, stage: str = "") -> Message:
    return Message(
        kind=MessageKind.ANNOTATION,
        id=f"attempt:{number}",
        payload=Annotation(starts_at=START, ends_at=None, text=f"{number}{stage}", tags=()),
    )


@dataclass
class FakeTool:
    """Takes messages, and notes when; fails as told."""

    #: Text and second of each that it took.
    took: list[tuple[str, float]] = field(default_factory=list)
    #: Second of each try.
    tried: list[float] = field(default_factory=list)
    #: By text; None stands for all.
    fails: dict[str | None, Exception] = field(default_factory=dict)
    #: Takes messages in and never answers.
    is_tarpit: bool = False

    async def deliver(self, message: Message) -> None:
        """See `app.ports.MessageSink`."""
        now = asyncio.get_running_loop().time()
        self.tried.append(now)
        if self.is_tarpit:
            await asyncio.Event().wait()
        for whose in (None, message.payload.text):
            if whose in self.fails:
                raise self.fails[whose]
        self.took.append((message.payload.text, now))

    @property
    def texts(self) -> list[str]:
        """What it took."""
        return [text for text, _ in self.took]


class Ailing(MemoryOutbox):
    """An outbox whose store goes away."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.forgets = True
        self.unreadable: set[int] = set()

    async def waiting(self, *, limit: int) -> Waiting:
        """See `app.ports.Outbox`."""
        if self.is_away:
            raise StoreUnavailable("away")
        found = await super().waiting(limit=limit)
        return replace(
            found,
            messages=[
                Pending(place=one.place, message=None) if one.place in self.unreadable else one
                for one in found.messages
            ],
        )

    async def done(self, place: int) -> None:
        """See `app.ports.Outbox`."""
        if not self.forgets:
            raise StoreUnavailable("away")
        await super().done(place)


@dataclass
class Post:
    """A courier, what he carries, and who takes it."""

    outbox: Ailing = field(default_factory=Ailing)
    tool: FakeTool = field(default_factory=FakeTool)
    telemetry: Telemetry = field(default_factory=Telemetry)
    is_our_turn: bool = True

    def courier(self) -> Courier:
        return Courier(self.outbox, self.tool, self.telemetry, may_deliver=lambda: self.is_our_turn)

    def dropped(self, reason: str, kind: str = "annotation") -> float | None:
        return self.telemetry.registry.get_sample_value(
            "relevo_outbox_dropped_total", {"kind": kind, "reason": reason}
        )

    def value(self, name: str, **labels: str) -> float | None:
        return self.telemetry.registry.get_sample_value(name, labels)


@pytest.fixture
async def post() -> Post:
    return Post()


@asynccontextmanager
async def carrying(post: Post) -> AsyncIterator[Courier]:
    courier = post.courier()
    task = asyncio.create_task(courier.run())
    try:
        yield courier
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_messages_are_delivered_in_order_and_forgotten(post: Post) -> None:
    post.outbox.put(message(number) for number in range(120))

    async with carrying(post):
        await pass_time(seconds=1)

    assert post.tool.texts == [str(number) for number in range(120)]
    assert (await post.outbox.waiting(limit=1)).number == 0
    assert post.value("relevo_outbox_delivered_total", kind="annotation") == 120
    assert post.value("relevo_outbox_pending") == 0


async def test_news_is_delivered_at_once_when_told_of(post: Post) -> None:
    async with carrying(post) as courier:
        await pass_time(seconds=2)
        post.outbox.put([message(1)])
        courier.wake()
        await pass_time(seconds=1)

    assert post.tool.took == [("1", 2)]


async def test_what_another_controller_left_is_found(post: Post) -> None:
    async with carrying(post):
        await pass_time(seconds=2)
        post.outbox.put([message(1)])
        await pass_time(seconds=20)

    assert post.tool.took == [("1", 15)]


async def test_nothing_is_delivered_while_it_is_anothers_turn(post: Post) -> None:
    post.is_our_turn = False
    post.outbox.put([message(1)])

    async with carrying(post):
        await pass_time(minutes=5)
        assert post.tool.tried == []
        assert post.value("relevo_outbox_pending") == 0
        post.is_our_turn = True
        await pass_time(seconds=15)

    assert post.tool.texts == ["1"]


async def test_a_tool_that_is_away_is_asked_less_and_less_often(post: Post) -> None:
    post.tool.fails[None] = DOWN
    post.outbox.put([message(1)])

    async with carrying(post):
        await pass_time(minutes=5)
        assert post.tool.tried == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
        del post.tool.fails[None]
        await pass_time(minutes=1)

    assert post.tool.took == [("1", 303)]


async def test_a_tool_that_is_away_for_an_hour_misses_nothing(post: Post) -> None:
    post.tool.fails[None] = DOWN

    async with carrying(post) as courier:
        for number in range(60):
            post.outbox.put([message(number, " begins"), message(number, " ends")])
            courier.wake()
            await pass_time(minutes=1)
        # Two tries a minute, whatever is new: nobody is hammered for being away.
        assert len(post.tool.tried) <= 140
        assert courier.view() == Deliveries(pending=120, trouble="Grafana is away")
        del post.tool.fails[None]
        await pass_time(minutes=2)
        assert courier.view() == Deliveries()

    assert sorted(post.tool.texts) == sorted(
        f"{number}{stage}" for number in range(60) for stage in (" begins", " ends")
    )
    # Each story in its order.
    for number in range(60):
        begins, ends = f"{number} begins", f"{number} ends"
        assert post.tool.texts.index(begins) < post.tool.texts.index(ends)
    assert post.dropped("full") == post.dropped("stumbles") == post.dropped("refused") == 0


async def test_trouble_is_told_once_and_shown_while_it_lasts(post: Post) -> None:
    post.tool.fails[None] = SourceUnavailable("Grafana answered 401: its token is not taken")
    post.outbox.put([message(1)])

    with capture_logs() as lines:
        async with carrying(post) as courier:
            await pass_time(hours=1)
            shown = courier.view()
            del post.tool.fails[None]
            await pass_time(minutes=2)
            after = courier.view()

    assert shown == Deliveries(pending=1, trouble="Grafana answered 401: its token is not taken")
    assert after == Deliveries()
    assert [(line["log_level"], line["event"], line.get("error")) for line in lines] == [
        ("warning", "messages not delivered, will be repeated", shown.trouble),
        ("info", "messages are delivered again", None),
    ]


async def test_who_no_longer_delivers_shows_no_trouble(post: Post) -> None:
    post.tool.fails[None] = DOWN
    post.outbox.put([message(1)])

    async with carrying(post) as courier:
        await pass_time(seconds=10)
        assert courier.view().trouble is not None
        post.is_our_turn = False
        await pass_time(seconds=30)

        assert courier.view() == Deliveries()


async def test_news_makes_no_storm_of_tries(post: Post) -> None:
    post.tool.fails[None] = DOWN

    async with carrying(post) as courier:
        for number in range(600):
            post.outbox.put([message(number)])
            courier.wake()
            await pass_time(milliseconds=500)

    # Two of them in each round: one may be all that it stumbles over.
    assert len(post.tool.tried) <= 20


async def test_a_tarpit_is_left_and_tried_again(post: Post) -> None:
    post.tool.is_tarpit = True
    post.outbox.put([message(1)])

    async with carrying(post):
        await pass_time(seconds=19)
        assert post.tool.tried == [0]
        await pass_time(seconds=5)
        post.tool.is_tarpit = False
        await pass_time(minutes=1)

    assert post.tool.tried == [0, 21, 43]
    assert post.tool.texts == ["1"]


async def test_a_message_that_is_refused_is_dropped_and_counted(post: Post) -> None:
    post.tool.fails["1"] = MessageRefused("400: no")
    post.outbox.put([message(1), message(2)])

    async with carrying(post):
        await pass_time(seconds=1)

    assert post.tool.texts == ["2"]
    assert post.dropped("refused") == 1
    assert len(post.tool.tried) == 2


async def test_a_message_that_cannot_be_read_is_dropped_and_counted(post: Post) -> None:
    post.outbox.put([message(1), message(2)])
    post.outbox.unreadable = {1}

    async with carrying(post):
        await pass_time(seconds=1)

    assert post.tool.texts == ["2"]
    assert post.dropped("unreadable", kind="") == 1


@pytest.mark.parametrize("error", [DOWN, ValueError("a bug of ours")], ids=["500", "bug"])
async def test_a_message_that_it_stumbles_over_is_given_up_when_others_pass(
    post: Post, error: Exception
) -> None:
    post.tool.fails["1"] = error
    post.outbox.put(message(number) for number in range(1, 11))

    async with carrying(post):
        await pass_time(minutes=2)
        assert post.dropped("stumbles") == 0
        await pass_time(minutes=2)

    assert sorted(post.tool.texts) == sorted(str(number) for number in range(2, 11))
    assert post.dropped("stumbles") == 1


async def test_a_message_is_not_given_up_while_nothing_passes(post: Post) -> None:
    post.tool.fails[None] = DOWN
    post.outbox.put(message(number) for number in range(1, 9))

    async with carrying(post):
        await pass_time(days=3)
        del post.tool.fails[None]
        await pass_time(minutes=2)

    assert sorted(post.tool.texts) == [str(number) for number in range(1, 9)]
    assert post.dropped("stumbles") == 0


async def test_a_story_is_told_in_order_even_when_its_beginning_fails(post: Post) -> None:
    post.tool.fails["1 begins"] = DOWN
    post.outbox.put([message(1, " begins"), message(1, " ends"), message(2)])

    async with carrying(post):
        await pass_time(seconds=10)
        assert post.tool.texts == ["2"]
        post.tool.fails.clear()
        await pass_time(minutes=1)

    assert post.tool.texts == ["2", "1 begins", "1 ends"]


async def test_what_could_not_be_forgotten_is_delivered_again(post: Post) -> None:
    post.outbox.put([message(1)])
    post.outbox.forgets = False

    async with carrying(post):
        await pass_time(milliseconds=500)
        post.outbox.forgets = True
        await pass_time(seconds=10)

    assert post.tool.texts == ["1", "1"]
    assert post.value("relevo_outbox_delivered_total", kind="annotation") == 1


async def test_a_store_that_is_away_is_waited_for(post: Post) -> None:
    post.outbox.put([message(1)])
    post.outbox.is_away = True

    async with carrying(post):
        await pass_time(seconds=10)
        post.outbox.is_away = False
        await pass_time(seconds=10)

    assert post.tool.texts == ["1"]


async def test_a_bug_of_ours_ends_no_loop(post: Post) -> None:
    post.outbox.put([message(1)])
    real, post.outbox.waiting = post.outbox.waiting, None  # type: ignore[method-assign, assignment]

    with capture_logs():
        async with carrying(post):
            await pass_time(seconds=10)
            post.outbox.waiting = real  # type: ignore[method-assign]
            await pass_time(seconds=10)

    assert post.tool.texts == ["1"]


async def test_a_courier_who_dies_is_followed_by_one_who_delivers_the_rest(post: Post) -> None:
    post.outbox.put([message(1), message(2)])
    post.tool.is_tarpit = True
    async with carrying(post):
        await pass_time(seconds=1)
    post.tool.is_tarpit = False

    async with carrying(post):
        await pass_time(seconds=1)

    assert post.tool.texts == ["1", "2"]


async def test_what_a_full_outbox_dropped_is_counted_once(post: Post) -> None:
    post.outbox.put(message(number) for number in range(1001))
    post.tool.fails[None] = DOWN

    async with carrying(post):
        await pass_time(seconds=1)
        assert post.dropped("full") == 0  # before our time
        post.outbox.put(message(number) for number in range(7))
        await pass_time(minutes=5)

    assert post.dropped("full") == 7
    assert post.value("relevo_outbox_pending") == 1000


# ---------------------------------------------------------------- the whole controller


@pytest.fixture
async def tool() -> FakeTool:
    return FakeTool()


@pytest.fixture
async def annotated(
    clock: VirtualClock, engine: FakeEngine, alertmanager: FakeAlertmanager, tool: FakeTool
) -> House:
    """A controller whose actions are told to a tool."""
    samples = FakePrometheus(clock)
    return build(make_store(), clock, engine, alerts=alertmanager, samples=samples, messages=tool)


async def test_an_action_and_its_verdict_are_told(
    annotated: House, tool: FakeTool, alertmanager: FakeAlertmanager
) -> None:
    async with working(annotated, pulling=True):
        await annotated.take(alert())
        await pass_time(seconds=90)
        assert [text.partition("<br>")[0] for text in tool.texts] == [
            "<b>restart</b> web on host1: being verified"
        ]
        alertmanager.alerts.clear()
        await pass_time(minutes=10)

    story = await annotated.story()
    assert [text.partition("<br>")[0] for text in tool.texts] == [
        "<b>restart</b> web on host1: being verified",
        "<b>restart</b> web on host1: recovered",
    ]
    assert story.attempts[0].verdict is Verdict.RECOVERED


@pytest.mark.parametrize("tool_is", ["well", "away", "a tarpit", "hostile"])
async def test_no_tool_delays_a_step(annotated: House, tool: FakeTool, tool_is: str) -> None:
    tool.is_tarpit = tool_is == "a tarpit"
    ills: dict[str, Exception] = {"away": DOWN, "hostile": ValueError("not what we expected")}
    if tool_is in ills:
        tool.fails[None] = ills[tool_is]

    # Not rendered: a traceback with the locals of a whole controller takes minutes.
    with capture_logs():
        async with working(annotated, pulling=True):
            await annotated.take(alert())
            await pass_time(minutes=40)
            shown = (await annotated.overview.status()).deliveries

    assert shown is not None
    assert (shown.trouble is None) == (tool_is == "well")
    # The last one is under cover of the clone.
    assert annotated.since_start("restart") == [60, 540, 1320, 2160]
    assert annotated.since_start("clone") == [1500, 2340]
    assert (tool.took != []) == (tool_is == "well")


async def test_where_nobody_takes_messages_none_are_kept(watched: House) -> None:
    async with working(watched, pulling=True):
        await watched.take(alert())
        await pass_time(minutes=20)

    assert len(watched.since_start("restart")) >= 1
    assert (await watched.store.outbox.waiting(limit=1)).number == 0


async def test_a_relapse_is_told_of_the_annotation_that_it_belongs_to(
    annotated: House, tool: FakeTool, alertmanager: FakeAlertmanager
) -> None:
    listed = list(alertmanager.alerts)
    async with working(annotated, pulling=True):
        await annotated.take(alert())
        await pass_time(seconds=90)
        alertmanager.alerts.clear()
        await pass_time(minutes=12)
        alertmanager.alerts.extend(listed)
        await annotated.take(alert(starts_at=at(timedelta(minutes=13).total_seconds())))
        await pass_time(seconds=30)

    assert "relapsed" in tool.texts[-1].partition("<br>")[0]
    lines = [line.entry for line in await annotated.store.audit.entries()]
    assert [one.verdict for one in lines if one.kind is AuditKind.OUTCOME] == [
        Verdict.RECOVERED,
        Verdict.RELAPSED,
    ]
