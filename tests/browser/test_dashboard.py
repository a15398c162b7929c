"""
The dashboard in a browser: what an operator does there, and what clients get of it.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import PHONE, SOON_MS, log_in
from tests.support.browser.readable import NAMELESS, PALE
from tests.support.raw_client import RawClient, connected
from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]

expect.set_options(timeout=SOON_MS)


async def opened(backend: httpx.AsyncClient, actor_id: str, **fields: Any) -> dict[str, Any]:
    """Open a session."""
    answer = await backend.post("/v1/sessions", json={"actorId": actor_id, **fields})
    session: dict[str, Any] = answer.json()
    return session


async def hold(client: RawClient, session: dict[str, Any], *paths: str) -> None:
    """Bind the client to the session."""
    await client.call("events.subscribe", list(paths))
    error, _ = await client.call("session.restore", session["key"])
    assert error is None
    await client.event()


async def find(page: Page, text: str) -> None:
    """Use the search field, by keyboard."""
    await page.get_by_label("Actor or session id").fill(text)
    await page.keyboard.press("Enter")


def card(page: Page, session: dict[str, Any]) -> Any:
    """The session, as the page shows it."""
    return page.get_by_role("listitem").filter(
        has=page.get_by_role("heading", name=session["id"].rpartition(".")[2])
    )


async def test_an_operator_ends_a_session(
    page: Page, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """Find an actor, end its session: its client is told, and the page shows it gone."""
    session = await opened(backend, "player:7", meta={"name": "Ada"}, version="2.4.1")
    other = await opened(backend, "player:7")
    async with connected(server.url) as client:
        await hold(client, session)
        await log_in(page, server)
        await find(page, "player:7")
        await expect(page.get_by_role("heading", level=1)).to_have_text("player:7")
        await expect(card(page, session)).to_contain_text("Ada")
        await expect(card(page, session)).to_contain_text("1 connection")
        await expect(card(page, session)).to_contain_text("127.0.0.1")
        await expect(card(page, session)).to_contain_text(re.compile(r"in (29|30) min"))
        await expect(card(page, other)).to_contain_text("not connected")
        await card(page, session).get_by_role("button", name="End session").click()
        await page.get_by_label("Reason").fill("banned")
        await page.get_by_role("button", name="End session", exact=True).click()
        event = await client.event()
        assert event[:2] == ("session.unset", {"reason": "banned", "id": session["id"]})
        await expect(card(page, session)).to_have_count(0)
        await expect(card(page, other)).to_have_count(1)
        log = page.get_by_role("list", name="Events, newest first")
        await expect(log.get_by_role("listitem").first).to_contain_text("banned")
        await expect(page.locator("#announcer")).to_contain_text("has ended: banned")


async def test_all_sessions_are_ended_and_new_ones_appear(
    page: Page, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """An actor's page is live: what others do is seen there without reloading."""
    await log_in(page, server, "/#/actors/player%3A8%2F%C3%BC")
    await expect(page.get_by_text("No live sessions")).to_be_visible()
    sessions = [await opened(backend, "player:8/ü") for _ in range(2)]
    for session in sessions:
        await expect(card(page, session)).to_be_visible()
    await backend.patch(f"/v1/sessions/{sessions[0]['id']}", json={"meta": {"clan": "Owls"}})
    await expect(card(page, sessions[0])).to_contain_text("Owls")
    await page.get_by_role("button", name="End all").click()
    await expect(page.get_by_role("dialog")).to_contain_text("End all 2 sessions?")
    await page.get_by_role("button", name="End all sessions").click()
    await expect(page.get_by_text("No live sessions")).to_be_visible()


async def test_an_operator_sends_an_event(
    page: Page, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """What is no JSON, or no name, is said in the dialog; what is sent arrives."""
    session = await opened(backend, "player:9")
    async with connected(server.url) as client:
        await hold(client, session, "shop")
        await log_in(page, server, "/#/actors/player%3A9")
        await card(page, session).get_by_role("button", name="Send an event").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Name").fill("server.draining")
        await dialog.get_by_label("Data, as JSON").fill("{oops")
        await dialog.get_by_role("button", name="Send event").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("not JSON")
        await dialog.get_by_label("Data, as JSON").fill('{"until": [1, "Zoë"]}')
        await dialog.get_by_role("button", name="Send event").click()
        await expect(dialog.get_by_role("alert")).to_contain_text("must not begin with")
        await dialog.get_by_label("Name").fill("shop.opened")
        await dialog.get_by_role("button", name="Send event").click()
        assert (await client.event())[:2] == ("shop.opened", {"until": [1, "Zoë"]})
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_wrong_key_and_the_way_in_and_out(page: Page, server: ServerProcess) -> None:
    """A wrong key is told so; after the right one the place of the link is shown; and out."""
    await page.goto(f"{server.control}/#/actors/nobody")
    await expect(page.get_by_label("API key")).to_be_focused()
    await page.get_by_label("API key").fill("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text(
        "That is not an API key of this server."
    )
    await page.get_by_label("API key").fill("the-api-key-of-the-dashboard")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("nobody")
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    assert await page.context.cookies() == []


async def test_no_script_reads_the_cookie(page: Page, server: ServerProcess) -> None:
    """It is there, and `document.cookie` does not have it; nothing else is kept."""
    await log_in(page, server)
    assert [cookie["name"] for cookie in await page.context.cookies()] == ["keystay_dashboard"]
    assert await page.evaluate("document.cookie") == ""
    assert await page.evaluate("localStorage.length + sessionStorage.length") == 0


ATTACK = """
<form method="post" action="{url}/v1/broadcast" enctype="text/plain" target="frame">
  <input name='{{"name": "evil", "data": "' value='"}}'></form><iframe name="frame"></iframe>
"""

REACH = """
async ([url, id]) => {
  const reach = (path, more) =>
    fetch(url + path, { credentials: "include", ...more }).then(() => "read", () => "refused");
  return [
    await reach(`/v1/sessions/${id}`, { method: "DELETE" }),
    await reach(`/v1/sessions/${id}`, { headers: { "X-Keystay-Csrf": "x" } }),
    await reach("/", {}),
  ];
}
"""


@asynccontextmanager
async def another_server(body: str) -> AsyncIterator[int]:
    """Serve this page on a port of its own; return the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
        writer.write(f"{head}{body}".encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_page_of_another_origin_can_do_nothing(
    page: Page, server: ServerProcess, backend: httpx.AsyncClient, host: str
) -> None:
    """Be it of the same site, where even a strict cookie is sent, or of another: refused."""
    session = await opened(backend, "victim")
    async with (
        connected(server.url) as client,
        another_server(ATTACK.format(url=server.control)) as port,
    ):
        await hold(client, session, "")
        await log_in(page, server)
        evil = await page.context.new_page()
        await evil.goto(f"http://{host}:{port}/")
        async with evil.expect_response(f"{server.control}/v1/broadcast") as form:
            await evil.evaluate("document.forms[0].submit()")
        answer = await form.value
        has_cookie = "cookie" in await answer.request.all_headers()
        assert has_cookie is (host == "127.0.0.1")
        assert answer.status == (403 if has_cookie else 401)
        reached = await evil.evaluate(REACH, [server.control, session["id"]])
        assert reached == ["refused"] * 3
        await client.call("time.now")
        assert [name for name, _, _ in client.events()] == ["session.set"]
    assert (await backend.get(f"/v1/sessions/{session['id']}")).status_code == 200


async def test_a_link_on_another_site_leads_in(page: Page, server: ServerProcess) -> None:
    """Whoever is logged in need not log in again, though the cookie is a strict one."""
    await log_in(page, server)
    target = f"{server.control}/#/actors/nobody"
    await page.route(
        "http://localhost:8999/**",
        lambda route: route.fulfill(
            body=f'<a href="{target}">there</a>', content_type="text/html"
        ),
    )
    await page.goto("http://localhost:8999/")
    await page.get_by_role("link", name="there").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("nobody")
    await page.wait_for_url(target)


async def test_the_page_goes_on_when_the_server_is_away(
    page: Page, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """It says that it cannot reach it, and takes up where it was."""
    session = await opened(backend, "player:10")
    await log_in(page, server, "/#/actors/player%3A10")
    await expect(card(page, session)).to_be_visible()
    await page.context.set_offline(True)
    await expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    await page.context.set_offline(False)
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(card(page, session)).to_be_visible()


SOUGHT = {
    "  player:7 ": "player:7",
    "cGxheWVyOjc.Vt0mQ1yXc2nP8aLk": "player:7",
    "player:7:kst_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8": "player:7",
    "__8.Vt0mQ1yXc2nP8aLk": "__8.Vt0mQ1yXc2nP8aLk",
    "": "",
}


async def test_an_actor_is_found_by_what_people_paste(
    page: Page, server: ServerProcess
) -> None:
    """An id, the id of a session; of a key, which is a secret, its actor alone is kept."""
    await page.goto(server.control)
    found = await page.evaluate(
        """async (texts) => {
          const { soughtActor } = await import("/assets/search.js");
          return texts.map(soughtActor);
        }""",
        list(SOUGHT),
    )
    assert found == list(SOUGHT.values())


async def test_the_feed_is_read_however_it_is_cut(page: Page, server: ServerProcess) -> None:
    """Server-sent events come out the same, at whatever byte the network cuts them."""
    await page.goto(server.control)
    stream = ': hi\r\nid: 6\r\n\r\nid: 7\nevent: session.set\ndata: {"a":\rdata: 1}\n\n'
    stream += "id:8\ndata:x\n\n"
    read = await page.evaluate(
        """async (stream) => {
          const { eventReader } = await import("/assets/feed.js");
          const readIn = (size) => {
            const events = [];
            const read = eventReader((event) => events.push(event), (id) => events.push(id));
            for (let at = 0; at < stream.length; at += size) read(stream.slice(at, at + size));
            return JSON.stringify(events);
          };
          return [...new Set([1, 2, 3, 5, 1000].map(readIn))].map(JSON.parse);
        }""",
        stream,
    )
    assert read == [
        [
            "6",
            "7",
            {"id": "7", "event": "session.set", "data": '{"a":\n1}'},
            "8",
            {"id": "8", "event": "message", "data": "x"},
        ]
    ]


def node(id_: str, second: int, **numbers: Any) -> dict[str, Any]:
    """What a node says of itself in `GET /v1/stats`, so many seconds after its start."""
    started = 1_800_000_000_000
    counters = ("commands", "commandsFailed", "events", "recovered", "slowClients")
    return {
        "id": id_,
        "version": "0.1.0",
        "listen": "ws://127.0.0.1:8330",
        "draining": False,
        "startedAt": started,
        "seenAt": started + second * 1000,
        **dict.fromkeys(counters, 0),
        "connections": 10,
        "bound": 8,
        "p50Ms": None,
        "p99Ms": None,
        **numbers,
    }


async def test_rates_are_made_of_counters(page: Page, server: ServerProcess) -> None:
    """By each node's own clock; not across a restart, and not from what is no news."""
    await page.goto(server.control)
    restarted = node("b", 1, commands=5) | {"startedAt": 1_800_000_002_000}
    answers = [
        [node("a", 1, commands=100), node("b", 1, commands=900)],
        [node("a", 3, commands=300, p99Ms=4.0, p50Ms=1.0), restarted | {"p99Ms": 9.0}],
        [node("a", 3, commands=300)],
    ]
    totals = await page.evaluate(
        """async (answers) => {
          const { History } = await import("/assets/stats.js");
          const history = new History();
          answers.forEach((nodes, second) => history.add({ nodes }, second * 1000));
          const kinds = ["connections", "commands", "p50", "p99"];
          return history.points.map(({ total }) => kinds.map((kind) => total[kind]));
        }""",
        answers,
    )
    assert totals == [[20, None, None, None], [20, 100, 1.0, 9.0], [10, 100, None, None]]


async def test_the_numbers_of_all_nodes_are_shown(page: Page, server: ServerProcess) -> None:
    """Totals as charts, each node in the list, and one node alone for who asks for it."""
    seconds = iter(range(1, 100))

    async def answer(route: Any) -> None:
        second = next(seconds)
        nodes = [
            node("aaaa", second, commands=second * 100, p50Ms=0.2, p99Ms=3.5),
            node("bbbb", second, commands=second * 20, connections=1500, draining=True),
        ]
        await route.fulfill(json={"node": "bbbb", "nodes": nodes})

    await page.route("**/v1/stats", answer)
    await log_in(page, server)
    await expect(page.get_by_role("status").first).to_contain_text("2 nodes")
    charts = page.get_by_role("article")
    await expect(charts.filter(has_text="Connections")).to_contain_text("1,510")
    await expect(charts.filter(has_text="Commands")).to_contain_text("120per second")
    await expect(charts.filter(has_text="latency")).to_contain_text("3.5 ms")
    row = page.get_by_role("row").filter(has_text="bbbb")
    await expect(row).to_contain_text("this one")
    await expect(row).to_contain_text("draining")
    await page.get_by_label("Charts of").select_option("aaaa")
    await expect(charts.filter(has_text="Commands")).to_contain_text("100per second")
    picture = charts.filter(has_text="Connections").get_by_role("img")
    assert "the last five minutes" in str(await picture.get_attribute("aria-label"))


async def test_the_theme_is_kept(page: Page, server: ServerProcess) -> None:
    """As the system has it, until somebody chooses; then also after coming back."""
    await page.emulate_media(color_scheme="dark")
    await log_in(page, server)

    async def ground() -> str:
        return str(await page.evaluate("getComputedStyle(document.body).backgroundColor"))

    dark = await ground()
    await page.get_by_role("button", name="Theme: as the system").click()
    light = await ground()
    assert light != dark
    await page.reload()
    assert await ground() == light
    await page.get_by_role("button", name="Theme: light").click()
    assert await ground() == dark


PLACES = ["/", "/#/actors/player%3A11", "/#/actors/nobody"]


async def test_a_phone_is_wide_enough(
    page: Page, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """Nothing is wider than the 360 pixels there are, whatever is in it."""
    await opened(backend, "player:11", meta={"x" * 60: "y" * 300})
    await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    await page.goto(server.control)
    assert await page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    await log_in(page, server)
    for place in PLACES:
        await page.goto(server.control + place)
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") == PHONE[0]


async def test_everything_has_a_name_and_can_be_read(
    page: Page, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """Every control has a name, there is one heading 1, and contrast is AA in both themes."""
    await opened(backend, "player:11", meta={"name": "Ada"})
    await page.goto(server.control)
    assert await page.evaluate(NAMELESS) == []
    assert await page.evaluate(PALE) == []
    await log_in(page, server)
    for place in PLACES:
        await page.goto(server.control + place)
        for role in ("banner", "search", "main"):
            await expect(page.get_by_role(role)).to_have_count(1)
        await expect(page.get_by_role("heading", level=1)).to_have_count(1)
        await expect(page.get_by_role("status").first).not_to_have_text("Connecting")
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            assert await page.evaluate(NAMELESS) == []
            assert await page.evaluate(PALE) == []


async def test_the_keyboard_reaches_everything(
    page: Page, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """Tab by tab to every button; Escape closes a dialog, and one is back where one was."""
    session = await opened(backend, "player:12")
    await log_in(page, server, "/#/actors/player%3A12")
    end = card(page, session).get_by_role("button", name="End session")
    await expect(end).to_be_visible()
    await page.evaluate("document.getElementById('skip').focus()")
    reached = ["Skip to the content"]
    focused = "(document.activeElement.ariaLabel || document.activeElement.textContent).trim()"
    for _ in range(20):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate(focused))
        if await end.evaluate("(button) => button === document.activeElement"):
            break
    name = session["id"].rpartition(".")[2]
    wanted = [
        *("Skip to the content", "Keystay", "Find", "Theme: as the system", "Log out"),
        *("Overview", "Send event…", "End all…"),
        *(f"Copy the id of session {name}", f"Send an event to session {name}"),
        f"End session {name}",
    ]
    assert [each for each in reached if each in wanted] == wanted
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Reason")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(end).to_be_focused()
    assert (await backend.get(f"/v1/sessions/{session['id']}")).status_code == 200


async def test_hundreds_of_sessions_are_all_reachable(
    page: Page, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """A page shows the oldest hundred, and more on demand; a new one appears by itself."""
    sessions = [await opened(backend, "crowd") for _ in range(230)]
    await log_in(page, server, "/#/actors/crowd")
    cards = page.get_by_role("list", name="Live sessions").get_by_role("heading")
    await expect(cards).to_have_count(100)
    new = await opened(backend, "crowd")
    await expect(card(page, new)).to_be_visible()
    await page.get_by_role("button", name="Show 100 more").click()
    await expect(cards).to_have_count(201)
    await page.get_by_role("button", name="Show 100 more").click()
    await expect(cards).to_have_count(231)
    await expect(card(page, sessions[-1])).to_be_visible()
    await expect(page.get_by_role("button", name="Show 100 more")).to_be_hidden()


async def test_a_session_is_found_by_its_id(
    page: Page, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """Wherever it is among hundreds: it is the first card, and has the focus."""
    sessions = [await opened(backend, "haystack") for _ in range(120)]
    await log_in(page, server)
    await find(page, sessions[-1]["id"])
    heading = page.get_by_role("list", name="Live sessions").get_by_role("heading").first
    await expect(heading).to_have_text(sessions[-1]["id"].rpartition(".")[2])
    await expect(heading).to_be_focused()


async def test_an_operator_changes_meta(
    page: Page, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """What is not JSON is refused beside the field; what is arrives at the client."""
    session = await opened(backend, "player:11", meta={"role": "guest"})
    async with connected(server.url) as client:
        await hold(client, session)
        await log_in(page, server, "/#/actors/player%3A11")
        await card(page, session).get_by_role("button", name="Change the meta").click()
        field = page.get_by_role("dialog").get_by_label("Meta, as JSON")
        await expect(field).to_have_value(re.compile("guest"))
        await field.fill("{")
        await page.get_by_role("dialog").get_by_role("button", name="Change meta").click()
        await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text(
            "not JSON"
        )
        await expect(field).to_be_focused()
        await field.fill('{"role": "captain"}')
        await page.get_by_role("dialog").get_by_role("button", name="Change meta").click()
        name, data, _ = await client.event()
        assert (name, data["meta"]) == ("session.set", {"role": "captain"})
        await expect(card(page, session)).to_contain_text("captain")


async def test_the_overview_shows_what_happens_and_broadcasts(
    page: Page, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """Sessions of all actors appear as they come and go; an event goes to everybody."""
    await log_in(page, server)
    activity = page.get_by_role("region", name="Activity")
    await expect(page.locator("#activity-state")).to_have_text("live")
    session = await opened(backend, "player:12")
    first = activity.get_by_role("listitem").first
    await expect(first).to_contain_text("player:12")
    await expect(first).to_contain_text("created")
    async with connected(server.url) as client:
        await hold(client, session, "news")
        await page.get_by_role("button", name="Broadcast").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Name").fill("news.flash")
        await dialog.get_by_role("button", name="Send event").click()
        assert (await client.event())[0] == "news.flash"
    # No more in the first entry: that is the broadcast.
    await activity.get_by_role("link", name="player:12").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("player:12")
    await card(page, session).get_by_role("button", name="Send an event").click()
    await expect(page.get_by_role("dialog").get_by_label("Name")).to_have_value("")


async def test_an_actors_past_is_shown_and_actors_are_suggested(
    page: Page, server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """What happened before the page was opened, who ended it, and ids as they are typed."""
    session = await opened(backend, "player:past")
    await backend.post("/v1/actors/player:past/events", json={"name": "chat.said"})
    await backend.delete(f"/v1/sessions/{session['id']}?reason=banned")
    async with connected(server.url) as client:
        await client.login("player:present")
        await log_in(page, server)
        await page.get_by_label("Actor or session id").press_sequentially("player:")
        await expect(page.locator("#actors option")).to_have_count(1)
        await expect(page.locator("#actors option")).to_have_attribute(
            "value", "player:present"
        )
    await page.get_by_label("Actor or session id").fill("player:past")
    await page.get_by_role("button", name="Find").click()
    events = page.get_by_role("region", name="Events").get_by_role("listitem")
    await expect(events).to_have_count(3)
    await expect(events.nth(0)).to_contain_text("banned, by a backend")
    await expect(events.nth(1)).to_contain_text("chat.said")
