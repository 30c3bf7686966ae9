"""
Pictures of each page: light and dark on a desktop, and on a phone.

``python -m tests.browser.screenshots OUT`` takes them of the showcase; ``--only NAME`` some.
"""

import argparse
import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, Page

from app.api.deps import Scope
from app.controller.courier import Deliveries
from app.domain.control import Halt
from tests.browser.pages import PAGES
from tests.browser.serving import AWAY, DESKTOP, PHONE, Served, chrome, looking, serving, settled
from tests.parts import require
from tests.web.away import lose_store

#: Name -> how the page is looked at.
WAYS: Final[dict[str, dict[str, Any]]] = {
    "light": {"color_scheme": "light", "viewport": DESKTOP},
    "dark": {"color_scheme": "dark", "viewport": DESKTOP},
    "phone": {"color_scheme": "light", "viewport": PHONE, "is_mobile": True, "has_touch": True},
    "phone-dark": {"color_scheme": "dark", "viewport": PHONE, "is_mobile": True, "has_touch": True},
}
#: The first restart is due soon.
_LATER: Final = timedelta(seconds=10)


async def _shoot(page: Page, file: Path, *, whole: bool = True) -> None:
    # A hidden caret is an inline style, which a swap in that moment carries over: no page may.
    await page.screenshot(path=file, full_page=whole, animations="disabled", caret="initial")


async def take(browser: Browser, served: Served, out: Path, pages: dict[str, str]) -> None:
    """Take pictures of these pages in each way, whole, as ``NAME-WAY.png``."""
    for way, options in WAYS.items():
        async with looking(browser, served, **options) as page:
            for name, path in pages.items():
                await page.goto(path)
                await settled(page)
                await page.wait_for_load_state("networkidle" if name == "api" else "load")
                await _shoot(page, out / f"{name}-{way}.png")


async def take_dialog(browser: Browser, served: Served, out: Path) -> None:
    """Take pictures of an order in its dialog, and of a story with a case file unfolded."""
    for way, options in WAYS.items():
        async with looking(browser, served, **options) as page:
            await page.goto(PAGES["container"])
            await settled(page)
            await page.get_by_role("link", name="Scale out", exact=True).click()
            await page.get_by_role("dialog").wait_for()
            await _shoot(page, out / f"dialog-{way}.png", whole=False)
            await page.goto(PAGES["story"])
            await settled(page)
            await page.locator("summary").first.click()
            await _shoot(page, out / f"case-{way}.png")


async def take_trouble(browser: Browser, served: Served, out: Path) -> None:
    """Take pictures of what is not there, of a pause, a lost connection, and a lost store."""
    now = served.shown.house.clock.now()
    halt = Halt(reason="the host is being moved", author="ana", since=now, until=None)
    served.shown.memory.controls._pause = halt
    late = Deliveries(pending=3, trouble="http://127.0.0.1:3000 answered 401 Unauthorized")
    served.shown.house.overview._deliveries = lambda: late
    for way, options in WAYS.items():
        async with looking(browser, served, excused=AWAY, **options) as page:
            for name in ("nobody", "office-fax-1"):
                await page.goto(f"/targets/host1:{name}")
                await _shoot(page, out / f"{name}-{way}.png", whole=False)
            await page.goto(PAGES["containers"])
            await settled(page)
            await served.stop()
            await page.locator("#link.lost").wait_for()
            await _shoot(page, out / f"paused-{way}.png", whole=False)
            await served.start()
    lose_store(served.shown.house)
    for way, options in WAYS.items():
        async with looking(browser, served, excused=AWAY, **options) as page:
            for name in ("containers", "container", "story"):
                await page.goto(PAGES[name])
                await _shoot(page, out / f"away-{name}-{way}.png")


async def run(out: Path, *, only: str | None) -> None:
    """Take all that is asked for."""
    out.mkdir(parents=True, exist_ok=True)
    async with chrome(require("chromium")) as browser:
        async with serving(later=_LATER) as served:
            chosen = {name: path for name, path in PAGES.items() if only in (None, name)}
            await take(browser, served, out, chosen)
            if only in (None, "dialog"):
                await take_dialog(browser, served, out)
            if only in (None, "trouble"):
                await take_trouble(browser, served, out)
        if only in (None, "login"):
            async with serving(tokens={Scope.OPERATE: ["operate"]}) as served:
                await take(browser, served, out, {"login": "/login"})


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--only", help="one page only by name, or dialog, trouble, login")
    chosen = parser.parse_args()
    asyncio.run(run(chosen.out, only=chosen.only))


if __name__ == "__main__":
    main()
