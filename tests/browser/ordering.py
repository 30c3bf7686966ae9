"""What people do with an order: open it, give a reason, confirm."""

from playwright.async_api import Locator, Page, expect

from tests.browser.serving import settled


async def confirm(page: Page, *, reason: str, author: str = "ana") -> None:
    """Fill in the dialog that stands open, and confirm."""
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_be_visible()
    await dialog.get_by_label("Reason").fill(reason)
    await dialog.get_by_label("Your name").fill(author)
    await dialog.locator("button.main").click()
    await expect(page.locator("main .done")).to_be_visible()
    await settled(page)


def row(page: Page, name: str) -> Locator:
    """The row of a container on the first page."""
    return page.locator(f'tr[data-target="host1:{name}"]')
