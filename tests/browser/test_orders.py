"""What people do from the pages: with a reason, and confirmed; with a mouse or without."""

import pytest
from playwright.async_api import Browser, expect

from app.domain.remediation import Remediation
from app.policies.annotation import message
from tests.browser.ordering import confirm, row
from tests.browser.pages import PAGES
from tests.browser.serving import Served, looking, settled
from tests.builders import ENGINE

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_hold_and_release(chromium: Browser, own: Served) -> None:
    async with looking(chromium, own) as page:
        await page.goto("/")
        await settled(page)
        await row(page, "shop-proxy-1").get_by_role("link", name="Hold").click()
        await expect(page.get_by_role("dialog")).to_contain_text("Hold: shop-proxy-1")
        await page.get_by_role("dialog").get_by_label("For how long").fill("2h")
        await confirm(page, reason="new certificates")
        holds = own.shown.memory.controls._holds
        held = holds[f"{ENGINE}:shop-proxy-1"]
        assert (held.reason, held.author) == ("new certificates", "ana")
        assert held.until is not None
        assert (held.until - held.since).total_seconds() == 7200

        await page.goto("/")
        await settled(page)
        await expect(row(page, "shop-proxy-1")).to_contain_text("new certificates")
        await row(page, "shop-proxy-1").get_by_role("link", name="Release").click()
        await confirm(page, reason="done")
        assert f"{ENGINE}:shop-proxy-1" not in holds


async def test_pause_and_resume(chromium: Browser, own: Served) -> None:
    async with looking(chromium, own) as page:
        await page.goto("/")
        await settled(page)
        await page.get_by_role("link", name="Pause", exact=True).click()
        await confirm(page, reason="moving house")
        await expect(page.locator("#headline")).to_contain_text("paused", ignore_case=True)
        await expect(page.locator("#head")).to_contain_text("moving house")
        assert own.shown.memory.controls._pause is not None

        await page.get_by_role("link", name="Resume", exact=True).click()
        await confirm(page, reason="moved")
        await expect(page.get_by_role("link", name="Pause", exact=True)).to_be_visible()
        assert own.shown.memory.controls._pause is None


async def test_a_restart_takes_a_reason(chromium: Browser, own: Served) -> None:
    async with looking(chromium, own) as page:
        await page.goto("/targets/host1:office-images-1")
        await settled(page)
        await page.get_by_role("link", name="Restart", exact=True).click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("It would be restarted within a second.")
        before = own.shown.engine.named("office-images-1").started_at

        # Without a reason nothing is sent.
        await dialog.locator("button.main").click()
        await expect(dialog).to_be_visible()
        assert await dialog.get_by_label("Reason").evaluate("one => one.validity.valueMissing")

        await confirm(page, reason="leaks <b>memory</b>")
        await expect(page.locator(".stories")).to_contain_text("an order")
        await page.locator(".stories a").first.click()
        await expect(page.locator(".attempts")).to_contain_text("leaks <b>memory</b>")
        await expect(page.locator(".attempts")).to_contain_text("ana")
        assert own.shown.engine.named("office-images-1").started_at > before


async def test_leaving_it_does_nothing(chromium: Browser, own: Served) -> None:
    async with looking(chromium, own) as page:
        await page.goto("/")
        await settled(page)
        await page.get_by_role("link", name="Pause", exact=True).click()
        await page.get_by_role("dialog").get_by_label("Reason").fill("perhaps")
        await page.get_by_role("dialog").get_by_text("Leave it").click()

        await expect(page.get_by_role("dialog")).to_be_hidden()
        assert page.url == f"{own.url}/"
        assert own.shown.memory.controls._pause is None


async def test_by_keyboard_only(chromium: Browser, own: Served) -> None:
    async with looking(chromium, own) as page:
        await page.goto("/")
        await settled(page)
        pause = page.get_by_role("link", name="Pause", exact=True)
        reason = page.get_by_role("dialog").get_by_label("Reason")

        for _ in range(12):
            await page.keyboard.press("Tab")
            if await pause.evaluate("one => one === document.activeElement"):
                break
        await expect(pause).to_be_focused()
        ring = await pause.evaluate("one => getComputedStyle(one).outlineStyle")
        assert ring == "solid"
        await page.keyboard.press("Enter")
        await expect(reason).to_be_focused()
        # The page behind it is drawn anew meanwhile, and the way back is found all the same.
        await page.evaluate("document.getElementById('head').outerHTML += ''")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        # (A dialog tells that it is closed a moment after it is.)
        await expect(pause).to_be_focused()

        await page.keyboard.press("Enter")
        await expect(reason).to_be_focused()
        await page.keyboard.type("typed")
        await page.keyboard.press("Enter")
        await expect(page.locator("main .done")).to_be_focused()
        kept = own.shown.memory.controls._pause
        assert kept is not None
        assert kept.reason == "typed"


async def test_the_first_tab_leads_to_the_content(chromium: Browser, showcase: Served) -> None:
    async with looking(chromium, showcase) as page:
        await page.goto("/")
        await page.keyboard.press("Tab")
        await expect(page.get_by_text("Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        assert page.url.endswith("#main")


async def test_without_scripts(chromium: Browser, own: Served) -> None:
    async with looking(chromium, own, java_script_enabled=False) as page:
        await page.goto("/")
        assert await page.locator("#rows > tr").count() >= 14
        await expect(row(page, "shop-api-1")).to_contain_text("restart in ")
        await page.get_by_role("link", name="Pause", exact=True).click()
        assert page.url == f"{own.url}/pause"
        await page.get_by_label("Reason").fill("no scripts")
        await page.locator("button.main").click()
        await expect(page.locator("main .done")).to_be_visible()
        assert own.shown.memory.controls._pause is not None

        await page.goto(PAGES["container"])
        await page.get_by_role("link", name="Restart", exact=True).click()
        await page.get_by_label("Reason").fill("by hand")
        await page.locator("button.main").click()
        await expect(page.locator("main .done")).to_be_visible()
        assert page.url.startswith(f"{own.url}/targets/host1:shop-web-1?")
        await page.goto(PAGES["story"])
        await page.locator("summary").first.click()
        await expect(page.locator(".logs").first).to_be_visible()


async def test_an_annotation_leads_to_its_story(chromium: Browser, showcase: Served) -> None:
    stories: list[Remediation] = list(showcase.shown.memory._records.values())
    (story,) = (one for one in stories if one.container == "shop-search-1")
    said = message(story, story.attempts[-1], external_url=showcase.url)
    assert said is not None
    async with looking(chromium, showcase) as page:
        # As Grafana puts it into a page of its own.
        await page.set_content(said.payload.text)
        await page.locator("a").first.click()

        await expect(page.locator("h1")).to_contain_text(story.id)
        await expect(page.locator(".attempts")).to_contain_text("scale out")
        await expect(page.locator(".attempts")).to_contain_text("shop-search-2")
