"""Showcases that a browser can reach, and browsers that tell on what a page does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import uvicorn
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    WebError,
    async_playwright,
    expect,
)

from app.adapters.clock import LoopClock
from app.api.deps import Scope
from tests.web.showcase import Shown, build_scene

#: A browser that asks nobody anything of its own accord.
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Names of other sites, and of other people's: all of them lead here.
    "--host-resolver-rules=MAP *.test 127.0.0.1",
)
#: What a browser says of a refusal, and of a server that is away.
AWAY: Final = ("console: Failed to load resource", "console: htmx:")
DESKTOP: Final = {"width": 1366, "height": 860}
PHONE: Final = {"width": 375, "height": 760}


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to who runs the tests."""
        yield


class Served:
    """A showcase on a port of loopback, which can go away and come back."""

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        self._port = 0
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Serve; a second time on the same port."""
        self._server = _Server(
            uvicorn.Config(
                self.shown.app,
                host="127.0.0.1",
                port=self._port,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=0,
            )
        )
        self._serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            assert not self._serving.done(), "the showcase does not serve"
            await asyncio.sleep(0.01)
        (listening,) = self._server.servers[0].sockets
        self._port = listening.getsockname()[1]

    async def stop(self) -> None:
        """Serve no more."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        await self._serving
        self._server = None


class Reachable(Protocol):
    """What a browser can look at."""

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""


@asynccontextmanager
async def serving(
    *,
    later: timedelta = timedelta(0),
    tokens: dict[Scope, list[str]] | None = None,
) -> AsyncIterator[Served]:
    """
    Serve a showcase, with everything that makes it live.

    :param later: how much time has passed since the scene was set
    """
    clock = LoopClock()
    clock.set_to(clock.now() - later)
    shown = build_scene(clock, tokens=tokens)
    clock.set_to(clock.now() + later)
    controller = shown.house.controller
    await controller.tenure.beat()
    served = Served(shown)
    loops = (
        controller.tenure.run,
        controller.feed.run,
        controller.samples.run,
        controller.worker.run,
    )
    tasks = [asyncio.create_task(loop()) for loop in loops]
    try:
        await served.start()
        yield served
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await served.stop()


@asynccontextmanager
async def chrome(path: str) -> AsyncIterator[Browser]:
    """Start a browser with a new profile of its own."""
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Witness:
    """What no page may do."""

    origin: str
    #: In order.
    seen: list[str] = field(default_factory=list)

    async def watch(self, context: BrowserContext) -> None:
        """Look at all that its pages do."""
        context.on("request", self._request)
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("dialog", self._dialog)
        await context.expose_function("relevoWitness", self._policy)
        await context.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => "
            "relevoWitness(`policy: ${e.effectiveDirective} ${e.blockedURI}`));"
        )

    def _policy(self, broken: str) -> None:
        self.seen.append(broken)

    def _request(self, request: Request) -> None:
        asked = urlsplit(request.url)
        if f"{asked.scheme}://{asked.netloc}" != self.origin and asked.scheme != "data":
            self.seen.append(f"request: {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.seen.append(f"console: {message.text}")

    def _error(self, error: WebError) -> None:
        self.seen.append(f"error: {error.error}")

    async def _dialog(self, dialog: Dialog) -> None:
        self.seen.append(f"dialog: {dialog.message}")
        with suppress(Exception):
            await dialog.dismiss()


@asynccontextmanager
async def looking(
    browser: Browser, served: Reachable, *, excused: tuple[str, ...] = (), **options: Any
) -> AsyncIterator[Page]:
    """
    Look at it, as somebody who comes for the first time; nothing that no page may do happens.

    :param excused: beginnings of what is said where a test has brought it about itself
    """
    options = {"viewport": DESKTOP, "color_scheme": "light"} | options
    context = await browser.new_context(base_url=served.url, **options)
    context.set_default_timeout(20_000)
    witness = Witness(served.url)
    await witness.watch(context)
    try:
        yield await context.new_page()
    finally:
        await context.close()
    faults = [one for one in witness.seen if not one.startswith(excused or ("\0",))]
    assert not faults, "\n".join(faults)


async def settled(page: Page) -> None:
    """Wait until a page is live, and its chart is drawn."""
    # (Not `wait_for_function`: it evaluates in the page, whose policy forbids that.)
    if await page.locator("body[data-live]").count():
        await expect(page.locator("#link")).to_have_text("Live")
    if await page.locator("#chart").count():
        drawn = page.locator("#chart canvas, #chart[hidden]").first
        await expect(drawn).to_be_attached()
