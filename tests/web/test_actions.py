"""What people do from a page: from here only, with a reason, once."""

import httpx
import pytest

from app.api.deps import Scope
from app.domain.control import Halt
from tests.api.test_webhooks import PATH, alert, notification
from tests.builders import START
from tests.controller.house import House, pass_time, working
from tests.fakes import REFUSED
from tests.web.conftest import BASE, FROM_HERE, TOKENS, browser, key_of, order

pytestmark = pytest.mark.looptime


async def test_a_restart_with_a_reason(http: httpx.AsyncClient, house: House) -> None:
    async with working(house):
        answer = await order(http, "/targets/web/restart", reason="stuck", author="ana")
        await pass_time(seconds=2)

    assert answer.status_code == 303
    assert answer.headers["location"] == "../../targets/host1:web?done=restart"
    assert len(house.engine.done("restart")) == 1
    (attempt,) = (await house.story()).attempts
    assert attempt.ordered == "ana: stuck"
    page = (await http.get("/targets/host1:web?done=restart")).text
    assert "The restart is ordered" in page
    assert "ana: stuck" not in page  # the reason is on the story's own page
    assert "ana: stuck" in (await http.get(f"/remediations/{(await house.story()).id}")).text


async def test_the_same_form_sent_twice_is_done_once(http: httpx.AsyncClient, house: House) -> None:
    page = await http.get("/targets/web/restart")
    filled = {"key": key_of(page.text), "reason": "stuck"}
    async with working(house):
        first = await http.post("/targets/web/restart", data=filled, headers=FROM_HERE)
        second = await http.post("/targets/web/restart", data=filled, headers=FROM_HERE)
        await pass_time(seconds=2)

    assert (first.status_code, second.status_code) == (303, 303)
    assert len(house.engine.done("restart")) == 1


async def test_each_form_has_a_key_of_its_own(http: httpx.AsyncClient) -> None:
    keys = {key_of((await http.get("/targets/web/restart")).text) for _ in range(3)}

    assert len(keys) == 3
    assert all(len(key) >= 20 for key in keys)


async def test_hold_and_release(http: httpx.AsyncClient, house: House) -> None:
    held = await order(http, "/targets/web/hold", {"for": "2h"}, reason="disk", author="ana")

    assert held.headers["location"] == "../../targets/host1:web?done=hold"
    hold = (await house.store.controls.holds())["host1:web"]
    assert (hold.reason, hold.author) == ("disk", "ana")
    assert hold.until is not None
    assert (hold.until - hold.since).total_seconds() == 7200
    assert "on hold" in (await http.get("/")).text

    released = await order(http, "/targets/web/release")

    assert released.status_code == 303
    assert await house.store.controls.holds() == {}


async def test_pause_and_resume(http: httpx.AsyncClient, house: House) -> None:
    paused = await order(http, "/pause", author="")

    assert paused.headers["location"] == "./?done=pause"
    pause = await house.store.controls.pause()
    assert pause is not None
    assert pause.author == "page"

    assert (await order(http, "/resume")).headers["location"] == "./?done=resume"
    assert await house.store.controls.pause() is None


async def test_cancel_a_remediation(http: httpx.AsyncClient, house: House) -> None:
    async with working(house):
        await http.post(PATH, json=notification(alert()))
        await pass_time(seconds=5)
        story = await house.story()
        answer = await order(http, f"/remediations/{story.id}/cancel", author="ana")
        await pass_time(seconds=5)

    assert answer.headers["location"] == f"../../remediations/{story.id}?done=cancel"
    assert (await house.story()).called_off == "ana: stuck"
    assert "Called off by" in (await http.get(f"/remediations/{story.id}")).text


async def test_reset_and_scale_out_and_in(http: httpx.AsyncClient, house: House) -> None:
    async with working(house, leaving=True):
        assert (await order(http, "/targets/web/reset")).status_code == 303
        await pass_time(seconds=2)
        assert (await order(http, "/targets/web/scale-out")).status_code == 303
        await pass_time(minutes=12)
        page = (await http.get("/targets/web/scale-in")).text
        assert "web_new101 would leave." in page
        assert (await order(http, "/targets/web/scale-in")).status_code == 303
        await pass_time(minutes=2)

    assert house.engine.names() == {"web"}


async def test_the_form_says_what_would_come_of_it(http: httpx.AsyncClient, house: House) -> None:
    assert "It would be restarted" in (await http.get("/targets/web/restart")).text
    assert "A faithful clone can be made" in (await http.get("/targets/web/scale-out")).text
    assert "has no clone" in (await http.get("/targets/web/scale-in")).text
    assert "neither held nor quarantined" in (await http.get("/targets/web/release")).text

    house.engine.report = REFUSED
    await pass_time(minutes=2)
    page = (await http.get("/targets/web/scale-out")).text

    assert "No faithful clone can be made" in page
    assert "You can: mount it read-only" in page
    assert house.engine.acts == []


async def test_what_is_in_the_way_is_told_and_the_form_stays_filled(
    http: httpx.AsyncClient, house: House
) -> None:
    halt = Halt(reason="the disk", author="ana", since=START)
    await house.store.controls.set_hold("host1:web", halt)

    answer = await order(http, "/targets/web/restart", reason="please")

    assert answer.status_code == 409
    assert "In the way: <bdi>host1:web is held by ana: the disk</bdi>" in answer.text
    assert 'value="please"' in answer.text
    assert key_of(answer.text)


async def test_what_is_refused_is_told_with_what_would_change_it(
    http: httpx.AsyncClient, house: House
) -> None:
    house.engine.report = REFUSED

    answer = await order(http, "/targets/web/scale-out")

    assert answer.status_code == 422
    assert "You can: mount it read-only" in answer.text


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"reason": ""}, 422, "reason"),
        ({"reason": "   "}, 422, "reason"),
        ({"reason": "a" * 501}, 422, "reason"),
        ({"reason": "a\u202eb"}, 422, "turns text around"),
        ({"reason": "a\x00b"}, 422, "control character"),
        ({"author": "a" * 101}, 422, "author"),
        ({"for": "soon"}, 422, "is no duration"),
        ({"for": "40d"}, 422, "30d at most"),
        ({"key": ""}, 400, "go back"),
        ({"key": "a b"}, 400, "go back"),
        ({"key": "a" * 60}, 400, "go back"),
    ],
)
async def test_a_form_that_is_filled_in_wrongly_does_nothing(
    http: httpx.AsyncClient, house: House, fields: dict[str, str], status: int, said: str
) -> None:
    answer = await order(http, "/targets/web/hold", fields)

    assert answer.status_code == status
    assert said in answer.text
    assert await house.store.controls.holds() == {}


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Content-Type": "application/json"}, b"{}", 415),
        ({"Content-Type": "text/plain"}, b"reason=x", 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=" + b"x" * 20_000, 413),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"reason=%ff%fe", 400),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"\xff\xfe", 400),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"&".join([b"a=b"] * 50), 400),
    ],
)
async def test_what_is_no_form_is_refused(
    http: httpx.AsyncClient, headers: dict[str, str], content: bytes, status: int
) -> None:
    answer = await http.post("/pause", content=content, headers=FROM_HERE | headers)

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/targets/nobody/restart", "/remediations/none/cancel"])
async def test_nothing_can_be_done_to_nobody(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 404
    sent = {"key": "a" * 22, "reason": "x"}
    assert (await http.post(path, data=sent, headers=FROM_HERE)).status_code == 404


# --------------------------------------------------------------------- from here only


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nobody-says-from-where"),
        pytest.param({"Origin": "https://elsewhere.example"}, id="another-site"),
        pytest.param({"Origin": "null"}, id="a-sandbox"),
        pytest.param({"Origin": ""}, id="empty"),
        pytest.param({"Origin": "http://127.0.0.1:5001"}, id="another-port"),
        pytest.param({"Origin": "http://127.0.0.1:5000.elsewhere.example"}, id="looks-like-ours"),
        pytest.param({"Origin": BASE, "Sec-Fetch-Site": "cross-site"}, id="the-browser-knows"),
        pytest.param({"Origin": BASE, "Sec-Fetch-Site": "same-site"}, id="a-neighbour"),
        pytest.param({"Sec-Fetch-Site": "none"}, id="typed"),
        pytest.param({"Origin": "http://[", "Referer": BASE}, id="nonsense"),
    ],
)
async def test_another_site_can_do_nothing(
    http: httpx.AsyncClient, house: House, headers: dict[str, str]
) -> None:
    for path in ("/pause", "/targets/web/hold", "/login", "/logout"):
        sent = {"key": "a" * 22, "reason": "x"}
        answer = await http.post(path, data=sent, headers=headers)
        assert answer.status_code == 403, path

    assert await house.store.controls.pause() is None
    assert await house.store.controls.holds() == {}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Origin": BASE}, id="an-old-browser"),
        pytest.param({"Sec-Fetch-Site": "same-origin"}, id="without-origin"),
        pytest.param({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, id="without-referrer"),
        pytest.param({"Origin": "https://relevo.example"}, id="through-a-proxy"),
    ],
)
async def test_our_own_page_can(house: House, headers: dict[str, str]) -> None:
    outside = "https://relevo.example/relevo"
    async with browser(house, external_url=outside) as http:
        answer = await order(http, "/pause", headers=headers)

    assert answer.status_code == 303


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:5000", 303),
        ("localhost:5000", 303),
        ("[::1]:5000", 303),
        ("192.168.1.4:5000", 303),
        ("relevo.example", 303),
        ("elsewhere.example:5000", 403),
        ("", 403),
    ],
)
async def test_where_nobody_logs_in_no_foreign_name_leads_here(
    house: House, host: str, status: int
) -> None:
    """A page of somebody else whose name he has led to our address is ours, to the browser."""
    async with browser(house, external_url="https://relevo.example") as http:
        headers = {"Host": host, "Sec-Fetch-Site": "same-origin"}
        answer = await order(http, "/pause", headers=headers)

    assert answer.status_code == status


async def test_who_may_only_look_is_shown_no_button(house: House) -> None:
    async with browser(house, TOKENS) as http:
        await http.post("/login", data={"token": "read"}, headers=FROM_HERE)
        page = await http.get("/")
        assert page.status_code == 200
        assert "data-order" not in page.text
        for path in ("/pause", "/targets/web/hold"):
            assert (await http.get(path)).status_code == 403
            sent = {"key": "a" * 22, "reason": "x"}
            assert (await http.post(path, data=sent, headers=FROM_HERE)).status_code == 403

    assert await house.store.controls.pause() is None


@pytest.mark.parametrize("scope", [Scope.OPERATE, Scope.ADMIN])
async def test_who_may_operate_can(house: House, scope: Scope) -> None:
    async with browser(house, TOKENS) as http:
        await http.post("/login", data={"token": TOKENS[scope][0]}, headers=FROM_HERE)
        assert (await order(http, "/pause")).status_code == 303
