"""The page follows what happens, by itself; and says so when it cannot."""

import asyncio
import re
from contextlib import ExitStack
from datetime import timedelta

import pytest
from playwright.async_api import Browser, Request, Route, expect

from app.controller.feed import MOST_LISTENERS
from app.domain.control import Halt
from tests.browser.forgetful import Forgetful
from tests.browser.ordering import row
from tests.browser.serving import AWAY, Served, looking, serving, settled
from tests.builders import ENGINE

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_countdown_reaches_zero_and_the_row_changes(chromium: Browser) -> None:
    async with (
        serving(later=timedelta(seconds=48)) as served,
        looking(chromium, served) as page,
    ):
        await page.goto("/")
        await settled(page)
        await page.evaluate("window.sameDocument = true")
        mine = row(page, "shop-api-1")
        await expect(mine.locator("time[data-until]")).to_have_text(re.compile(r"in [1-6]s"))
        await expect(page.locator("#headline")).to_contain_text("restart of")
        # It counts by itself: each second is seen, down to the last.
        seen = await page.evaluate(
            """() => new Promise((done) => {
                const seen = new Set();
                const look = () => {
                  const now = document.querySelector(
                    'tr[data-target="host1:shop-api-1"] time[data-until]');
                  if (!now) { done([...seen]); return; }
                  seen.add(now.textContent);
                  setTimeout(look, 50);
                };
                look();
            })"""
        )
        assert {"in 3s", "in 2s", "in 1s"} <= set(seen)

        await expect(mine.locator(".chip").first).to_have_text("verifying")
        await expect(mine.locator(".strip rect.m")).to_have_count(1)
        assert await page.evaluate("window.sameDocument") is True
        engine = served.shown.engine
        assert engine.named("shop-api-1").started_at > engine.named("shop-web-1").started_at


async def test_what_another_person_does_is_seen(chromium: Browser, own: Served) -> None:
    async with looking(chromium, own) as page:
        await page.goto("/")
        await settled(page)
        mine = row(page, "office-auth-1")
        await mine.get_by_role("link", name="office-auth-1").focus()
        now = own.shown.house.clock.now()
        own.shown.memory.controls._holds[f"{ENGINE}:office-auth-1"] = Halt(
            reason="the disk is full", author="ben", since=now, until=None
        )

        await expect(mine).to_contain_text("on hold")
        await expect(mine).to_contain_text("the disk is full")
        # The row went up to the ill ones; what had the focus has it still.
        assert await page.evaluate("document.activeElement.textContent") == "office-auth-1"
        rows = await page.locator("#rows > tr").evaluate_all("all => all.map(r => r.dataset.rank)")
        assert rows == sorted(rows)


async def test_a_filter_stays_while_rows_change(chromium: Browser, own: Served) -> None:
    async with looking(chromium, own) as page:
        await page.goto("/")
        await settled(page)
        await page.get_by_role("searchbox").fill("office")
        await expect(page.locator("#rows > tr:visible")).to_have_count(5)
        now = own.shown.house.clock.now()
        own.shown.memory.controls._holds[f"{ENGINE}:office-auth-1"] = Halt(
            reason="look", author="ben", since=now, until=None
        )

        await expect(row(page, "office-auth-1")).to_contain_text("on hold")
        await expect(page.locator("#rows > tr:visible")).to_have_count(5)
        await expect(page.get_by_role("searchbox")).to_have_value("office")


async def test_what_is_typed_while_the_page_is_drawn_anew_is_kept(
    chromium: Browser, own: Served
) -> None:
    async with looking(chromium, own) as page:
        await page.goto("/")
        await settled(page)
        await page.wait_for_load_state("networkidle")
        asked, go = asyncio.Event(), asyncio.Event()

        async def slowly(route: Route) -> None:
            asked.set()
            await go.wait()
            await route.continue_()

        await page.route("**/live*", slowly)
        now = own.shown.house.clock.now()
        own.shown.memory.controls._pause = Halt(reason="p", author="ben", since=now, until=None)
        async with asyncio.timeout(10):
            await asked.wait()
        box = page.get_by_role("searchbox")
        await box.press_sequentially("offce")
        await box.press("ArrowLeft")
        await box.press("ArrowLeft")
        await page.locator("#asides summary").evaluate("one => one.parentNode.open = true")
        go.set()

        await expect(page.locator("#head")).to_contain_text("Paused by ben")
        await page.keyboard.type("i")
        await expect(box).to_have_value("office")
        await expect(page.locator("#rows > tr:visible")).to_have_count(5)
        await expect(page.locator("#asides")).to_have_attribute("open", "")


async def test_a_lost_connection_is_announced_and_made_anew(chromium: Browser, own: Served) -> None:
    async with looking(chromium, own, excused=AWAY) as page:
        await page.goto("/")
        await settled(page)
        status = page.locator("#link")
        await expect(status).to_have_attribute("role", "status")

        await own.stop()
        await expect(status).to_contain_text("Connection lost at ")
        await expect(status).to_be_visible()
        now = own.shown.house.clock.now()
        own.shown.memory.controls._holds[f"{ENGINE}:shop-proxy-1"] = Halt(
            reason="meanwhile", author="ben", since=now, until=None
        )
        await own.start()

        await expect(status).to_have_text("Live", timeout=15_000)
        await expect(row(page, "shop-proxy-1")).to_contain_text("meanwhile")


def held(served: Served, name: str, reason: str) -> None:
    """Have somebody hold a container."""
    now = served.shown.house.clock.now()
    served.shown.memory.controls._holds[f"{ENGINE}:{name}"] = Halt(
        reason=reason, author="ben", since=now, until=None
    )


async def test_a_stream_that_is_silent_is_not_believed(
    chromium: Browser, own: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop slept, a NAT forgot: the browser still calls the connection open."""
    monkeypatch.setattr("app.api.events.PING", timedelta(seconds=1))
    async with (
        Forgetful(own.url).open() as way,
        looking(chromium, way, excused=AWAY) as page,
    ):
        await page.goto("/")
        await settled(page)
        status = page.locator("#link")
        # Nothing has happened for longer than its patience, and it heard that all is well.
        await way.has_carried(b"event: ping", 4)
        await expect(status).to_have_text("Live")
        assert way.asked.count(b"GET /api/v1/events") == 1

        way.forget()
        held(own, "shop-proxy-1", "meanwhile")
        await expect(status).to_contain_text("Connection lost at ", timeout=20_000)
        way.remember()

        await expect(status).to_have_text("Live", timeout=60_000)
        await expect(row(page, "shop-proxy-1")).to_contain_text("meanwhile", timeout=60_000)


async def test_a_container_that_is_made_anew_keeps_its_page(chromium: Browser, own: Served) -> None:
    engine = own.shown.engine
    async with looking(chromium, own) as page:
        await page.goto("/targets/host1:office-auth-1")
        await settled(page)
        await page.evaluate("window.sameDocument = true")
        one = engine.named("office-auth-1")
        del engine.inside[one.id]
        gone = page.get_by_text("There is no such container now")
        await expect(gone).to_be_visible()

        engine.run(one)
        await expect(gone).to_have_count(0)
        assert await page.evaluate("window.sameDocument") is True


async def test_who_comes_while_it_is_made_anew_sees_it_come(
    chromium: Browser, own: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.rendering.LOOK", timedelta(seconds=1))
    engine = own.shown.engine
    one = engine.named("office-auth-1")
    del engine.inside[one.id]
    async with looking(chromium, own, excused=AWAY) as page:
        async with asyncio.timeout(10):  # what was listed just before is believed for a moment
            while (await page.request.get("/targets/host1:office-auth-1")).status != 404:
                pass
        await page.goto("/targets/host1:office-auth-1")
        nobody = page.get_by_text("No container of that name is there")
        await expect(nobody).to_be_visible()
        # Nothing else to read: it is not loaded anew for that, nor while nobody answers.
        await page.evaluate("window.sameDocument = true")
        for _ in range(2):
            async with page.expect_response("**/targets/host1:office-auth-1"):
                pass
        await own.stop()
        async with page.expect_event("requestfailed"):
            pass
        assert await page.evaluate("window.sameDocument") is True
        await own.start()

        engine.run(one)
        await expect(page.get_by_role("heading", name="office-auth-1")).to_be_visible()
        await settled(page)


async def test_without_a_place_among_those_who_follow_the_page_says_how_old_it_is(
    chromium: Browser, own: Served
) -> None:
    feed = own.shown.house.controller.feed
    async with looking(chromium, own, excused=AWAY) as page:
        asked = 0

        def count(request: Request) -> None:
            nonlocal asked
            asked += request.url.endswith("/api/v1/events")

        page.on("request", count)
        with ExitStack() as places:
            for _ in range(MOST_LISTENERS):
                places.enter_context(feed.listening())
            await page.goto("/")
            link = page.locator("#link")
            await expect(link).to_have_text(re.compile(r"Not live: this page is of [\d:]+ UTC, "))
            await expect(link).to_have_class(re.compile("lost"))
            # It was read anew, and again when a place is asked for: after 5 s, then after 10 s.
            first = await link.inner_text()
            await expect(link).not_to_have_text(first, timeout=8_000)
            assert asked == 2
            await expect(link).to_contain_text("Not live")

        await expect(link).to_have_text("Live", timeout=15_000)
        assert asked == 3


@pytest.mark.parametrize(
    ("status", "said"),
    [
        pytest.param(503, "The store does not answer", id="refused"),
        pytest.param(200, "<p>Welcome to our Wi-Fi</p>", id="somebody-else-answers"),
    ],
)
async def test_what_was_not_had_is_said_and_asked_for_again(
    chromium: Browser, own: Served, status: int, said: str
) -> None:
    excused = (*AWAY, "console: Response Status Error Code 503")
    async with looking(chromium, own, excused=excused) as page:
        await page.goto("/")
        await settled(page)

        async def refuse(route: Route) -> None:
            await route.fulfill(status=status, body=said, content_type="text/html")

        await page.route("**/live*", refuse)
        held(own, "shop-proxy-1", "meanwhile")
        link = page.locator("#link")
        await expect(link).to_have_text(re.compile(r"This page is old, of \d\d:\d\d:\d\d UTC: "))
        await expect(link).to_have_class(re.compile("lost"))
        await page.unroute("**/live*")

        # Nothing else has changed since.
        await expect(link).to_have_text("Live", timeout=30_000)
        await expect(row(page, "shop-proxy-1")).to_contain_text("meanwhile")


async def test_what_changes_with_time_alone_is_drawn_anew(
    chromium: Browser, own: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.rendering.ANEW", timedelta(seconds=1))
    async with looking(chromium, own) as page:
        await page.goto("/")
        await settled(page)
        counts = row(page, "shop-proxy-1").locator(".count").first
        await expect(counts).to_have_text("0 of 3")
        async with page.expect_response("**/live*"):
            pass  # what was asked for with the connection

        now = round(own.shown.house.clock.now().timestamp() * 1000)
        own.shown.memory._failures[f"{ENGINE}:shop-proxy-1"]["x"] = now
        await expect(counts).to_have_text("1 of 3")


async def test_a_pause_that_ends_by_itself_is_seen(chromium: Browser, own: Served) -> None:
    async with looking(chromium, own) as page:
        await page.goto("/")
        await settled(page)
        now = own.shown.house.clock.now()
        own.shown.memory.controls._pause = Halt(
            reason="p", author="ben", since=now, until=now + timedelta(seconds=4)
        )

        await expect(page.locator("#headline")).to_contain_text("Paused")
        await expect(page.locator("#headline")).to_contain_text("restart of")


async def test_the_servers_clock_counts_also_when_ours_is_set(
    chromium: Browser, own: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.rendering.ANEW", timedelta(seconds=1))
    async with looking(chromium, own) as page:
        await page.add_init_script(
            "window.wrong = 0; const right = Date.now; Date.now = () => right() + window.wrong;"
        )
        await page.goto("/")
        await settled(page)
        due = row(page, "shop-web-1").locator("time[data-until]")
        await expect(due).to_have_text(re.compile(r"in [34]m"))
        await page.evaluate("window.wrong = -7200000")
        await expect(due).to_have_text(re.compile(r"in [34]m"))
        # Not only until the next tick.
        async with page.expect_response("**/live*"):
            pass
        await expect(due).to_have_text(re.compile(r"in [34]m"))
        hour = own.shown.house.clock.now().strftime("%H:")
        await expect(page.locator("#clock")).to_have_text(re.compile(rf"{hour}\d\d:\d\d UTC"))


async def test_a_curve_says_that_it_is_old(chromium: Browser, showcase: Served) -> None:
    async with looking(chromium, showcase, excused=AWAY) as page:
        answers = iter([200])

        async def ended(route: Route) -> None:
            if next(answers, 503) != 200:
                await route.fulfill(status=503, body="")
                return
            answer = await route.fetch()
            await route.fulfill(response=answer, json={**await answer.json(), "aged": "40m"})

        await page.route("**/usage", ended)
        await page.goto("/targets/host1:shop-web-1")
        said = page.locator("#chart-said")
        await expect(said).to_contain_text("Its newest point is 40m old")
        # Asked for again, no sooner than two seconds after.
        await page.evaluate(
            "setInterval(() => document.body.dispatchEvent(new CustomEvent('relevo:shown')), 500)"
        )
        await expect(said).to_have_text(
            re.compile(r"This curve is old, of \d\d:\d\d:\d\d UTC: it cannot be read anew")
        )
