"""No serious fault of accessibility on any page, as axe finds them."""

from typing import Final

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, Page

from app.api.deps import Scope
from tests.browser.pages import PAGES
from tests.browser.screenshots import WAYS
from tests.browser.serving import AWAY, Served, looking, serving, settled

pytestmark = pytest.mark.asyncio(loop_scope="package")

#: Swagger UI is somebody else's: what is wrong inside it is not ours to mend.
OURS: Final = {name: path for name, path in PAGES.items() if name != "api"}


async def faults(page: Page) -> list[str]:
    """What axe finds, as far as it is serious or critical."""
    found = await Axe().run(page)
    return [
        f"{one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in found.response["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("way", WAYS)
async def test_every_page(chromium: Browser, showcase: Served, way: str) -> None:
    # Dark and small at once is only looked at where a page has most of both.
    chosen = ("containers", "container", "story") if way == "phone-dark" else tuple(OURS)
    async with looking(chromium, showcase, **WAYS[way]) as page:
        for name in chosen:
            path = OURS[name]
            await page.goto(path)
            await settled(page)
            await page.locator("details").evaluate_all("all => all.forEach(d => { d.open = true })")
            assert await faults(page) == [], name


async def test_the_dialog(chromium: Browser, showcase: Served) -> None:
    async with looking(chromium, showcase, reduced_motion="reduce") as page:
        await page.goto(PAGES["container"])
        await settled(page)
        await page.get_by_role("link", name="Scale out", exact=True).click()
        await page.get_by_role("dialog").wait_for()
        assert await faults(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_login(chromium: Browser, scheme: str) -> None:
    async with (
        serving(tokens={Scope.READ: ["may-read"]}) as served,
        looking(chromium, served, color_scheme=scheme, excused=AWAY) as page,
    ):
        await page.goto("/login")
        assert await faults(page) == []
        await page.get_by_label("Token").fill("guessed")
        await page.keyboard.press("Enter")
        await page.get_by_role("alert").wait_for()
        assert await faults(page) == []


async def test_a_fault_would_be_found(chromium: Browser, showcase: Served) -> None:
    async with looking(chromium, showcase) as page:
        await page.goto("/")
        await page.evaluate(
            "document.querySelector('main').insertAdjacentHTML('beforeend', '<input type=text>')"
        )
        assert [one.partition(":")[0] for one in await faults(page)] == ["label"]
