"""What nobody sends by mistake, at every route: the caller's fault, and never told back to him."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any, Final

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api import limits, reading
from app.api.app import create_app
from app.controller.counts import Counts
from app.controller.feed import MOST_LISTENERS
from app.web import docs
from app.web.links import Links
from app.web.site import site
from tests.api.conftest import parts_of
from tests.api.test_every_route import BASE, FROM_HERE, Door, doors
from tests.api.test_webhooks import PATH, alert, notification
from tests.controller.house import House, VirtualClock, build
from tests.fakes import FakeEngine, web
from tests.memory_store import make_store

#: Stands in everything that is sent; no answer may hold it.
MARK: Final = "zq7HOSTILEzq7"
DIGITS: Final = "9" * 5000
JSON: Final = {"Content-Type": "application/json"}
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def house() -> House:
    clock = VirtualClock()
    engine = FakeEngine(clock)
    engine.run(web())
    one = build(make_store(), clock, engine)
    await one.tenure.beat()
    return one


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(parts_of(house), docs.router, site(Links()))
    async with AsyncExitStack() as stack:
        # A stream would never end; one too many is sent away.
        for _ in range(MOST_LISTENERS):
            stack.enter_context(house.controller.feed.listening())
        yield await stack.enter_async_context(client(app))


def client(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url=BASE, headers=FROM_HERE)


def check(answer: httpx.Response, door: object) -> None:
    """No 5xx, no echo, and errors in the house's own form."""
    is_full = answer.status_code == 503 and answer.url.path == "/api/v1/events"
    assert answer.status_code < 500 or is_full, (door, answer.status_code, answer.text)
    assert MARK not in answer.text, (door, answer.text)
    assert DIGITS[:50] not in answer.text, (door, answer.text)
    assert "Traceback" not in answer.text, door
    if answer.status_code >= 400 and not getattr(door, "is_page", False):
        assert answer.headers["content-type"] == "application/problem+json", door
        assert answer.json()["status"] == answer.status_code
        assert len(answer.text) < 2000, (door, answer.text)


def sending(http: httpx.AsyncClient) -> list[Door]:
    """Routes that take a body; pages' forms are read in one place, which the login stands for."""
    app = http._transport.app  # type: ignore[attr-defined]
    found = [one for one in doors(app.routes) if one.method in ("POST", "PUT")]
    assert len(found) > 15
    return [one for one in found if not one.is_page or one.path != "/login"]


# ---------------------------------------------------------------- bodies

NESTED: Final = b"[" * 150 + b"]" * 150
BODIES: Final = {
    "nothing": b"",
    "null": b"null",
    "list": b"[]",
    "text": f'"{MARK}"'.encode(),
    "NaN": b'{"reason": NaN}',
    "infinity": f'{{"reason": "x", "{MARK}": -Infinity}}'.encode(),
    "NaN where a number belongs": b'{"version": "4", "alerts": [], "truncatedAlerts": NaN}',
    "a number without an end": b'{"version": "4", "alerts": [], "truncatedAlerts": 1e999}',
    "100,000 brackets": b"[" * 100_000,
    "150 levels": b'{"reason": ' + NESTED + b"}",
    "150 levels in an alert": b'{"version": "4", "alerts": [' + NESTED + b"]}",
    "1,000 levels": b'{"reason": "x", "a": ' + b"[" * 1000 + b"]" * 1000 + b"}",
    "no UTF-8": b'{"reason": "\xff\xfe' + MARK.encode() + b'"}',
    "no UTF-8 in a key": b'{"\xff": 1}',
    "UTF-16": f'{{"reason": "{MARK}"}}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"reason": "x"}',
    "half a surrogate": f'{{"reason": "\\ud800{MARK}", "author": "\\udfff"}}'.encode(),
    "half a surrogate in a key": b'{"\\ud800": 1, "reason": "x"}',
    "NUL": f'{{"reason": "a\\u0000{MARK}"}}'.encode(),
    "NUL, raw": b'{"reason": "a\x00"}',
    "5,000 digits": f'{{"reason": {DIGITS}}}'.encode(),
    "5,000 digits for a span": f'{{"reason": "x", "for": {DIGITS}}}'.encode(),
    "5,000 digits and a unit": f'{{"reason": "x", "for": "{DIGITS}h"}}'.encode(),
    "other digits": '{"reason": "x", "for": "١h"}'.encode(),
    "5,000 digits for a version": f'{{"version": {DIGITS}, "alerts": []}}'.encode(),
    "5,000 digits in an alert": f'{{"version": "4", "alerts": [{DIGITS}]}}'.encode(),
    "5,000 digits nobody reads": f'{{"version": "4", "alerts": [], "x": {DIGITS}}}'.encode(),
    "5,000 digits in an exponent": f'{{"reason": 1e{DIGITS}}}'.encode(),
    "5,000 digits alone": DIGITS.encode(),
    "a key twice": b'{"reason": "x", "reason": NaN}',
    "a long key": f'{{"{MARK * 500}": 1, "reason": "x"}}'.encode(),
    "text that turns around": f'{{"reason": "\u202e{MARK}"}}'.encode(),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_hostile_body_is_the_callers_fault(http: httpx.AsyncClient, body: bytes) -> None:
    for door in sending(http):
        kinds = (FORM,) if door.is_page else (JSON, FORM)
        for kind in kinds:
            check(await http.request(door.method, door.url, content=body, headers=kind), door)


MOMENTS: Final[tuple[Any, ...]] = (
    *("0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"),
    *("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59-14:00", "-2026-01-01T00:00:00Z"),
    *("2026-11-22T09:59:30+99:99", "2026-02-30T00:00:00Z", "12345678901234567890", DIGITS, MARK),
    *(1e308, -1, 10**300, None, True, [], {}),
)
TEXTS: Final = (
    *("\x00", "\x00" + MARK, "a" * 300, MARK * 200, "\u202e", "../x", "prune?", "{{7*7}}", "%00"),
    *("'", '"', "\\", "\n", "\x1b[31m", "${jndi:x}", "<script>", "a\u0301" * 100, "\U0010ffff"),
)


@pytest.mark.parametrize("field", ["startsAt", "endsAt"])
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda one: str(one)[:20])
async def test_an_odd_moment_is_set_aside(
    http: httpx.AsyncClient, field: str, moment: object
) -> None:
    sent = notification(alert(**{field: moment}), alert(fingerprint="a"))

    answer = await http.post(PATH, json=sent)

    check(answer, PATH)
    # Its neighbour is taken, whatever became of it.
    assert answer.status_code == 202
    told = answer.json()
    assert told["accepted"] + told["set_aside"] == 2
    assert told["accepted"] >= 1


@pytest.mark.parametrize("text", TEXTS, ids=repr)
async def test_odd_text_in_an_alert_keeps_no_neighbour_out(
    http: httpx.AsyncClient, text: str
) -> None:
    labels = {"alertname": "A", "engine": "host1"}
    odd = [
        alert(labels={**labels, "name": text}),
        alert(labels={**labels, "name": "web", text: "1"}),
        alert(fingerprint=text),
        alert(annotations={text: text, "relevo_settle": text}),
        alert(status=text),
    ]
    sent = notification(*odd, alert(fingerprint="a"))

    answer = await http.post(PATH, json=sent)

    check(answer, PATH)
    assert answer.status_code == 202
    assert answer.json()["accepted"] >= 1
    assert sum(answer.json().values()) == len(odd) + 1


@pytest.mark.parametrize("text", TEXTS, ids=repr)
async def test_odd_text_in_an_order(http: httpx.AsyncClient, text: str) -> None:
    for door in sending(http):
        if not door.is_page:
            for sent in (
                {"reason": text, "dry_run": True},
                {"reason": "x", "author": text, "dry_run": True},
                {"reason": "x", "for": text, "dry_run": True},
                {"policy_file": text},
                {"policy": text},
                {"scenario": text},
            ):
                check(await http.request(door.method, door.url, json=sent), door)


POLICY_FILES: Final = (
    *("a: &a [*a]", f"version: {DIGITS}", "version: .nan", "? [a]\n: b", "!!python/object:x {}"),
    *("a: !!binary x", "\ufeffversion: 1", "version: 1\n---\nversion: 2", "x: 2026-99-99"),
    *("x: 0001-01-01", "x: <<", "<<: [1]", "a: *b", f"pull: {DIGITS}h", "a: " + "[" * 5000),
    f"defaults: {{restart: {{delays: [{DIGITS}]}}}}",
    f"defaults: {{restart: {{max_failed: {DIGITS}}}}}",
    "defaults: {chronic: {restarts: 1e400}}",
    f"guards: {{brake: {{share: {DIGITS}%}}}}",
    "guards: {reserve: {memory: .inf}}",
    'enable: [{name: "\\ud800"}]',
    f"policies: [{{name: x, match: {{labels: {{a: {'[' * 40 + ']' * 40}}}}}}}]",
    f"policies: [{{name: '{DIGITS}'}}, {{name: '{DIGITS}'}}]",
    f"{MARK * 100}: 1",
)


@pytest.mark.parametrize("text", POLICY_FILES, ids=lambda text: text[:25])
async def test_a_hostile_policy_file(http: httpx.AsyncClient, text: str) -> None:
    answer = await http.post("/api/v1/policies/simulate", json={"policy_file": text})

    assert answer.status_code in (200, 422)
    assert DIGITS[:50] not in answer.text
    # A word or two of the file are told back, for it to be found: never all of it.
    assert len(answer.text) < 1000 or answer.status_code == 200


# ---------------------------------------------------------------- paths, queries, headers

PARTS: Final = (
    *("%00", "%ff", "%ed%a0%80", "%2e%2e%2f", "..%2f..%2fetc", "prune%3f", "%0d%0aX-Evil:%201"),
    *("x" * 5000, DIGITS, MARK, "%F0%9F%92%A9", "host1:web:x", ":", "%25", "-rf", "*", "%7B%7D"),
)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part[:20])
async def test_an_odd_name_in_a_path(http: httpx.AsyncClient, part: str) -> None:
    app = http._transport.app  # type: ignore[attr-defined]
    for door in doors(app.routes):
        if "{" in door.path:
            url = door.path.replace("{path:path}", "{path}")
            for name in ("target", "remediation_id", "verb", "path"):
                url = url.replace(f"{{{name}}}", part)
            sent = {"reason": "x", "dry_run": True} if door.method == "POST" else None
            answer = await http.request(door.method, url, json=sent)
            if door.is_page:
                assert answer.status_code < 500, door
            else:
                check(answer, door)


def queries() -> Iterator[str]:
    for name in ("limit", "since", "target", "state", "group", "after", "dry_run", "next", MARK):
        for part in PARTS:
            yield f"{name}={part}"
    yield "&" * 1000
    yield "=" * 1000
    yield "limit=1&limit=2"
    yield f"limit=1e{DIGITS}"
    yield "since=0001-01-01T00:00:00%2B14:00"
    yield "since=9999-12-31T23:59:59-14:00"
    yield f"since={DIGITS}"


async def test_an_odd_question(http: httpx.AsyncClient) -> None:
    app = http._transport.app  # type: ignore[attr-defined]
    for door in doors(app.routes):
        if door.method == "GET":
            for query in queries():
                answer = await http.get(f"{door.url}?{query}")
                if door.is_page:
                    assert answer.status_code < 500, (door, query)
                else:
                    check(answer, (door, query))


@pytest.mark.parametrize("value", [b"\xff", b"x" * 20_000, MARK.encode(), b"\x01", DIGITS.encode()])
async def test_an_odd_header(http: httpx.AsyncClient, value: bytes) -> None:
    names = ("Idempotency-Key", "Authorization", "Content-Type", "Content-Length", "Cookie")
    app = http._transport.app  # type: ignore[attr-defined]
    for door in doors(app.routes):
        for name in (*names, "Last-Event-ID", "X-Forwarded-For", "Accept-Encoding"):
            request = http.build_request(door.method, door.url, content=b"{}")
            if name != "Content-Type":
                request.headers["Content-Type"] = "application/json"
            request.headers.pop(name, None)
            raw = [*request.headers.raw, (name.encode(), value)]
            answer = await http.send(
                httpx.Request(door.method, request.url, headers=raw, content=b"")
            )
            if door.is_page:
                assert answer.status_code < 500, (door, name)
            else:
                check(answer, (door, name))


# ---------------------------------------------------------------- anything

_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["reason", "author", "for", "dry_run", "version", "alerts", "labels", "status"]
            )
            | st.sampled_from(["startsAt", "endsAt", "fingerprint", "policy_file", "annotations"])
            | st.text(max_size=8),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(body=_ANYTHING, picked=st.integers(0, 1000))
@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_any_json_is_answered(http: httpx.AsyncClient, body: Any, picked: int) -> None:
    found = [one for one in sending(http) if not one.is_page]
    door = found[picked % len(found)]
    # As lenient as senders are: NaN, and halves of surrogates, go over the wire.
    raw = json.dumps(body).encode()

    answer = await http.request(door.method, door.url, content=raw, headers=JSON)

    assert answer.status_code < 500, (door, raw)


# ---------------------------------------------------------------- what is our own fault


async def test_our_own_fault_is_told_without_its_insides(
    house: House, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"secret {MARK}")

    monkeypatch.setattr(house.overview, "status", broken)

    answer = await http.get("/api/v1/status")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "something in Relevo itself went wrong; its log says what",
    }


async def test_an_answer_that_has_begun_is_cut_off() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("too late")

    with pytest.raises(RuntimeError, match="too late"):
        await client(limits.Untraced(app)).get("/")


# ---------------------------------------------------------------- too many at once


class Slow:
    """An application that answers when it is told to."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self._under_way = 0
        self._changed = asyncio.Condition()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while scope["method"] == "POST" and (await receive())["more_body"]:
            pass
        async with self._changed:
            self._under_way += 1
            self._changed.notify_all()
        await self.goes_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async def has(self, number: int) -> None:
        """Wait until so many requests have come in."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._under_way >= number)


@pytest.mark.parametrize(
    ("path", "room"),
    [
        (PATH, limits.MOST_NOTIFICATIONS),
        ("/api/v1/targets", limits.MOST_OTHERS),
        ("/", limits.MOST_OTHERS),
    ],
)
async def test_one_too_many_is_sent_away(path: str, room: int) -> None:

    slow = Slow()
    async with client(limits.Bounded(slow)) as http:
        method = "POST" if path == PATH else "GET"
        waiting = [asyncio.create_task(http.request(method, path)) for _ in range(room)]
        await slow.has(room)

        refused = await http.request(method, path)

        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["content-type"] == "application/problem+json"
        # Who asks how it is, and who hands in alerts, is kept out by no crowd of others.
        free = [asyncio.create_task(http.get(one)) for one in ("/-/healthy", "/metrics")]
        if path != PATH:
            free.append(asyncio.create_task(http.post(PATH)))
        await slow.has(room + len(free))
        slow.goes_on.set()
        answers = await asyncio.gather(*waiting, *free)
        assert {one.status_code for one in answers} == {200}
        assert (await http.request(method, path)).status_code == 200


async def test_bodies_that_do_not_fit_together_are_sent_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MOST_BYTES", 1000)
    slow = Slow()
    async with client(limits.Bounded(slow)) as http:
        first = asyncio.create_task(http.post(PATH, content=b"x" * 600))
        await slow.has(1)
        assert (await http.post(PATH, content=b"x" * 600)).status_code == 503
        second = asyncio.create_task(http.post(PATH, content=b"x" * 400))
        await slow.has(2)
        slow.goes_on.set()
        assert {(await first).status_code, (await second).status_code} == {200}
        assert (await http.post(PATH, content=b"x" * 1000)).status_code == 200


async def test_bodies_of_others_keep_no_alert_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_BYTES", 1000)
    slow = Slow()
    async with client(limits.Bounded(slow)) as http:
        order = asyncio.create_task(http.post("/api/v1/pause", content=b"x" * 900))
        await slow.has(1)
        alerts = asyncio.create_task(http.post(PATH, content=b"x" * 900))
        await slow.has(2)
        assert (await http.post("/login", content=b"x" * 200)).status_code == 503
        slow.goes_on.set()
        assert {(await order).status_code, (await alerts).status_code} == {200}


async def test_of_a_form_no_more_is_kept_than_fits(http: httpx.AsyncClient) -> None:
    """Nobody has to log in to send one: it is not waited for to its end."""
    is_over = asyncio.Event()

    async def without_end() -> AsyncIterator[bytes]:
        yield b"token=" + b"x" * 20_000
        await is_over.wait()
        yield b"x"

    async with asyncio.timeout(5):
        answer = await http.post("/login", content=without_end(), headers=FORM)

    assert answer.status_code == 413


async def test_a_page_that_is_sent_away_is_a_page(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_BYTES", 1)  # the application is made with its first request

    form = await http.post("/login", content=b"token=x", headers=FORM)
    order = await http.post("/api/v1/pause", json={"reason": "x"})

    assert (form.status_code, order.status_code) == (503, 503)
    assert form.headers["content-type"].startswith("text/html")
    assert order.json()["detail"] == "too many requests are being handled: send it again"
    assert order.headers["retry-after"] == "1"


async def test_large_notifications_take_turns(
    house: House, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:

    most = now = 0
    take = house.intake.take

    async def watched(*args: Any, **more: Any) -> Any:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return await take(*args, **more)

    monkeypatch.setattr(house.intake, "take", watched)
    large = notification(*(alert(fingerprint=str(number)) for number in range(1200)))
    assert len(json.dumps(large)) > reading.AT_ONCE

    answers = await asyncio.gather(*(http.post(PATH, json=large) for _ in range(6)))

    assert {one.status_code for one in answers} == {202}
    assert most == reading.MOST_LARGE


async def test_many_short_lists_of_ones_are_read_a_few_at_a_time(
    house: House, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 kB that become 2 MB each, with 29 ms of work: a hundred of these are sent by one hand."""
    most = now = 0
    take = house.intake.take

    async def watched(alerts: Any, **more: Any) -> Any:
        nonlocal most, now
        now += len(alerts)
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= len(alerts)
        return await take(alerts, **more)

    monkeypatch.setattr(house.intake, "take", watched)
    ones = {"version": "4", "alerts": [1] * 9000}

    answers = await asyncio.gather(*(http.post(PATH, json=ones) for _ in range(100)))

    codes = [one.status_code for one in answers]
    assert set(codes) == {202, 503}
    assert codes.count(202) <= reading.MOST_WAITING + reading.MOST_LARGE
    assert most <= reading.MOST_LARGE * 9000


async def test_smaller_lists_of_ones_take_turns_where_they_are_many(
    house: House, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = now = 0

    async def watched(alerts: Any, **more: Any) -> Counts:
        nonlocal most, now
        now += len(alerts)
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= len(alerts)
        return Counts()

    monkeypatch.setattr(house.intake, "take", watched)
    ones = {"version": "4", "alerts": [1] * (reading.MANY - 1)}
    number = reading.MOST_VALUES // reading.MANY + 20

    answers = await asyncio.gather(*(http.post(PATH, json=ones) for _ in range(number)))

    assert {one.status_code for one in answers} == {202}
    assert most <= reading.MOST_VALUES + reading.MOST_LARGE * reading.MANY


async def test_values_that_were_read_make_room_again(
    house: House, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_WAITING", 0)
    ones = {"version": "4", "alerts": [1] * (reading.MANY - 1)}

    for _ in range(reading.MOST_VALUES // reading.MANY + 2):
        assert (await http.post(PATH, json=ones)).status_code == 202
