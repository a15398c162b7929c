"""
A real browser, Debian's Chromium, and one server with a dashboard for all these tests.
"""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page

from tests.support.backend import backend_of
from tests.support.chromium import browsing
from tests.support.server_process import ServerProcess, serving

API_KEY = "the-api-key-of-the-dashboard"
PHONE, LAPTOP = (360, 740), (1366, 860)
SOON_MS = 5000


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A browser without a window."""
    async with browsing() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[ServerProcess]:
    """A server that keeps sessions in memory."""
    async with serving(env={"KEYSTAY_API_KEY": API_KEY}) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def demo() -> AsyncIterator[ServerProcess]:
    """A server as `make run` starts it."""
    async with serving("--activity", "none", env={"KEYSTAY_API_KEY": API_KEY}) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def backend(server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client that sends the API key."""
    async with backend_of(server.control, API_KEY) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page with cookies of its own. Whatever breaks in it breaks the test."""
    width, height = LAPTOP
    context = await browser.new_context(
        viewport={"width": width, "height": height}, reduced_motion="reduce"
    )
    context.set_default_timeout(SOON_MS)
    page = await context.new_page()
    broken: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # That a server refuses something, or is away, is an error to the console, and none of
        # the page.
        of_server = ("Failed to load resource", "WebSocket connection to")
        if message.type == "error" and not message.text.startswith(of_server):
            broken.append(message.text)

    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", note)
    yield page
    await context.close()
    assert broken == []


async def log_in(page: Page, server: ServerProcess, place: str = "/") -> None:
    """Open a place of the dashboard, and log in where it asks for that."""
    await page.goto(server.control + place)
    await page.get_by_label("API key").fill(API_KEY)
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("button", name="Log out").wait_for()
