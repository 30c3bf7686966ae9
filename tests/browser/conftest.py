"""Pages as people see them: the showcase, live, in a real Chromium."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser.serving import Served, chrome, serving
from tests.parts import obtain

#: A browser on a busy machine takes its time. Shorter than what draws a page anew by itself.
expect.set_options(timeout=20_000)


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for all; each test has contexts of its own in it."""
    async with chrome(obtain("chromium")) as browser:
        yield browser


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def showcase(chromium: Browser) -> AsyncIterator[Served]:
    """A scene for those who only look."""
    async with serving() as served:
        yield served


@pytest_asyncio.fixture(loop_scope="package")
async def own(chromium: Browser) -> AsyncIterator[Served]:
    """A scene for one who changes it."""
    async with serving() as served:
        yield served
