"""A visit to the page in headless Chromium."""

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from playwright.async_api import Locator, Page, expect

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)


@dataclass
class Visit:
    """A page and what went wrong on it."""

    page: Page
    faults: list[str] = field(default_factory=list)

    @property
    def field(self) -> Locator:
        return self.page.locator("#message")

    @property
    def replies(self) -> Locator:
        return self.page.locator("#turns .turn.bot .text")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    async def say(self, text: str) -> None:
        # Under a dialog the field takes no focus, and what is typed would go nowhere.
        await expect(self.page.locator("dialog:modal")).to_have_count(0)
        await self.field.fill(text)
        await self.field.press("Enter")

    async def idle(self) -> None:
        await expect(self.page.locator("#stop")).to_be_hidden()


OpenPage = Callable[..., Awaitable[Visit]]
