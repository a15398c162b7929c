"""
What a newcomer does at the demo, and where its page shows what.
"""

from playwright.async_api import Locator, Page, expect

from tests.support.server_process import ServerProcess


async def log_in(page: Page, server: ServerProcess, name: str) -> None:
    """Open the demo, and log in under this name."""
    await page.goto(f"{server.control}/demo")
    await page.get_by_label("Your name").fill(name)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_contain_text(f"{name} is logged in")
    await expect(page.get_by_role("status")).to_have_text("Live")


async def second_window(page: Page, kind: str) -> Page:
    """Have the page open a second window."""
    async with page.context.expect_page() as opening:
        await press(page, kind)
    window = await opening.value
    await expect(window.get_by_role("status")).to_have_text("Live")
    return window


async def press(page: Page, name: str) -> None:
    """Press the button of this name."""
    await page.get_by_role("button", name=name, exact=True).click()


def told(page: Page) -> Locator:
    """What the window was told, newest first."""
    return page.get_by_role("list", name="Events, newest first").get_by_role("listitem")


def card(page: Page) -> Locator:
    """The session, as the page shows it."""
    return page.locator("#card")


async def texts(page: Page) -> list[str]:
    """The sentences of what the window was told, oldest first, marks included."""
    return (await told(page).locator("p:first-child").all_text_contents())[::-1]


async def key_in(page: Page) -> str:
    """The key that the window keeps."""
    return str(await page.evaluate('sessionStorage.getItem("keystay.demo")'))
