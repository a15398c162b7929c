"""
The pages that the documentation of the JavaScript client shows, in a browser.
"""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import SOON_MS
from tests.support.browser.pages import serving_pages
from tests.support.doc_pages import blocks
from tests.support.paths import ROOT
from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]

expect.set_options(timeout=SOON_MS)

README = "client_js/README.md"
SHOWN_URL = "ws://127.0.0.1:8330"


def bundle(name: str) -> str:
    """A file that `make client-js` builds."""
    return (ROOT / "client_js/dist" / name).read_text()


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browser: Browser) -> AsyncIterator[Page]:
    """A page with a storage of its own."""
    context = await browser.new_context()
    context.set_default_timeout(SOON_MS)
    yield await context.new_page()
    await context.close()


def errors_of(tab: Page) -> list[str]:
    """What the page does not catch from now on."""
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    return errors


def said_by(tab: Page) -> list[str]:
    """What the page writes on the console from now on."""
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    return said


async def logs_in_and_out(tab: Page, origin: str) -> None:
    """Go through what the README's page can do, with a second tab."""
    await tab.goto(origin)
    await expect(tab.get_by_text("Nobody is logged in.")).to_be_visible()
    await tab.get_by_role("button", name="Log in").click()
    who = tab.get_by_text("This is ")
    actor = await who.inner_text()
    await tab.reload()
    await expect(who).to_have_text(actor)
    other = await tab.context.new_page()
    await other.goto(origin)
    await expect(other.get_by_text(actor)).to_be_visible()
    await tab.get_by_role("button", name="Log out").click()
    for page in (tab, other):
        await expect(page.get_by_text("Logged out: loggedOut.")).to_be_visible()
    await tab.reload()
    await expect(tab.get_by_text("Nobody is logged in.")).to_be_visible()


async def test_the_page_of_the_readme(tab: Page, server: ServerProcess) -> None:
    """It logs in, still is when it is loaded again and in a second tab, and logs both out."""
    [page] = blocks(README, "html")
    files = {
        "/index.html": page.replace(SHOWN_URL, server.url),
        "/keystay.min.js": bundle("keystay.min.js"),
    }
    with serving_pages(files) as origin:
        errors = errors_of(tab)
        await logs_in_and_out(tab, origin)
        assert errors == []


async def test_the_page_under_a_strict_policy(tab: Page, server: ServerProcess) -> None:
    """The client needs its file and the server's address of a content security policy."""
    [page] = blocks(README, "html")
    pattern = re.compile(r'<script type="module">(.*)</script>', re.DOTALL)
    [script] = pattern.findall(page.replace(SHOWN_URL, server.url))
    files = {
        "/index.html": pattern.sub('<script type="module" src="app.js"></script>', page),
        "/app.js": script,
        "/keystay.min.js": bundle("keystay.min.js"),
    }
    policy = f"default-src 'none'; script-src 'self'; connect-src {server.url}"
    with serving_pages(files, {"Content-Security-Policy": policy}) as origin:
        await logs_in_and_out(tab, origin)


[EXAMPLE] = blocks("docs/guides/mage.md", "javascript")


@contextmanager
def mage_page(server: ServerProcess, *, knows_the_name: bool = True) -> Iterator[str]:
    """The page of docs/guides/mage.md with the example as its `app.js`, and an empty one."""
    [page] = blocks("docs/guides/mage.md", "html")
    # So that the test can speak to it as well.
    page = page.replace("window.require", "window.mage = mage; window.require")
    if not knows_the_name:
        page = re.sub(r"^ *window\.SESSION_KEY.*\n", "", page, flags=re.MULTILINE)
    files = {
        "/index.html": page.replace(SHOWN_URL, server.url),
        "/app.js": EXAMPLE,
        "/mage.min.js": bundle("mage.min.js"),
        "/empty.html": "<!doctype html>",
        "/favicon.ico": "",
    }
    with serving_pages(files) as origin:
        yield origin


WATCH_STORAGE = """
    window.changes = [];
    for (const name of ["setItem", "removeItem"]) {
        const change = Storage.prototype[name];
        Storage.prototype[name] = function (...args) {
            changes.push([name, ...args]);
            return change.apply(this, args);
        };
    }
"""


async def run_example(tab: Page, origin: str, key: str | None) -> list[list[str]]:
    """Store the key, run the example until it was judged; return what it stored and removed."""
    await tab.goto(f"{origin}/empty.html")
    if key is not None:
        await tab.evaluate("key => localStorage.setItem('sessionKey', key)", key)
    await tab.add_init_script(WATCH_STORAGE)
    await tab.goto(origin)
    # Answered after what the example asks, and after the session that it takes up.
    await tab.evaluate("new Promise((done) => mage.session.isValid('none', done))")
    await tab.evaluate("mage.client.now()")
    return await changes(tab)


async def changes(tab: Page) -> list[list[str]]:
    """What the page has done to its storage."""
    done: list[list[str]] = await tab.evaluate("changes")
    return done


async def session_of(backend: httpx.AsyncClient, actor_id: str) -> str:
    """Open a session; return its key."""
    key: str = (await backend.post("/v1/sessions", json={"actorId": actor_id})).json()["key"]
    return key


async def test_the_example_with_a_good_key(
    tab: Page, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """The session is taken up, and its key stored again; on the console no key can be read."""
    key = await session_of(backend, "player:7")
    errors, said = errors_of(tab), said_by(tab)
    with mage_page(server) as origin:
        assert await run_example(tab, origin, key) == [["setItem", "sessionKey", key]]
        assert await tab.evaluate("mage.session.getActorId()") == "player:7"
    assert said == [
        "[debug] Stored session key is valid player:7:kst_…",
        "[debug] Saving session key locally player:7:kst_…",
    ]
    assert errors == []


async def test_the_example_with_a_bad_key(tab: Page, server: ServerProcess) -> None:
    """The key is removed, and nobody is logged in."""
    errors, said = errors_of(tab), said_by(tab)
    with mage_page(server) as origin:
        done = await run_example(tab, origin, "player:7:kst_" + "A" * 43)
        assert done == [["removeItem", "sessionKey"]]
        assert await tab.evaluate("mage.session.getKey()") is None
    assert said == ["[debug] Stored session key is invalid player:7:kst_…"]
    assert errors == []


async def test_the_example_with_no_key(tab: Page, server: ServerProcess) -> None:
    """It is told that nothing is no key; the next session's key is stored."""
    errors, said = errors_of(tab), said_by(tab)
    with mage_page(server) as origin:
        assert await run_example(tab, origin, None) == [["removeItem", "sessionKey"]]
        assert said == ["[debug] Stored session key is invalid null"]
        key = await tab.evaluate("mage.session.login('anonymous').then(({ key }) => key)")
        assert (await changes(tab))[1:] == [["setItem", "sessionKey", key]]
    assert errors == []


async def test_the_example_without_a_name_for_the_key(
    tab: Page, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """Its handler fails and is reported; the session is there, and others hear of it."""
    key = await session_of(backend, "player:8")
    errors = errors_of(tab)
    with mage_page(server, knows_the_name=False) as origin:
        assert await run_example(tab, origin, key) == []
        await tab.evaluate(
            "mage.eventManager.on('session.set', (path, { actorId }) => (heard = actorId))"
        )
        await tab.evaluate("mage.session.restore()")
        assert await tab.evaluate("[mage.session.getKey(), heard]") == [key, "player:8"]
    assert set(errors) == {"SESSION_KEY is not defined"}


def react_page(url: str, folder: Path) -> str:
    """The React page of the documentation, bundled, for this server."""
    [hook, *_] = blocks("docs/start/react.md", "ts")
    [page] = blocks("docs/start/react.md", "tsx")
    (folder / "useKeystay.ts").write_text(hook)
    (folder / "main.tsx").write_text(page.replace(SHOWN_URL, url))
    modules = ROOT / "client_js/node_modules"
    command = [
        *(sys.executable.replace("python", "node"), modules / "esbuild/bin/esbuild"),
        *(folder / "main.tsx", "--bundle", "--jsx=automatic", "--format=esm"),
        *(f"--alias:keystay={ROOT / 'client_js/dist/index.js'}", f"--outfile={folder}/main.js"),
    ]
    environment = {**os.environ, "NODE_PATH": str(modules)}
    subprocess.run(list(map(str, command)), env=environment, check=True)
    return (folder / "main.js").read_text()


async def test_the_react_page(tab: Page, server: ServerProcess, tmp_path: Path) -> None:
    """In StrictMode: it keeps the session, and shows the logout of a second tab."""
    script = await asyncio.to_thread(react_page, server.url, tmp_path)
    html = '<!doctype html><div id="root"></div><script type="module" src="/main.js"></script>'
    with serving_pages({"/index.html": html, "/main.js": script}) as origin:
        errors = errors_of(tab)
        await tab.goto(origin)
        await tab.get_by_role("button", name="Log in").click()
        who = tab.get_by_text("This is ")
        actor = await who.inner_text()
        await tab.reload()
        await expect(who).to_have_text(actor)
        other = await tab.context.new_page()
        await other.goto(origin)
        await expect(other.get_by_text(actor)).to_be_visible()
        await expect(other.get_by_role("status")).to_be_empty()
        await other.get_by_role("button", name="Log out").click()
        await expect(tab.get_by_role("button", name="Log in")).to_be_visible()
        assert errors == []
