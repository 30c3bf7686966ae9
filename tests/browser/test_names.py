"""By which name and from where a browser comes: real cookies, real headers."""

from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from app.api.deps import Scope
from tests.browser.serving import AWAY, Served, looking, serving, settled

pytestmark = pytest.mark.asyncio(loop_scope="package")

TOKENS = {Scope.READ: ["may-read"]}
#: Whoever is there is not `served.url`, which the witness takes for home.
ELSEWHERE = (*AWAY, "request: http://", "console: The Cross-Origin-Opener-Policy header has been")
ASK = """async (what) => {
    const sent = what[1] && {method: "POST", headers: {"Content-Type": "application/json"}, body: what[1]};
    return (await fetch(what[0], sent || {})).status;
}"""  # noqa: E501


def called(served: Served, name: str) -> str:
    """Its address by another name."""
    return f"http://{name}:{urlsplit(served.url).port}"


async def log_in(page: Page, base: str, token: str = "may-read") -> None:
    await page.goto(f"{base}/login")
    await page.get_by_label("Token").fill(token)
    await page.keyboard.press("Enter")
    await expect(page.locator("#fleet")).to_be_visible()


async def test_a_page_whose_name_was_led_here_reads_nothing_and_does_nothing(
    chromium: Browser, own: Served
) -> None:
    """To the browser this is one and the same site: only the name tells."""
    async with looking(chromium, own, excused=ELSEWHERE) as page:
        await page.goto(f"{called(own, 'elsewhere.test')}/static/mark.svg")
        for asked in (
            ["/api/v1/pause", '{"reason": "x"}'],
            ["/-/reload", "{}"],
            ["/api/v1/webhooks/alertmanager", "{}"],
            ["/api/v1/targets", ""],
            ["/metrics", ""],
            ["/", ""],
        ):
            assert await page.evaluate(ASK, asked) == 403, asked[0]
        assert await page.evaluate(ASK, ["/-/healthy", ""]) == 200
    assert await own.shown.house.store.controls.pause() is None


async def test_by_plain_http_a_link_from_elsewhere_leads_on_to_its_page(
    chromium: Browser,
) -> None:
    """The browser sends no strict cookie along, and does not say that the link is another's."""
    async with (
        serving(tokens=TOKENS) as served,
        looking(chromium, served, excused=ELSEWHERE) as page,
    ):
        home = called(served, "relevo.test")
        await log_in(page, home)
        await page.goto(f"{called(served, 'elsewhere.test')}/static/mark.svg")
        await page.evaluate("(to) => { location = to }", f"{home}/targets/host1:shop-web-1")

        await expect(page.locator("h1")).to_have_text("shop-web-1")
        await settled(page)


async def test_two_on_one_host_do_not_log_each_other_out(chromium: Browser) -> None:
    async with (
        serving(tokens=TOKENS) as one,
        serving(tokens={Scope.READ: ["of-the-other"]}) as other,
        looking(chromium, one, excused=ELSEWHERE) as page,
    ):
        await log_in(page, one.url)
        await log_in(page, other.url, "of-the-other")
        for served in (one, other):
            await page.goto(served.url)
            await expect(page.locator("#fleet")).to_be_visible()
            await settled(page)
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_label("Token")).to_be_visible()

        await page.goto(one.url)

        await expect(page.locator("#fleet")).to_be_visible()
