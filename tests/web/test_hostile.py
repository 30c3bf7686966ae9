"""Whatever strangers write into labels, names, reasons and logs: pages show it, and no more."""

import re

import httpx
import pytest

from app.adapters.clock import LoopClock
from tests.api.test_webhooks import PATH, notification
from tests.api.test_webhooks import alert as firing
from tests.builders import container
from tests.controller.house import House, pass_time, working
from tests.web.conftest import BASE, order
from tests.web.showcase import HOSTILE, build_scene
from tests.web.test_pages import SCENE, Page

#: Tags and attributes that come from us; anything else in a page is a stranger's.
TAGS = frozenset(
    re.findall(
        r"\w+",
        "html head meta title link script body a header svg path nav span form button section div "
        "p dl dt dd main dialog h1 h2 h3 h4 input table thead tbody tr th td bdi small code rect "
        "time details summary ol ul li pre b label template",
    )
)
OURS = (
    *SCENE,
    "/",
    "/live",
    "/targets/host1:office-cron-1",
    "/targets/host1:office-cron-1/live",
    "/remediations/office-cron-1-mwro18g0",
    "/remediations/shop-web-1-mwro22g0/live",
)


@pytest.mark.parametrize("path", OURS)
async def test_every_tag_of_a_page_is_ours(path: str) -> None:
    shown = build_scene(LoopClock())
    await shown.house.tenure.beat()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=shown.app), base_url=BASE
    ) as http:
        text = (await http.get(path)).text

    tags = {tag for tag, _ in Page(text).tags}
    assert tags <= TAGS, tags - TAGS
    assert "<script>" not in text
    assert "onerror=alert(2)>" not in text
    for char in ("\u202e", "\u2066", "\x1b", "\x00"):
        assert char not in text
    assert "A" * 2001 not in text


async def test_what_a_hostile_alert_says_is_shown_as_text() -> None:
    shown = build_scene(LoopClock())
    await shown.house.tenure.beat()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=shown.app), base_url=BASE
    ) as http:
        text = (await http.get("/remediations/office-cron-1-mwro18g0")).text

    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;" in text
    assert "\\u202egnp.exe\\u2066" in text
    assert len(text) < 30_000


@pytest.mark.looptime
async def test_a_hostile_alert_goes_all_the_way(house: House, http: httpx.AsyncClient) -> None:
    """Through the webhook, as far as names of alerts are let in."""
    name = HOSTILE[:200]
    async with working(house):
        labels = {"alertname": name, "engine": "host1", "name": "web", "severity": "critical"}
        await http.post(PATH, json=notification(firing() | {"labels": labels}))
        await pass_time(minutes=2)
        story = await house.story()
        pages = [
            (await http.get(path)).text
            for path in ("/", "/targets/web", f"/remediations/{story.id}", "/live")
        ]

    assert story.alerts == (name,)
    for text in pages:
        assert {tag for tag, _ in Page(text).tags} <= TAGS
        assert "\u202e" not in text
    assert "&lt;script&gt;alert(1)" in pages[1]


@pytest.mark.looptime
async def test_a_hostile_reason_of_a_person(house: House, http: httpx.AsyncClient) -> None:
    said = "\"'><script>alert(1)</script>"
    assert (await order(http, "/targets/web/hold", reason=said, author=said)).status_code == 303

    for path in ("/", "/targets/web"):
        text = (await http.get(path)).text
        assert {tag for tag, _ in Page(text).tags} <= TAGS
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


@pytest.mark.parametrize(
    "path",
    [
        "/targets/<script>alert(1)</script>",
        "/targets/%22%27%3E%3Cimg%20src=x%3E",
        "/targets/..%2f..%2fetc",
        "/targets/web%00",
        "/targets/%e2%80%aeweb",
        "/targets/" + "a" * 5000,
        "/remediations/<b>x",
        "/remediations/..",
        "/?done=<script>",
        "/?done=" + "a" * 5000,
        "/login?next=%22%3E%3Cscript%3E",
        "/live?target=<script>",
    ],
)
async def test_an_address_is_never_repeated_raw(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, follow_redirects=True)

    assert answer.status_code < 500
    assert "<script>" not in answer.text
    assert "<img" not in answer.text
    assert "<b>x" not in answer.text


async def test_a_name_in_an_attribute_stays_there(house: House, http: httpx.AsyncClient) -> None:
    """Docker allows none of this; whatever lists containers may one day."""
    house.engine.run(container('x"><svg onload=alert(1)>', 7))

    text = (await http.get("/")).text

    assert {tag for tag, _ in Page(text).tags} <= TAGS
    assert not re.search(r"<svg onload", text)
