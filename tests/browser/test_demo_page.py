"""
The demo in a browser: that its page fits, can be read and reached, and takes any name.
"""

import re
from urllib.parse import urljoin

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import LAPTOP, PHONE, SOON_MS
from tests.support.browser.demo import card, log_in, press, second_window, told
from tests.support.browser.readable import NAMELESS, PALE
from tests.support.paths import ROOT
from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]

expect.set_options(timeout=SOON_MS)


@pytest.mark.parametrize("blank", ["   ", "\u200b", "\u3000\u202e"], ids=ascii)
async def test_a_name_can_be_seen(page: Page, demo: ServerProcess, blank: str) -> None:
    """Nobody logs in, and nobody is renamed, to blanks."""
    await page.goto(f"{demo.control}/demo")
    await page.get_by_label("Your name").fill(blank)
    await page.keyboard.press("Enter")
    await expect(page.locator("#login-error")).to_contain_text("at least one letter")
    await log_in(page, demo, "Sue")
    await page.get_by_label("Change the name").fill(blank)
    await press(page, "Change")
    await expect(page.locator("#backend-error")).to_contain_text("at least one letter")
    await expect(card(page).get_by_role("heading")).to_have_text("Sue")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("  Ada \t Lovelace ", "Ada Lovelace"),
        ("\u202eada", "ada"),
        ("星" * 32, "星" * 32),
        ("İ" * 32, "İ" * 32),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("<b>&amp;", "<b>&amp;"),
        ("../..?a=b#c%2F", "../..?a=b#c%2F"),
    ],
    ids=ascii,
)
async def test_odd_names_are_names(
    page: Page, demo: ServerProcess, typed: str, shown: str
) -> None:
    """Trimmed, without what turns the text around them, and short enough for an actor."""
    await page.goto(f"{demo.control}/demo")
    await page.get_by_label("Your name").fill(typed)
    await page.keyboard.press("Enter")
    await expect(card(page).get_by_role("heading")).to_have_text(shown)
    await press(page, "Say it")
    await expect(told(page).first).to_contain_text("The shop is open")


async def test_a_phone_opens_a_tab_and_a_laptop_a_window(
    page: Page, demo: ServerProcess
) -> None:
    """The window is never narrower than a phone; only a tab has the bars of a browser."""
    await log_in(page, demo, "Tom")
    popup = await second_window(page, "Same session")
    assert not await popup.evaluate("menubar.visible")
    assert await popup.evaluate("innerWidth") >= 480
    await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    tab = await second_window(page, "Another device")
    assert await tab.evaluate("menubar.visible")


async def test_a_blocked_window_is_said(page: Page, demo: ServerProcess) -> None:
    """A browser that opens none leaves a way: a copy of the tab holds the same session."""
    await page.add_init_script("window.open = () => null;")
    await log_in(page, demo, "Ulf")
    await press(page, "Another device")
    error = page.locator("#window-error")
    await expect(error).to_contain_text("Allow pop-ups here")
    await expect(error).to_contain_text("duplicate this tab")


async def test_the_sessions_id_fits_and_can_be_copied(page: Page, demo: ServerProcess) -> None:
    """One line, on a laptop and on a phone; what is copied is the whole of it."""
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await log_in(page, demo, "Vic")
    place = page.locator("#session-id")
    for width, height in (LAPTOP, PHONE):
        await page.set_viewport_size({"width": width, "height": height})
        box = await place.bounding_box()
        assert box is not None
        assert box["height"] < 32
    await place.get_by_role("button").click()
    id_ = await page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"cGxheWVyOnZpYw\.[\w-]{16}", id_)
    assert await place.get_by_role("code").get_attribute("title") == id_


async def test_a_phone_is_wide_enough(page: Page, demo: ServerProcess) -> None:
    """Nothing is wider than the 360 pixels there are, from the first page to the last."""
    await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    width = "document.documentElement.scrollWidth"
    await page.goto(f"{demo.control}/demo")
    assert await page.evaluate(width) == PHONE[0]
    await log_in(page, demo, "W" * 32)
    await page.get_by_label("Say something").fill("i" * 200)
    await press(page, "Say it")
    await expect(page.locator("#announcer")).to_be_in_viewport()
    for name in ("Cut the line", "Mend the line", "Kick"):
        assert await page.evaluate(width) == PHONE[0]
        await press(page, name)
    await expect(card(page).get_by_role("heading")).to_be_in_viewport()
    assert await page.evaluate(width) == PHONE[0]


async def test_a_phone_shows_the_session_at_once(page: Page, demo: ServerProcess) -> None:
    """The tour leaves room for it, and what the window was told comes next."""
    await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    await log_in(page, demo, "Wes")
    await expect(card(page).get_by_role("timer")).to_be_in_viewport(ratio=1)
    told_at, sessions_at = [
        await page.locator(part).evaluate("it => it.getBoundingClientRect().top")
        for part in (".received", "#sessions")
    ]
    assert told_at < sessions_at


async def test_everything_has_a_name_and_can_be_read(page: Page, demo: ServerProcess) -> None:
    """Every control has a name, there is one heading 1, and contrast is AA in both themes."""

    async def look() -> None:
        await expect(page.get_by_role("heading", level=1)).to_have_count(1)
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            assert await page.evaluate(NAMELESS) == []
            assert await page.evaluate(PALE) == []

    await page.goto(f"{demo.control}/demo")
    await expect(page.get_by_label("Your name")).to_be_focused()
    await look()
    await log_in(page, demo, "Ivy")
    await look()
    await press(page, "Cut the line")
    await expect(page.locator("#pile")).to_contain_text("waiting")
    await look()
    await press(page, "Mend the line")
    await expect(told(page).first).to_contain_text("Nothing is lost")
    await look()
    await press(page, "Kick")
    await expect(card(page).get_by_role("heading")).to_have_text("Kicked: banned")
    await look()


async def test_the_keyboard_reaches_everything(page: Page, demo: ServerProcess) -> None:
    """Tab by tab to every button; a step of the tour leads to where it is done."""
    await log_in(page, demo, "Joy")
    await expect(page.get_by_role("button", name="The others")).to_be_enabled()
    buttons = await page.locator(
        "button:visible:not(:disabled), main input:visible"
    ).evaluate_all("all => all.map((it) => it.ariaLabel || it.id || it.textContent)")
    await page.evaluate("document.querySelector('.skip').focus()")
    reached = []
    focused = "it = document.activeElement; it.ariaLabel || it.id || it.textContent"
    for _ in range(len(buttons) + 6):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate(focused))
    assert [each for each in reached if each in buttons] == buttons
    await press(page, "Step 3: Cut the line")
    await expect(page.get_by_role("button", name="Cut the line", exact=True)).to_be_focused()


async def test_the_page_fits_a_laptop(page: Page, demo: ServerProcess) -> None:
    """Session, events and backend are seen at once, without scrolling."""
    await log_in(page, demo, "Mia")
    for region in ("What this window received", "Your backend"):
        await expect(page.get_by_role("heading", name=region)).to_be_in_viewport()
    card_at, sessions_at, told_at, backend_at = [
        await page.locator(part).evaluate("it => it.getBoundingClientRect().toJSON()")
        for part in ("#card", "#sessions", ".received", "#backend")
    ]
    assert card_at["bottom"] < LAPTOP[1]
    assert card_at["x"] == sessions_at["x"] < told_at["x"] < backend_at["x"]
    assert card_at["y"] == told_at["y"] == backend_at["y"]


async def test_a_browser_that_keeps_nothing_can_log_in(page: Page, demo: ServerProcess) -> None:
    """Storage may be blocked: the session lasts as long as the page then."""
    await page.add_init_script(
        """for (const name of ["localStorage", "sessionStorage"])
             Object.defineProperty(window, name, {
               get() { throw new DOMException("denied", "SecurityError"); },
             });"""
    )
    await log_in(page, demo, "Vera")
    await expect(page.get_by_role("status")).to_have_text("Live")


async def test_it_ends_with_what_to_do_next(page: Page, demo: ServerProcess) -> None:
    """The files that it names are in the checkout, and its links lead somewhere."""
    await page.goto(f"{demo.control}/demo")
    steps = page.get_by_role("region", name="Next")
    for name in await steps.locator("code").all_inner_texts():
        assert (ROOT / name).exists(), name
    for link in await steps.get_by_role("link").all():
        target = await link.get_attribute("href") or ""
        assert (await page.request.get(urljoin(page.url, target))).ok
