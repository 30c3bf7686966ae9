"""
The README's pictures, of the running demo.

``python -m tests.browser.demo_pictures docs/images`` runs ``make demo``, looks at its pages while a
restart is waited for and when all is over, and takes everything down again.
"""

import argparse
import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, Page, ViewportSize

from tests.browser.serving import chrome
from tests.parts import require

REPOSITORY: Final = Path(__file__).resolve().parents[2]
_DEMO: Final = REPOSITORY / "deploy" / "demo" / "demo.py"
_WIDTH: Final = 1180
#: Of all containers, and the demo has one; of all others.
_LOW: Final = 350
_HIGH: Final = 700
_ADDRESS: Final = re.compile(r"  Relevo        (http://\S+)/\n")
_TOKEN: Final = re.compile(r"  Log in with   (\S+)\n")
#: The third restart is waited for: two have not helped.
_WAITS: Final = " wait 30 s "
_SETTLES_MS: Final = 1_500


@asynccontextmanager
async def logged_in(
    browser: Browser, url: str, token: Path, *, height: int = _HIGH
) -> AsyncIterator[Page]:
    """Open a page of one who may look."""
    size = ViewportSize(width=_WIDTH, height=height)
    context = await browser.new_context(viewport=size, color_scheme="light")
    page = await context.new_page()
    await page.goto(f"{url}/login")
    await page.get_by_label("Token").fill(token.read_text(encoding="utf-8").strip())
    await page.get_by_role("button", name="Log in").click()
    await page.locator("#headline").wait_for()
    yield page
    await context.close()


async def _shoot(page: Page, file: Path) -> None:
    # The curves are drawn once they are read.
    await page.wait_for_timeout(_SETTLES_MS)
    await page.screenshot(path=file, animations="disabled", caret="initial")


async def run(out: Path) -> None:
    """Run the demo, and take its pictures."""
    async with chrome(require("chromium")) as browser:
        try:
            await _run(browser, out)
        finally:
            down = await asyncio.create_subprocess_exec(sys.executable, str(_DEMO), "--down")
            await down.wait()


async def _run(browser: Browser, out: Path) -> None:
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, str(_DEMO)),
        env=os.environ | {"KEEP": "1"},
        stdout=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
    )
    assert demo.stdout is not None
    url, token = "", Path()
    async for raw in demo.stdout:
        line = raw.decode()
        sys.stdout.write(line)
        if found := _ADDRESS.fullmatch(line):
            url = found[1]
        elif found := _TOKEN.fullmatch(line):
            token = REPOSITORY / found[1]
        elif _WAITS in line:
            async with logged_in(browser, url, token, height=_LOW) as page:
                await _shoot(page, out / "containers.png")
    if await demo.wait() != 0:
        raise SystemExit("the demo has failed, as it says above")
    async with logged_in(browser, url, token) as page:
        await page.locator("tbody a").first.click()
        await page.get_by_text("Timeline").wait_for()
        await _shoot(page, out / "container.png")
        await page.get_by_role("link", name=re.compile(r"\d\d:\d\d:\d\d – ")).first.click()
        await page.get_by_text("Decisions").wait_for()
        await page.emulate_media(color_scheme="dark")
        await _shoot(page, out / "story.png")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT")
    asyncio.run(run(parser.parse_args().out))


if __name__ == "__main__":
    main()
