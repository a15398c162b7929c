"""
The programs of "Getting started" do what their pages say.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

import keystay
from tests.support.browser.pages import serving_pages
from tests.support.chromium import browsing
from tests.support.doc_pages import SOON_S, blocks
from tests.support.paths import ROOT
from tests.support.server_process import ServerProcess, serving
from tests.support.valkey import free_port

API_KEY = "test-api-key"
CLIENT = ROOT / "client_js/dist/keystay.min.js"


@asynccontextmanager
async def program(folder: Path, code: str, *words: str, **env: str) -> AsyncIterator[Process]:
    """A program that a page shows, running in this folder."""
    (folder / "program.py").write_text(code)
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "program.py", *words),
        cwd=folder,
        stdout=PIPE,
        env={**os.environ, **env},
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def line_of(running: Process) -> str:
    """The next line that it prints."""
    assert running.stdout is not None
    async with asyncio.timeout(SOON_S):
        return (await running.stdout.readline()).decode().strip()


def control_of(server: ServerProcess) -> keystay.Control:
    """A backend."""
    return keystay.Control(server.control, API_KEY)


async def test_a_game_client(tmp_path: Path) -> None:
    """The next run has the session, gets what it missed, and notices a login elsewhere."""
    [game] = blocks("docs/start/game-client.md", "python")
    (tmp_path / "elsewhere").mkdir()
    async with serving("--policy", "single") as server, control_of(server) as control:
        async with program(tmp_path, game, "ada", server.url) as first:
            assert await line_of(first) == "playing as player:ada"
            await control.emit_to_actor("player:ada", "bag.added", {"item": "lamp"})
            assert await line_of(first) == "you got a lamp"
            first.send_signal(signal.SIGINT)
            await first.wait()
        await control.emit_to_actor("player:ada", "bag.added", {"item": "rope"})
        async with program(tmp_path, game, "ada", server.url) as second:
            lines = {await line_of(second), await line_of(second)}
            assert lines == {"you got a rope", "playing as player:ada"}
            async with program(tmp_path / "elsewhere", game, "ada", server.url):
                assert await line_of(second) == "the game is over: replaced"
                assert await second.wait() == 0


@asynccontextmanager
async def shop(folder: Path, server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """The backend of its page, and a browser's requests to it."""
    [code] = blocks("docs/start/backend.md", "python")
    [page] = blocks("docs/start/backend.md", "html")
    (folder / "index.html").write_text(page.replace("ws://127.0.0.1:8330", server.url))
    port = free_port()
    env = {
        "KEYSTAY_API_KEY": API_KEY,
        "KEYSTAY_CONTROL": server.control,
        "PORT": str(port),
        "PYTHONUNBUFFERED": "1",
    }
    transport = httpx.AsyncHTTPTransport(retries=8)  # It starts meanwhile.
    async with (
        program(folder, code, **env),
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", transport=transport, timeout=SOON_S
        ) as requests,
    ):
        yield requests


async def test_a_backend(tmp_path: Path) -> None:
    """A right password gets a key, and its session gets what the shop does."""
    async with serving(dev=False) as server, shop(tmp_path, server) as requests:
        wrong = await requests.post("/login", json={"name": "ada", "password": ""})
        assert wrong.status_code == 401
        right = await requests.post("/login", json={"name": "ada", "password": "correct horse"})
        options = keystay.Options(paths=("session", "shop"))
        async with keystay.connect(server.url, options=options) as client:
            events = client.events("shop"), client.events("session.unset")
            session = await client.restore(right.json()["key"])
            assert (session.actor_id, session.meta) == ("user:ada", {"plan": "free"})
            async with asyncio.timeout(SOON_S):
                await requests.post("/buy/ada")
                assert (await anext(events[0])).data == {"item": "lamp"}
                assert (await requests.post("/ban/ada")).json() == {"ended": 1}
                assert (await anext(events[1])).data["reason"] == "banned"


@asynccontextmanager
async def tab(browser: Browser, url: str) -> AsyncIterator[Page]:
    """A page in a browser of its own; everything that it does not catch is an error."""
    context = await browser.new_context()
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(url)
    yield page
    await context.close()
    assert errors == []


@pytest.mark.long
async def test_the_page_of_the_backend_in_a_browser(tmp_path: Path) -> None:
    """A user logs in with a password, buys, and is banned."""
    (tmp_path / "keystay.min.js").write_text(CLIENT.read_text())
    async with browsing() as browser, serving() as server, shop(tmp_path, server) as requests:
        assert (await requests.get("/")).status_code == 200
        async with tab(browser, str(requests.base_url)) as page:
            await page.get_by_placeholder("Name").fill("ada")
            await page.get_by_placeholder("Password").fill("correct horse")
            await page.get_by_role("button", name="Log in").click()
            await expect(page.get_by_text("You are user:ada.")).to_be_visible()
            await requests.post("/buy/ada")
            await expect(page.get_by_text("You bought a lamp.")).to_be_visible()
            await requests.post("/ban/ada")
            await expect(page.get_by_text("Logged out: banned.")).to_be_visible()


@pytest.mark.long
async def test_a_web_page_in_a_browser() -> None:
    """It logs in, is logged in after a reload and in a second tab, and logs out in both."""
    [page] = blocks("docs/start/web-page.md", "html")
    async with browsing() as browser, serving() as server, control_of(server) as control:
        files = {
            "/index.html": page.replace("ws://127.0.0.1:8330", server.url),
            "/keystay.min.js": CLIENT.read_text(),
        }
        with serving_pages(files) as origin:
            async with tab(browser, origin) as first:
                await expect(first.get_by_text("Nobody is logged in.")).to_be_visible()
                await first.get_by_role("button", name="Log in").click()
                await expect(first.get_by_text("You are ")).to_be_visible()
                name = (await first.locator("#who").inner_text())[len("You are ") : -1]
                await first.reload()
                await expect(first.get_by_text(f"You are {name}.")).to_be_visible()
                second = await first.context.new_page()
                await second.goto(origin)
                await expect(second.get_by_text(f"You are {name}.")).to_be_visible()
                await control.emit_to_actor(name, "news.mail", {"unread": 3})
                await expect(second.get_by_text('{"unread":3}')).to_be_visible()
                await second.get_by_role("button", name="Log out everywhere").click()
                await expect(first.get_by_text("Logged out: loggedOut.")).to_be_visible()
