"""
The demo in a browser: how it explains the end of a session, however that came.
"""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import API_KEY, SOON_MS
from tests.support.backend import backend_of
from tests.support.browser.demo import card, log_in, press, second_window, texts, told
from tests.support.server_process import ServerProcess, serving

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]

expect.set_options(timeout=SOON_MS)


async def test_logging_out_while_the_line_is_cut(page: Page, demo: ServerProcess) -> None:
    """It is so at once here, and at the server and in every other window with the line."""
    await log_in(page, demo, "Oda")
    twin = await second_window(page, "Same session")
    device = await second_window(page, "Another device")
    sessions = device.get_by_role("list", name="Sessions of this player").get_by_role(
        "listitem"
    )
    await expect(sessions).to_have_count(2)
    await press(page, "Cut the line")
    for name in ("The others", "All"):
        await expect(page.get_by_role("button", name=name, exact=True)).to_be_disabled()
    await expect(page.locator("#pile")).to_contain_text("waiting")
    await press(page, "This one")
    heading = card(page).get_by_role("heading")
    await expect(heading).to_have_text("Logged out")
    assert (await texts(page))[-1] == (
        "Logged out here at once. The server gets it when the line is back."
    )
    assert await page.evaluate('sessionStorage.getItem("keystay.demo")') is None
    await expect(page.locator("#pile")).to_be_hidden()
    await expect(page.get_by_role("button", name="Log in again as Oda")).to_be_disabled()
    await expect(page.get_by_role("status")).to_have_text("Line cut")
    await expect(twin.get_by_role("status")).to_have_text("Live")
    await press(page, "Mend the line")
    await expect(card(twin)).to_contain_text("By another window.")
    await expect(sessions).to_have_count(1)
    await expect(told(page).first).to_contain_text("The server got the logout")
    await expect(card(page)).to_contain_text("Every other window of the session got that")
    await expect(heading).to_be_focused()
    await press(page, "Log in again as Oda")
    await expect(page.get_by_role("status")).to_have_text("Live")


REASONS = {
    "expired": ("Expired", "Nobody extended it"),
    "loggedOut": ("Logged out", "By another window."),
    "replaced": ("Replaced", "opened another session"),
    "revoked": ("Revoked", "without a word of its own"),
    "reassigned": ("Given to another player", "a new key"),
    "badVersion": ("Of another version", "version of the application"),
    "constructor": ("Ended: constructor", "this word for why"),
}


async def test_each_reason_is_explained(page: Page, demo: ServerProcess) -> None:
    """Those of the protocol by what they mean; any other word is the backend's own."""
    await log_in(page, demo, "Pia")
    async with backend_of(demo.control, API_KEY) as backend:
        for reason, (title, text) in REASONS.items():
            await expect(page.get_by_role("button", name="Say it")).to_be_enabled()
            path = "/v1/actors/player:pia/sessions"
            answer = await backend.delete(path, params={"reason": reason})
            assert answer.is_success, answer.text
            await expect(card(page).get_by_role("heading")).to_have_text(title)
            await expect(card(page)).to_contain_text(text)
            await expect(card(page)).to_contain_text(f"Reason: {reason}")
            await press(page, "Log in again as Pia")


async def test_a_server_that_starts_anew_knows_no_session(page: Page) -> None:
    """The window says so, and that it is the server that has forgotten."""
    async with serving() as first:
        await log_in(page, first, "Quin")
    listen, control = (url.split("//")[1] for url in (first.url, first.control))
    async with serving("--listen", listen, "--control", control):
        heading = card(page).get_by_role("heading")
        await expect(heading).to_have_text("Not known to the server")
        await expect(card(page)).to_contain_text("started anew with a store that keeps nothing")
        await press(page, "Log in again as Quin")
        await expect(page.get_by_role("status")).to_have_text("Live")


async def test_a_key_that_is_none_is_told_apart(page: Page, demo: ServerProcess) -> None:
    """What the window keeps was changed by somebody: that is said, and one logs in again."""
    await log_in(page, demo, "Rob")
    await page.evaluate("""sessionStorage.setItem("keystay.demo", "oops")""")
    await page.reload()
    await expect(card(page).get_by_role("heading")).to_have_text("Not a key")
    await press(page, "Log in again as Rob")
    await expect(page.get_by_role("status")).to_have_text("Live")
