"""
The JavaScript client in a browser: what a page hears of the network, of its user, and of the
other tabs. What it has in common with other programs is in tests/end_to_end/clients.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from keystay_protocol.codec import encode
from keystay_protocol.frames import Event
from tests.support.browser.tabs import Site, Tab, site_in
from tests.support.client_py.golden import CURSOR, KEY, bound, done, session_set
from tests.support.client_py.peer import PeerConnection, listening
from tests.support.client_py.relay import relay_to
from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]

PATHS = ["session", "n"]
# No line that is lost is looked for again by itself while a test waits.
PATIENT = {"backoffBaseMs": 10**6, "backoffCapMs": 10**6}


@pytest_asyncio.fixture(loop_scope="session")
async def site(browser: Browser) -> AsyncIterator[Site]:
    """A page in a browser that has stored nothing. What it does not catch is a failure."""
    context = await browser.new_context()
    broken: list[str] = []
    context.on("weberror", lambda error: broken.append(str(error.error)))
    with site_in(context) as running:
        yield running
        await context.close()
    assert broken == []


async def log_in(tab: Tab) -> dict[str, Any]:
    """Log in; return the session, without its key."""
    session: dict[str, Any] = await tab.run("client.session.login('anonymous')")
    return session


async def say(backend: httpx.AsyncClient, session: dict[str, Any], n: int) -> None:
    """Tell the session a number."""
    event = {"name": "n", "data": n}
    answer = await backend.post(f"/v1/sessions/{session['id']}/events", json=event)
    assert answer.status_code < 300


async def is_live(backend: httpx.AsyncClient, session: dict[str, Any]) -> bool:
    """Whether the server has the session."""
    return (await backend.get(f"/v1/sessions/{session['id']}")).status_code == 200


async def test_a_wrong_key_in_the_storage_is_told_and_forgotten(
    site: Site, server: ServerProcess
) -> None:
    """Whatever is in localStorage, the page learns that there is no session, and can log in."""
    tab = await site.tab(server.url)
    for wrong, reason in ((KEY, "noSession"), ("no key", "invalidSessionKey")):
        await tab.run("localStorage.setItem('keystay', a)", wrong)
        await tab.page.reload()
        await tab.until_heard("session.unset")
        assert await tab.heard("session.unset") == [{"reason": reason, "id": None}]
        assert await tab.run("localStorage.getItem('keystay')") is None
    await log_in(tab)
    assert await tab.run("localStorage.getItem('keystay') === client.session.getKey()")


@pytest.mark.parametrize("shares", [False, True], ids=["alone", "shared"])
async def test_a_wrong_key_in_one_place_ends_no_session(
    site: Site, server: ServerProcess, shares: bool
) -> None:
    """Neither a tab with an old key nor another script logs a tab out, reloaded or not."""
    one = await site.tab(server.url, sharedConnection=shares)
    session = await log_in(one)
    old = await site.tab(server.url, sharedConnection=shares, key=KEY)
    await old.until_heard("session.set")
    assert await old.heard("session.unset") == [{"reason": "noSession", "id": None}]
    assert await old.run("client.session.current.id") == session["id"]
    for wrong in (KEY, "no key"):
        await old.run("localStorage.setItem('keystay', a)", wrong)
        await one.until("localStorage.getItem('keystay') === client.session.getKey()")
    await one.page.reload()
    await one.until_heard("session.set")
    assert await one.run("client.session.current.id") == session["id"]
    assert await one.heard("session.unset") == []


async def test_what_was_missed_without_a_network_is_heard_in_order_and_once(
    site: Site, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """The network goes and comes back: the browser says so, and the client is back at once."""
    async with relay_to(server.url) as relay:
        # Without a network no attempt is made before the longest wait is over.
        tab = await site.tab(relay.url, paths=PATHS, backoffBaseMs=100, backoffCapMs=10**6)
        session = await log_in(tab)
        await site.context.set_offline(True)
        relay.cut()
        await tab.until_state("reconnecting")
        for n in range(5):
            await say(backend, session, n)
        relay.mend()
        await site.context.set_offline(False)
        await tab.until_heard("session.recovered")
        await say(backend, session, 5)
        await tab.until_heard("n", 6)
        assert await tab.heard("n") == [0, 1, 2, 3, 4, 5]
        assert await tab.heard("session.recovered") == [{"recovered": True}]


async def test_who_looks_at_the_page_again_does_not_wait(
    site: Site, server: ServerProcess
) -> None:
    """A page that is shown again connects at once, however long it would have waited."""
    async with relay_to(server.url) as relay:
        tab = await site.tab(relay.url, **PATIENT)
        await log_in(tab)
        relay.cut()
        await tab.until_state("reconnecting")
        relay.mend()
        # A browser without windows shows every page all the time: the event alone is made.
        await tab.run("document.dispatchEvent(new Event('visibilitychange', {bubbles: true}))")
        await tab.until_state("open")


async def test_two_tabs_have_one_session(
    site: Site, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """A login in one logs the other in, and a logout out, though it cannot hear the server."""
    async with relay_to(server.url) as relay:
        one = await site.tab(server.url)
        other = await site.tab(relay.url, **PATIENT)
        session = await log_in(one)
        await other.until_heard("session.set")
        assert await other.run("client.session.current.id") == session["id"]
        relay.cut()
        await other.until_state("reconnecting")
        await one.run("client.session.logout()")
        await other.until_heard("session.unset")
        told = [{"reason": "loggedOut", "id": session["id"]}]
        assert await other.heard("session.unset") == await one.heard("session.unset") == told
        assert await other.run("[client.session.getKey(), localStorage.length]") == [None, 0]
        assert await other.run("client.state") == "reconnecting"


async def test_a_tab_without_a_line_logs_all_out(
    site: Site, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """The others end the session at the server, long before that tab is back."""
    async with relay_to(server.url) as relay:
        one = await site.tab(server.url)
        other = await site.tab(relay.url, **PATIENT)
        session = await log_in(one)
        await other.until_heard("session.set")
        relay.cut()
        await other.until_state("reconnecting")
        await other.run("void client.session.logout()")
        await one.until_heard("session.unset")
        await one.run("client.now()")
        assert not await is_live(backend, session)
        assert await one.heard("session.unset") == [
            {"reason": "loggedOut", "id": session["id"]}
        ]
        # Nor does a tab that is opened now find anything.
        third = await site.tab(server.url)
        await third.until_state("open")
        assert await third.run("client.session.getKey()") is None


async def test_an_emptied_storage_is_a_logout(
    site: Site, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """Whoever clears localStorage, a script or the user, is logged out in every tab."""
    one = await site.tab(server.url)
    other = await site.tab(server.url)
    session = await log_in(one)
    await other.until_heard("session.set")
    await one.run("localStorage.clear()")
    for tab in (one, other):
        await tab.until_heard("session.unset")
        told = await tab.heard("session.unset")
        assert told == [{"reason": "loggedOut", "id": session["id"]}]
        await tab.run("client.now()")
    assert not await is_live(backend, session)


async def test_a_tab_that_slept_through_it_learns_it_when_it_wakes(
    site: Site, server: ServerProcess
) -> None:
    """A frozen tab hears nothing; the moment that it runs again it is logged out."""
    one = await site.tab(server.url)
    other = await site.tab(server.url)
    await log_in(one)
    await other.until_heard("session.set")
    devtools = await site.context.new_cdp_session(other.page)
    await devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    await one.run("client.session.logout()")
    await devtools.send("Page.setWebLifecycleState", {"state": "active"})
    await other.until_heard("session.unset")
    assert len(await other.heard("session.unset")) == 1


async def test_another_tab_connects_when_the_one_that_has_the_connection_stands_still(
    site: Site, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """It gets all events, and so does the first tab when it continues, over one connection."""
    shared: dict[str, Any] = {"paths": PATHS, "sharedConnection": True}
    still = await site.tab(server.url, **shared)
    session = await log_in(still)
    other = await site.tab(server.url, **shared)
    await other.until_state("open")

    async def connected_at() -> list[int]:
        path = f"/v1/actors/{session['actorId']}/connections"
        connections = (await backend.get(path)).json()["connections"]
        return [connection["since"] for connection in connections]

    [first] = await connected_at()
    devtools = await site.context.new_cdp_session(still.page)
    # In a frozen page (`Page.setWebLifecycleState`) messages are still handled here.
    await devtools.send("Debugger.enable")
    await devtools.send("Debugger.pause")
    await say(backend, session, 0)
    assert len(await other.run("client.session.list()")) == 1
    await other.until_heard("n")
    assert len(await connected_at()) == 2
    await devtools.send("Debugger.resume")
    await devtools.send("Debugger.disable")
    async with asyncio.timeout(10):
        while first in await connected_at():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.05)
    await say(backend, session, 1)
    for tab in (still, other):
        await tab.until_heard("n", 2)
        assert await tab.heard("n") == [0, 1]
        assert await tab.run("client.now()") > 0
    assert len(await connected_at()) == 1


async def test_a_page_that_is_left_right_after_a_logout_is_logged_out(site: Site) -> None:
    """Its connection is dead, which is not known yet: the next page sends the logout again."""
    async with listening() as peer:
        tab = await site.tab(peer.url)
        await peer.accept()
        await tab.run("localStorage.setItem('keystay', a)", KEY)
        await tab.page.reload()
        line = await peer.accept()
        await line.serve_restore(KEY)
        await tab.until_state("open")
        await tab.run("void client.session.logout()")
        await line.expect("session.logout", [])
        await tab.page.reload()
        await tab.until("window.client")
        assert await tab.run("[client.session.getKey(), localStorage.length]") == [None, 0]
        line = await peer.accept()
        await line.serve_restore(KEY)
        await line.send(done(await line.expect("session.logout", [])))
        await tab.until("sessionStorage.length === 0")
        assert await tab.heard("session.set") == []


async def crash(page: Page) -> None:
    """End the process of the page."""
    devtools = await page.context.new_cdp_session(page)
    async with page.expect_event("crash"):
        crashing = asyncio.ensure_future(devtools.send("Page.crash"))
    crashing.cancel()  # It is not answered.


WAYS_TO_GO: dict[str, Callable[[Page], Awaitable[Any]]] = {
    "closed": lambda page: page.close(),
    "left": lambda page: page.goto("about:blank"),
    "loaded again": lambda page: page.reload(),
    "crashed": crash,
}


@pytest.mark.parametrize("way", WAYS_TO_GO)
async def test_tabs_share_one_connection(
    site: Site, server: ServerProcess, backend: httpx.AsyncClient, way: str
) -> None:
    """
    Three tabs have one WebSocket. However the tab goes that has it, another has one within a
    second, and the rest miss no event, hear none twice, and are answered.
    """
    shared: dict[str, Any] = {"paths": PATHS, "sharedConnection": True}
    first = await site.tab(server.url, **shared)
    session = await log_in(first)
    rest = [await site.tab(server.url, **shared) for _ in range(2)]
    for tab in rest:
        await tab.until_state("open")
    connections = f"/v1/actors/{session['actorId']}/connections"
    assert len((await backend.get(connections)).json()["connections"]) == 1

    said = 0
    is_gone = asyncio.Event()

    async def go_on() -> None:
        nonlocal said
        while not is_gone.is_set():
            await say(backend, session, said)
            said += 1
            # Of what is said while nobody hears it, the server remembers 256.
            await asyncio.sleep(0.01)

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(go_on())
        await rest[-1].until_heard("n", 20)
        since = await rest[-1].run("performance.now()")
        lists = [asyncio.ensure_future(tab.run("client.session.list()")) for tab in rest]
        await WAYS_TO_GO[way](first.page)
        for tab, listing in zip(rest, lists, strict=True):
            assert len(await listing) == 1
            await tab.run("client.now()")
        took_ms = await rest[-1].run("performance.now() - a", since)
        is_gone.set()
    # A second, on a machine that has more to do.
    assert took_ms < 3000
    for tab in rest:
        await tab.until("heard.some((e) => e[0] === 'n' && e[1] === a)", said - 1)
        assert await tab.heard("n") == list(range(said))
        assert await tab.run("client.state") == "open"
    assert len((await backend.get(connections)).json()["connections"]) == 1


ATTEMPTS = 3

WATCH_FRAMES = """{
    window.long = [];
    const note = (list) => long.push(...list.getEntries().map((entry) => entry.duration));
    new PerformanceObserver(note).observe({ type: "longtask" });
    window.gaps = [];
    let last = performance.now();
    const frame = (now) => (gaps.push(now - last), (last = now), requestAnimationFrame(frame));
    requestAnimationFrame(frame);
}"""


@pytest.mark.parametrize("size", [1, 2], ids=["alone", "shared"])
async def test_a_flood_of_events_drops_no_frame(site: Site, size: int) -> None:
    """1,000 events a second for 3 s: all are heard in order, and no task takes 50 ms."""
    async with listening() as peer:
        options: dict[str, Any] = {"key": KEY, "sharedConnection": size > 1}
        tabs = [await site.tab(peer.url, **options)]
        line = await peer.accept()
        answering = asyncio.ensure_future(answer(line))
        await tabs[0].until_state("open")
        while len(tabs) < size:
            tabs.append(await site.tab(peer.url, **options))
        for tab in tabs:
            await tab.until_state("open")
        # A machine that has more to do holds up a tab now and then, a bad client always.
        for attempt in range(ATTEMPTS):
            if await runs_smoothly(tabs, line, 3000 * attempt):
                break
        else:
            pytest.fail("frames were lost, or tasks took long, each time")
        answering.cancel()
        assert peer.has_no_more()


async def runs_smoothly(tabs: list[Tab], line: PeerConnection, first: int) -> bool:
    """Flood the tabs, which must hear all; tell whether none had a long task or lost frames."""
    for tab in tabs:
        await tab.run(WATCH_FRAMES)
    was_fast = await flood(line, range(first, first + 3000))
    for tab in tabs:
        await tab.until_heard("n", first + 3000)
        assert [data["n"] for data in await tab.heard("n")] == list(range(first + 3000))
    seen = [(await tab.run("long"), await tab.run("gaps")) for tab in tabs]
    return was_fast and all(
        long == [] and sum(gap > 25 for gap in gaps) <= len(gaps) / 20 for long, gaps in seen
    )


async def flood(line: PeerConnection, numbers: range) -> bool:
    """Send these numbers as events, ten every 10 ms; tell whether it went that fast."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for n in numbers:
        await line.send(encode(Event("n", {"n": n, "text": "x" * 100}, CURSOR + 1 + n)))
        if n % 10 == 9:
            await asyncio.sleep(max(0.0, begun + (n - numbers[0]) / 1000 - loop.time()))
    # A slower flood would prove nothing.
    return loop.time() - begun < 1.5 * len(numbers) / 1000


async def answer(line: PeerConnection) -> None:
    """Answer as a server does."""
    while True:
        command = await line.command()
        if command.method == "session.restore":
            await line.send(session_set(), bound(command.id))
        else:
            await line.send(done(command.id, ["session"]))
