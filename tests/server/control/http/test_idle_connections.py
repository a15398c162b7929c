"""
`control/room.py`: who has a place on the control port when many want one.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio

from keystay_server.control import server as control_server
from keystay_server.feed.subscriptions import Feed
from keystay_server.sessions.policy import Rules
from keystay_server.sessions.service import SessionRequest, Sessions
from keystay_server.stores import open_store
from keystay_server.stores.retention import Retention
from tests.support.event_source import listening
from tests.support.server.in_process import API_KEY, control_over, one_key
from tests.support.stores.installation import Heard

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLACES = 8
WAIT_S = 10.0
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
FEED = b"GET /v1/feed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n\r\n"
FORM = (
    b"POST /login HTTP/1.1\r\nHost: x\r\n"
    b"Sec-Fetch-Site: same-origin\r\nContent-Length: 9\r\n\r\n"
)


class Peer:
    """A connection to the control port."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        """Send this."""
        self._writer.write(data)

    async def status(self) -> int:
        """The status of the next answer, whose body has a length."""
        async with asyncio.timeout(WAIT_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            await self._reader.readexactly(length)
        return int(head[9:12])

    async def ask_liveness(self) -> int:
        """The status of `GET /livez`."""
        self.send(LIVEZ)
        return await self.status()

    async def until(self, text: bytes) -> None:
        """Read up to this."""
        async with asyncio.timeout(WAIT_S):
            await self._reader.readuntil(text)

    async def is_closed(self) -> bool:
        """Wait until the server has closed this; nothing was sent before."""
        async with asyncio.timeout(WAIT_S):
            try:
                return await self._reader.read() == b""
            except ConnectionResetError:
                return True

    def close(self) -> None:
        """Leave."""
        self._writer.transport.abort()


class Port:
    """A control port with few places, and those who come to it."""

    def __init__(self, port: int, sessions: Sessions, peers: AsyncExitStack) -> None:
        self.sessions = sessions
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._peers = peers

    async def peer(self) -> Peer:
        """One more connection, which the server has seen."""
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self._port))
        self._peers.callback(peer.close)
        return peer

    async def peers(self, number: int, sent: bytes = b"") -> list[Peer]:
        """So many more, one after another, each of which has sent this."""
        peers = []
        for _ in range(number):
            peers.append(await self.peer())
            peers[-1].send(sent)
        return peers


@pytest_asyncio.fixture(loop_scope="session")
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Port]:
    """A control port in this process."""
    monkeypatch.setattr(control_server, "MAX_CONNECTIONS", PLACES)
    async with _served() as port:
        yield port


@asynccontextmanager
async def _served() -> AsyncIterator[Port]:
    store = open_store("memory://", Retention())
    await store.start(Heard())
    sessions, feed = Sessions(store, Rules(60)), Feed(store)
    control = control_over(store, sessions, feed, deadline_s=5, drain_s=1)
    async with AsyncExitStack() as peers:
        try:
            yield Port(await control.start("127.0.0.1", 0, one_key()), sessions, peers)
        finally:
            await feed.stop()
            await control.stop()
            await store.stop()


@pytest.mark.parametrize("sent", [b"", b"GET /", FORM], ids=["nothing", "a head", "no body"])
async def test_a_silent_connection_is_evicted_first(port: Port, sent: bytes) -> None:
    """However many have sent no whole request: one more is served, and the oldest closed."""
    silent = await port.peers(PLACES, sent)
    for oldest in silent:
        newest = await port.peer()
        assert await newest.ask_liveness() == 200
        newest.close()
        await port.peers(1, sent)
        assert await oldest.is_closed()


async def test_a_flood_of_silent_connections(port: Port) -> None:
    """Twenty times as many as there are places do not keep one request from its answer."""
    for _ in range(20):
        newest, *_ = await asyncio.gather(port.peer(), port.peers(PLACES))
        assert await (await port.peer()).ask_liveness() == 200
        newest.close()


async def test_who_has_spoken_goes_after_those_who_never_did(port: Port) -> None:
    """A connection between two requests keeps its place while others have sent none."""
    pooled = await port.peer()
    assert await pooled.ask_liveness() == 200
    await port.peers(3 * PLACES)
    assert await pooled.ask_liveness() == 200


async def test_a_connection_between_two_requests_is_evicted(port: Port) -> None:
    """Where all have spoken, the one that has been quiet for the longest is closed."""
    peers = await port.peers(PLACES)
    for peer in peers:
        assert await peer.ask_liveness() == 200
    assert await peers[0].ask_liveness() == 200
    assert await (await port.peer()).ask_liveness() == 200
    assert await peers[1].is_closed()
    assert await peers[0].ask_liveness() == 200


async def test_who_is_served_is_never_closed(port: Port) -> None:
    """A feed goes on, however many come."""
    async with listening(port.url, API_KEY) as source:
        await source.begun()
        await port.peers(3 * PLACES)
        await port.sessions.create(SessionRequest("alice"))
        assert (await source.event()).data["actorId"] == "alice"


@pytest.mark.parametrize("behind", [LIVEZ, b"GET /", FORM], ids=["all", "a head", "no body"])
async def test_what_comes_behind_a_request_costs_no_place(port: Port, behind: bytes) -> None:
    """Who is served keeps the place, whatever else they have sent meanwhile."""
    peer = await port.peer()
    peer.send(FEED + behind)
    await peer.until(b"\nid: ")
    await port.peers(3 * PLACES)
    await port.sessions.create(SessionRequest("alice"))
    await peer.until(b'"actorId":"alice"')


async def test_bytes_behind_a_response_do_not_protect_a_connection(port: Port) -> None:
    """A request without its body is none, also behind one that was answered."""
    for peer in await port.peers(PLACES, LIVEZ + FORM):
        assert await peer.status() == 200
    assert await (await port.peer()).ask_liveness() == 200


async def test_one_more_gets_503_if_all_are_served(port: Port) -> None:
    """It gets 503, and no other connection is closed."""
    async with AsyncExitStack() as stack:
        sources = [
            await stack.enter_async_context(listening(port.url, API_KEY)) for _ in range(PLACES)
        ]
        for source in sources:
            await source.begun()
        assert await (await port.peer()).ask_liveness() == 503
        await port.sessions.create(SessionRequest("alice"))
        for source in sources:
            assert (await source.event()).data["actorId"] == "alice"


async def test_the_log_has_a_line_about_it(
    port: Port, caplog: pytest.LogCaptureFixture
) -> None:
    """One a minute, with the address."""
    await port.peers(5 * PLACES)
    assert await (await port.peer()).ask_liveness() == 200
    assert [record.getMessage() for record in caplog.records] == [
        "the control port is full: closed an idle connection of 127.0.0.1"
    ]
