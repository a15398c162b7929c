"""
The demo in a browser: what a newcomer does there, and what they see of Keystay.
"""

import asyncio
import hashlib
import json
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.conftest import API_KEY, SOON_MS
from tests.support.browser.demo import card, key_in, log_in, press, second_window, texts, told
from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]

expect.set_options(timeout=SOON_MS)


async def test_the_session_is_shown_and_its_key_is_not(page: Page, demo: ServerProcess) -> None:
    """Actor, id and countdown; of the key only the digest that the server has of it."""
    await log_in(page, demo, "Ada")
    key = await key_in(page)
    assert key.startswith("player:ada:kst_")
    digest = hashlib.sha256(key.encode()).digest()[:8].hex(" ")
    await expect(card(page)).to_contain_text(f"{digest} …")
    await expect(card(page)).to_contain_text("player:ada")
    await expect(card(page).get_by_role("timer")).to_have_text(re.compile("2:00|1:5"))
    assert "kst_" not in await page.content()
    assert await page.evaluate("localStorage.length") == 0
    [text] = await texts(page)
    assert text == "Logged in. This window holds a session"
    # It came with a restore, which is no event: it has no cursor.
    await expect(told(page).first).to_contain_text(re.compile(r"session\.set\s*$"))


async def test_a_reload_comes_back_logged_in(page: Page, demo: ServerProcess) -> None:
    """The window keeps its session; what was said meanwhile is heard."""
    await log_in(page, demo, "Rhea")
    before = await key_in(page)
    await page.reload()
    await expect(told(page)).to_have_count(1)
    assert await texts(page) == ["Back, with the same session"]
    assert await key_in(page) == before


async def test_using_the_session_at_once_does_not_extend_it(
    page: Page, demo: ServerProcess
) -> None:
    """The countdown goes on, and the window says why."""
    await log_in(page, demo, "Una")
    await expect(card(page).get_by_role("timer")).to_have_text(re.compile("1:5[0-8]"))
    await press(page, "Use it")
    await expect(told(page)).to_have_count(2)
    [_, text] = await texts(page)
    assert text.startswith("The session is good. It is extended when it is used after a third")
    await expect(card(page).get_by_role("timer")).to_have_text(re.compile("1:5[0-8]"))


async def test_two_windows_and_another_device(page: Page, demo: ServerProcess) -> None:
    """All hear what the player is told; logging out the others ends the other session alone."""
    await log_in(page, demo, "Bea")
    twin = await second_window(page, "Same session")
    device = await second_window(page, "Another device")
    await expect(twin.get_by_role("heading", level=1)).to_contain_text("the very same session")
    await expect(device.get_by_role("heading", level=1)).to_contain_text("on another device")
    assert await key_in(twin) == await key_in(page)
    sessions = page.get_by_role("list", name="Sessions of this player").get_by_role("listitem")
    await expect(sessions).to_have_count(2)
    await expect(sessions.filter(has_text="this one")).to_contain_text("2 windows")
    await press(device, "Say it")
    for window in (page, twin, device):
        await expect(told(window).first).to_contain_text("The shop is open")
        await expect(told(window).first).to_contain_text(re.compile(r"cursor \d{16}"))
    await press(page, "The others")
    await expect(card(device)).to_contain_text("This one did not ask: the server sent it.")
    await expect(sessions).to_have_count(1)
    await press(page, "This one")
    await expect(card(page)).to_contain_text("By this window.")
    await expect(card(twin)).to_contain_text("By another window.")


async def test_logging_out_all(page: Page, demo: ServerProcess) -> None:
    """Every session of the player is over, here and there."""
    await log_in(page, demo, "Kim")
    device = await second_window(page, "Another device")
    await press(device, "All")
    for window in (page, device):
        await expect(card(window).get_by_role("heading")).to_have_text("Logged out")


async def test_what_was_missed_comes_in_order_and_once(page: Page, demo: ServerProcess) -> None:
    """The line is cut, the world goes on; mended, the window hears it all, marked as missed."""
    await log_in(page, demo, "Cai")
    device = await second_window(page, "Another device")
    await press(page, "Cut the line")
    await expect(page.get_by_role("status")).to_have_text("Line cut")
    await expect(told(page).first).to_contain_text("gets nothing")
    await press(page, "Change")
    await expect(page.locator("#pile")).to_contain_text(re.compile("[4-9] waiting"))
    assert len(await texts(page)) == 2
    await press(page, "Mend the line")
    await expect(told(page).first).to_contain_text("Nothing is lost")
    heard = await texts(page)
    missed = [text for text in heard if text.endswith("missed, recovered")]
    sentences = [text.removesuffix(" missed, recovered") for text in missed]
    assert "Your name is now Grace" in sentences
    items = [text for text in sentences if text.startswith("The backend grants you")]
    assert heard[-1].startswith(f"{len(missed)} events were missed.")
    assert heard[-2] == "Back, with the same session"
    elsewhere = [text for text in await texts(device) if text in items]
    assert items == elsewhere
    assert len(items) == len(set(items)) >= 3
    cursors = re.findall(r"cursor (\d+)", " ".join(await told(page).all_text_contents()))
    assert cursors == sorted(set(cursors), reverse=True)


async def test_a_kick_says_why(page: Page, demo: ServerProcess) -> None:
    """The window is told the backend's word; a new session is one click away."""
    await log_in(page, demo, "Dora")
    await press(page, "Kick")
    heading = card(page).get_by_role("heading")
    await expect(heading).to_have_text("Kicked: banned")
    await expect(heading).to_be_focused()
    assert (await texts(page))[-1] == "Kicked: banned"
    assert await page.evaluate('sessionStorage.getItem("keystay.demo")') is None
    await expect(page.get_by_role("button", name="Say it")).to_be_disabled()
    await press(page, "Log in again as Dora")
    await expect(page.get_by_role("status")).to_have_text("Live")
    await expect(page.get_by_role("button", name="Say it")).to_be_enabled()


async def test_a_kick_while_the_line_is_cut(page: Page, demo: ServerProcess) -> None:
    """It is heard as soon as the line is mended, with its word."""
    await log_in(page, demo, "Eve")
    await press(page, "Cut the line")
    await press(page, "Kick")
    await press(page, "Mend the line")
    await expect(card(page).get_by_role("heading")).to_have_text("Kicked: banned")


async def test_an_unused_session_expires(page: Page, demo: ServerProcess) -> None:
    """The countdown reaches its end, and the window is told at once."""

    async def shorten(route: Route) -> None:
        body = json.loads(route.request.post_data or "")
        await route.continue_(post_data={**body, "ttl": 2})

    await page.route("**/demo/v1/sessions", shorten)
    await log_in(page, demo, "Finn")
    await expect(card(page).get_by_role("heading")).to_have_text("Expired")
    assert (await texts(page))[-1] == "Expired"


async def test_an_open_line_extends_where_it_does(page: Page, server: ServerProcess) -> None:
    """With `activity = "connection"` the page says so, and has no button for it."""
    await log_in(page, server, "Gil")
    await expect(card(page)).to_contain_text("The open line extends it by itself.")
    await expect(page.get_by_role("button", name="Use it")).to_have_count(0)


async def test_the_commands_that_are_shown_work(
    page: Page, demo: ServerProcess, tmp_path: Path
) -> None:
    """Each does what the button beside it does."""
    await log_in(page, demo, "O'Hara")
    (tmp_path / "keystay.key").write_text(API_KEY)
    keystay = f'keystay() {{ {sys.executable} -m keystay_server.cli "$@"; }}\n'
    commands = await page.locator(".command code").all_text_contents()
    heard = ["The shop is open", "a lantern", "Your name is now Grace", "Kicked: banned"]
    for command, words in zip(commands, heard, strict=True):
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", keystay + command, cwd=tmp_path, stdout=PIPE, stderr=PIPE
        )
        async with asyncio.timeout(20):
            _, complaint = await process.communicate()
        assert process.returncode == 0, complaint.decode()
        await expect(told(page).first).to_contain_text(words)


async def test_what_the_backend_is_refused_is_said(page: Page, demo: ServerProcess) -> None:
    """In words, at the panel that asked; the page goes on."""
    await log_in(page, demo, "Hal")
    await page.route("**/demo/v1/actors/*/events", lambda route: route.abort())
    await press(page, "Say it")
    await expect(page.locator("#backend").get_by_role("alert")).to_contain_text(
        "cannot be reached"
    )
    await page.unroute("**/demo/v1/actors/*/events")
    await press(page, "Say it")
    await expect(page.locator("#backend").get_by_role("alert")).to_have_count(0)


async def test_the_countdown_is_by_the_servers_clock(page: Page, demo: ServerProcess) -> None:
    """A machine whose clock is an hour off counts down all the same."""
    await page.add_init_script("const now = Date.now; Date.now = () => now() - 3_600_000;")
    await log_in(page, demo, "Lea")
    await expect(card(page).get_by_role("timer")).to_have_text(re.compile("2:00|1:5"))
    await expect(told(page).first.get_by_role("time")).to_have_text(re.compile("now| s ago"))


async def test_the_body_of_a_login_is_what_a_backend_sends(
    page: Page, demo: ServerProcess
) -> None:
    """The page logs in as an application does: actor, name and time to live, nothing else."""
    async with page.expect_request("**/demo/v1/sessions") as request:
        await log_in(page, demo, "Nia")
    sent = json.loads((await request.value).post_data or "")
    assert sent == {"actorId": "player:nia", "meta": {"name": "Nia"}, "ttl": 120}
