"""
The feed as backends listen to it.
"""

import asyncio
import hashlib
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from keystay_server.control.auth.key_ring import ApiKey, KeyRing
from keystay_server.control.auth.rights import Right
from keystay_server.control.endpoints import feed as control_feed
from keystay_server.feed.subscriptions import Feed
from keystay_server.sessions.policy import Rules
from keystay_server.sessions.service import SessionRequest, Sessions
from keystay_server.stores import open_store
from keystay_server.stores.retention import Retention
from keystay_server.telemetry.counts import Counts
from tests.server.control.conftest import API_KEY
from tests.support.backend import backend_of
from tests.support.event_source import EVENT_S, EventSource, listening
from tests.support.server.in_process import control_over, one_key
from tests.support.server_process import ServerProcess, serving
from tests.support.stores.installation import Heard

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def heard(server: ServerProcess, **options: str) -> AsyncIterator[EventSource]:
    """Listen to the server of these tests."""
    async with listening(server.control, API_KEY, **options) as source:
        assert source.response.status_code == 200
        await source.begun()
        yield source


async def opened(backend: httpx.AsyncClient, actor_id: str) -> str:
    """Open a session; return its id."""
    answer = await backend.post("/v1/sessions", json={"actorId": actor_id})
    return str(answer.json()["id"])


async def test_a_backend_hears_of_every_session(
    server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """Of its opening, with the session, and of its end, with the reason."""
    async with heard(server) as source:
        assert source.response.headers["content-type"].startswith("text/event-stream")
        assert source.response.headers["cache-control"] == "no-store"
        id_ = await opened(backend, "feed:1")
        await backend.delete(f"/v1/sessions/{id_}", params={"reason": "banned"})
        begun, ended = await source.events(2)
    assert (begun.name, ended.name) == ("session.set", "session.unset")
    assert begun.data["session"]["id"] == id_
    assert "key" not in begun.data["session"]
    assert set(ended.data) == {"actorId", "cursor", "at", "id", "reason"}
    assert (ended.data["id"], ended.data["reason"]) == (id_, "banned")


async def test_it_goes_on_from_the_last_event_id(
    server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """Also from the one that a stream begins with, before any event."""
    async with heard(server) as source:
        begun = source.last_id
    ids = [await opened(backend, "feed:2") for _ in range(3)]
    async with heard(server, last_id=begun) as source:
        some = await source.events(3)
        assert [event.data["session"]["id"] for event in some] == ids
    async with heard(server, last_id=some[0].id) as source:
        rest = await source.events(2)
        assert [event.data["session"]["id"] for event in rest] == ids[1:]


async def test_it_is_about_the_actors_that_are_named(
    server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """Up to a hundred of them, in the query."""
    named = ["feed:3", "feed:/?&", *(f"nobody:{number}" for number in range(98))]
    async with listening(server.control, API_KEY, actor=named) as source:
        await source.begun()
        for actor_id in ("feed:4", "feed:/?&", "feed:4", "feed:3"):
            await opened(backend, actor_id)
        actors = [event.data["actorId"] for event in await source.events(2)]
    assert actors == ["feed:/?&", "feed:3"]


async def test_an_id_that_nothing_leads_back_to(
    server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """The first event is `feed.lost`."""
    await opened(backend, "feed:5")
    for last_id in ("AAAA", "kgEA", "no position!"):
        async with heard(server, last_id=last_id) as source:
            lost = await source.event()
            assert (lost.name, lost.data) == ("feed.lost", {})
            assert (await source.event()).name in ("session.set", "session.unset")


@pytest.mark.parametrize("query", ["?actor=", "?actor=a&since=1", "?actor=" + "x" * 129])
async def test_a_wrong_question_is_refused(backend: httpx.AsyncClient, query: str) -> None:
    """An actor that cannot be, a parameter that is none."""
    answer = await backend.get(f"/v1/feed{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalidParams")


async def test_the_feed_needs_the_api_key(stranger: httpx.AsyncClient) -> None:
    """As everything below /v1."""
    assert (await stranger.get("/v1/feed")).status_code == 401


async def test_a_quiet_stream_shows_that_it_lives(
    backend: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comment now and then, with the position: proxies keep the line, clients their place."""
    monkeypatch.setattr(control_feed, "HEARTBEAT_S", 0.05)
    async with (
        in_process() as (port, _),
        listening(f"http://127.0.0.1:{port}", "key") as source,
    ):
        await source.begun()
        waiting = asyncio.create_task(source.event())
        async with asyncio.timeout(EVENT_S):
            while source.comments < 3:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


def key_called(name: str, key: str, *rights: Right) -> ApiKey:
    """A key of the ring."""
    return ApiKey(name, hashlib.sha256(key.encode()).digest(), frozenset(rights))


@pytest.mark.parametrize(
    "then",
    [
        [],
        [key_called("shop", "another", Right.READ)],
        [key_called("shop", "key", Right.SESSIONS, Right.EVENTS)],
    ],
    ids=["removed", "exchanged", "without its scope"],
)
async def test_a_stream_ends_with_its_key(then: list[ApiKey]) -> None:
    """Before the next event; other subscribers get that event."""
    other = key_called("other", "other", Right.READ)
    ring = [key_called("shop", "key", Right.READ), other]
    keys = KeyRing(lambda: list(ring))
    async with in_process(keys=keys) as (port, sessions):
        control = f"http://127.0.0.1:{port}"
        async with listening(control, "key") as source, listening(control, "other") as rest:
            await source.begun()
            await rest.begun()
            await sessions.create(SessionRequest("before"))
            assert (await source.event()).data["actorId"] == "before"
            ring[:] = [*then, other]
            keys.reload()
            await sessions.create(SessionRequest("after"))
            with pytest.raises(EOFError):
                await source.event()
            assert source.is_complete
            assert [event.data["actorId"] for event in await rest.events(2)][1] == "after"


async def test_a_quiet_stream_ends_with_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing happens, it does with the next sign of life."""
    monkeypatch.setattr(control_feed, "HEARTBEAT_S", 0.05)
    ring = [key_called("shop", "key", Right.READ)]
    keys = KeyRing(lambda: list(ring))
    async with (
        in_process(keys=keys) as (port, _),
        listening(f"http://127.0.0.1:{port}", "key") as source,
    ):
        await source.begun()
        ring.clear()
        keys.reload()
        with pytest.raises(EOFError):
            await source.event()
        assert source.is_complete


async def test_the_stream_of_a_browser_ends_with_its_key() -> None:
    """The dashboard's cookie stands for a key: both end what they opened, and open no more."""
    ring = [key_called("shop", "key", Right.READ)]
    keys = KeyRing(lambda: list(ring))
    async with in_process(keys=keys) as (port, sessions):
        base = f"http://127.0.0.1:{port}"
        async with backend_of(base) as browser:
            await browser.post("/login", data={"key": "key"}, headers={"Origin": base})
            found = re.search(r'keystay-csrf" content="([^"]+)"', (await browser.get("/")).text)
            assert found
            headers = {"X-Keystay-Csrf": found[1]}
            async with browser.stream("GET", "/v1/feed", headers=headers) as response:
                source = EventSource(response)
                await source.begun()
                ring.clear()
                keys.reload()
                await sessions.create(SessionRequest("after"))
                with pytest.raises(EOFError):
                    await source.event()
                assert source.is_complete
            assert (await browser.get("/v1/feed", headers=headers)).status_code == 401


async def test_a_backend_that_reads_nothing_is_cut_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is disconnected and counted; others get everything meanwhile."""
    counts = Counts()
    async with in_process(slow_s=1.0, counts=counts) as (port, sessions):
        with socket.socket() as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            stuck.connect(("127.0.0.1", port))
            stuck.sendall(
                b"GET /v1/feed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n\r\n"
            )
            async with listening(f"http://127.0.0.1:{port}", "key") as source:
                await source.begun()
                meta = {"padding": "x" * 3000}
                for _ in range(40):
                    for _ in range(50):
                        await sessions.create(SessionRequest("a", meta))
                    await source.events(50)
                await until_listeners(1)
                assert (counts.feed_listeners_now, counts.feed_cut_off) == (1, 1)
            assert not (await rest_of(stuck)).endswith(b"0\r\n\r\n")
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def rest_of(stuck: socket.socket) -> bytes:
    """Whatever is still on its way; it has an end."""
    stuck.setblocking(False)
    loop, found = asyncio.get_running_loop(), b""
    async with asyncio.timeout(EVENT_S):
        with suppress(ConnectionResetError):
            while some := await loop.sock_recv(stuck, 1 << 20):
                found += some
    return found


async def until_listeners(number: int) -> None:
    """Wait until no more than so many streams are served in this process."""
    async with asyncio.timeout(EVENT_S):
        while listeners() > number:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.01)


def listeners() -> int:
    """How many streams are served in this process."""
    names = [task.get_name() for task in asyncio.all_tasks()]
    return names.count("listener of the feed")


@asynccontextmanager
async def in_process(
    slow_s: float = 5.0, counts: Counts | None = None, keys: KeyRing | None = None
) -> AsyncIterator[tuple[int, Sessions]]:
    """A control port in this process."""
    store = open_store("memory://", Retention())
    await store.start(Heard())
    sessions, feed = Sessions(store, Rules(60)), Feed(store, counts)
    control = control_over(store, sessions, feed, deadline_s=5, drain_s=1, slow_s=slow_s)
    try:
        yield await control.start("127.0.0.1", 0, keys or one_key()), sessions
    finally:
        await feed.stop()
        await control.stop()
        await store.stop()


async def test_streams_end_when_the_server_stops() -> None:
    """At once and as they should, so that a drain does not wait for them."""
    async with (
        serving(env={"KEYSTAY_API_KEY": API_KEY}) as server,
        heard(server) as source,
        # Less than `drain_timeout_s`.
        asyncio.timeout(8),
    ):
        stopping = asyncio.create_task(server.terminate())
        with pytest.raises(EOFError):
            await source.event()
        assert await stopping == 0


async def test_there_is_none_where_it_is_switched_off() -> None:
    """404, and what to do."""
    env = {"KEYSTAY_API_KEY": API_KEY, "KEYSTAY_FEED": "false"}
    async with serving(env=env) as server, listening(server.control, API_KEY) as source:
        assert source.response.status_code == 404
        await source.response.aread()
        assert "`feed`" in source.response.json()["detail"]


async def test_listeners_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more gets 503 with Retry-After."""
    monkeypatch.setattr("keystay_server.feed.subscriptions.MAX_SUBSCRIPTIONS", 1)
    async with in_process() as (port, _):
        control = f"http://127.0.0.1:{port}"
        async with listening(control, "key") as first:
            await first.begun()
            async with listening(control, "key") as second:
                assert second.response.status_code == 503
                assert second.response.headers["retry-after"] == "5"
        await until_listeners(0)
        async with listening(control, "key") as third:
            await third.begun()
