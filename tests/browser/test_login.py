"""A token once, then a session; and out again."""

import pytest
from playwright.async_api import Browser, expect

from app.api.deps import Scope
from tests.browser.ordering import row
from tests.browser.serving import AWAY, looking, serving, settled

pytestmark = pytest.mark.asyncio(loop_scope="package")

TOKENS = {Scope.OPERATE: ["may-operate"], Scope.READ: ["may-read"]}


async def test_in_with_a_token_and_out_again(chromium: Browser) -> None:
    async with serving(tokens=TOKENS) as served:
        async with looking(chromium, served, excused=AWAY) as page:
            await page.goto("/targets/host1:shop-web-1")
            await expect(page.get_by_label("Token")).to_be_focused()
            await page.get_by_label("Token").fill("guessed")
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("alert")).to_contain_text("opens no page")

            await page.get_by_label("Token").fill("may-operate")
            await page.keyboard.press("Enter")
            await expect(page.locator("h1")).to_have_text("shop-web-1")
            await settled(page)
            (cookie,) = await page.context.cookies()
            assert cookie.get("httpOnly") is True
            assert cookie.get("sameSite") == "Strict"
            assert "may-operate" not in str(cookie.get("value"))

            await page.get_by_role("button", name="Log out").click()
            await expect(page.get_by_label("Token")).to_be_visible()
            assert await page.context.cookies() == []
            # Its old cookie opens nothing any more.
            await page.context.add_cookies(
                [{"name": cookie["name"], "value": cookie["value"], "url": served.url}]
            )
            await page.goto("/")
            await expect(page.get_by_label("Token")).to_be_visible()

        async with looking(chromium, served) as page:
            await page.goto("/login")
            await page.get_by_label("Token").fill("may-read")
            await page.keyboard.press("Enter")
            await expect(page.locator("#fleet")).to_be_visible()
            await settled(page)
            await expect(row(page, "shop-web-1")).to_contain_text("restart")
            await expect(page.locator("[data-order]")).to_have_count(0)


async def test_a_session_that_ends_leads_to_the_login(chromium: Browser) -> None:
    async with (
        serving(tokens=TOKENS) as served,
        looking(chromium, served, excused=AWAY) as page,
    ):
        await page.goto("/login")
        await page.get_by_label("Token").fill("may-read")
        await page.keyboard.press("Enter")
        await expect(page.locator("#fleet")).to_be_visible()
        await settled(page)
        await page.context.clear_cookies()
        await served.stop()
        await served.start()

        await expect(page.get_by_label("Token")).to_be_visible(timeout=15_000)
