"""Pages do nothing that nobody asked for, whatever strangers have written into what they show."""

import asyncio
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Page, expect

from app.domain.control import Halt
from tests.browser.pages import PAGES
from tests.browser.serving import PHONE, Served, looking, settled
from tests.builders import ENGINE
from tests.web.showcase import HOSTILE

pytestmark = pytest.mark.asyncio(loop_scope="package")

#: Elements that no page of ours has; each could be made of what a stranger wrote.
FOREIGN: Final = "img, iframe, object, embed, style, main script, #head script, [onerror], [onload]"
OURS: Final = tuple(name for name in PAGES if name != "api")


async def test_no_page_asks_anybody_else_nor_is_too_wide(
    chromium: Browser, showcase: Served
) -> None:
    """Nor breaks its policy, nor says an error: `looking` sees to it."""
    async with looking(chromium, showcase) as page:
        for name in OURS:
            answer = await page.goto(PAGES[name])
            assert answer is not None
            assert answer.ok, name
            await settled(page)
            for width in (320, 375, 700, 800, 1000, 1280):
                await page.set_viewport_size({"width": width, "height": 700})
                shown = await page.evaluate("document.documentElement.scrollWidth")
                assert shown <= width, f"{name} is {shown} wide, of {width}"
        await page.goto(PAGES["api"], wait_until="networkidle")
        # (Drawn a moment after all has been loaded.)
        await expect(page.locator(".opblock").nth(10)).to_be_attached()


@pytest.mark.parametrize(
    "script",
    [
        "() => { fetch('http://127.0.0.2:9/').catch(() => 0) }",
        "() => { document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(1)>') }",
        "() => { setTimeout('alert(1)') }",
        "() => { setTimeout(() => alert(1)) }",
        "() => { setTimeout(() => nothing.there) }",
        "() => { location = 'http://127.0.0.2:9/' }",
    ],
)
async def test_what_no_page_may_do_would_be_seen(
    chromium: Browser, showcase: Served, script: str
) -> None:
    with pytest.raises(AssertionError):  # noqa: PT012 - that it is raised at the end is the point
        async with looking(chromium, showcase) as page:
            await page.goto("/")
            await settled(page)
            async with asyncio.timeout(10), _told(page):
                await page.evaluate(script)


class _told:
    """Wait until a page has said, asked, or opened something."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._event = asyncio.Event()

    async def __aenter__(self) -> None:
        for name in ("console", "request", "dialog", "weberror"):
            self._page.context.on(name, self._hear)

    def _hear(self, _: object) -> None:
        self._event.set()

    async def __aexit__(self, *_: object) -> None:
        await self._event.wait()


@pytest.mark.parametrize("options", [{}, {"viewport": PHONE, "is_mobile": True}], ids=["", "phone"])
async def test_hostile_words_are_shown_and_no_more(
    chromium: Browser, own: Served, options: dict[str, Any]
) -> None:
    """Names of alerts, reasons, logs, processes: tags, quotes, 10 kB, right-to-left marks."""
    now = own.shown.house.clock.now()
    said = Halt(reason=HOSTILE, author=HOSTILE, since=now, until=None)
    own.shown.memory.controls._holds[f"{ENGINE}:office-cron-1"] = said
    own.shown.memory.controls._pause = said
    async with looking(chromium, own, **options) as page:
        width = page.viewport_size["width"] if page.viewport_size else 0
        for name in OURS:
            await page.goto(PAGES[name])
            await settled(page)
            await page.locator("details").evaluate_all("all => all.forEach(d => { d.open = true })")
            assert await page.locator(FOREIGN).count() == 0, name
            shown = await page.evaluate("document.documentElement.scrollWidth")
            assert shown <= width, f"{name} is {shown} wide"
            text = await page.locator("body").inner_text()
            assert not set("\u202e\u2066\x1b") & set(text), name
            assert "A" * 2001 not in text, name
            if name in ("containers", "hostile", "hostile-story", "story"):
                assert "<script>alert(" in text, name


async def test_a_hostile_alert_comes_in_while_the_page_is_open(
    chromium: Browser, own: Served
) -> None:
    """What is swapped into a page is as harmless as what it came with."""
    async with looking(chromium, own, viewport=PHONE) as page:
        await page.goto("/")
        await settled(page)
        now = own.shown.house.clock.now()
        own.shown.memory.controls._holds[f"{ENGINE}:office-auth-1"] = Halt(
            reason=HOSTILE, author="ana", since=now, until=None
        )
        await page.get_by_text("<script>alert(1)").first.wait_for()
        assert await page.locator(FOREIGN).count() == 0
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
