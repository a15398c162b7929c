"""
`directory.py`: nodes ask each other who is connected.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest

from keystay_protocol.codec import pack
from keystay_server.delivery.bindings import Peer
from keystay_server.delivery.hub import Hub
from keystay_server.delivery.outbox import Outbox
from keystay_server.node import directory
from keystay_server.node.directory import MAX_HOLDERS, REQUEST, ConnectionDirectory, Holder
from keystay_server.sessions.policy import Rules
from keystay_server.sessions.service import SessionRequest, Sessions
from keystay_server.stores import open_store
from keystay_server.stores.base import Store
from keystay_server.stores.events import Emitted, StoredEvent
from keystay_server.stores.records import NewSession
from keystay_server.stores.retention import Retention
from keystay_server.stores.sqlite.clock import unix_ms
from tests.support.server.wire import Wire, outbox_of
from tests.support.valkey import Valkey, running_valkey


@dataclass(frozen=True, slots=True)
class Place:
    """A node, as far as the directory is concerned."""

    id: str
    store: Store
    hub: Hub
    sessions: Sessions
    directory: ConnectionDirectory

    async def hold(self, actor_id: str, address: str) -> str:
        """Have a connection from the address log in; return the session's id."""
        peer = Peer(outbox_of(Wire(), 1 << 20), address)
        self.hub.enter(peer)
        key, new = self.sessions.prepare(SessionRequest(actor_id))
        await self.hub.bind(peer, key, creating(self.sessions, new))
        return new.id

    async def leave_word(self) -> None:
        """Say that this node lives."""
        await self.store.report("nodes", self.id, b"", 60_000)


def creating(sessions: Sessions, new: NewSession) -> Callable[[], Awaitable[StoredEvent]]:
    """An opening that creates the session."""

    async def created() -> StoredEvent:
        return (await sessions.create_prepared(new))[-1]

    return created


@asynccontextmanager
async def standing(url: str, id_: str) -> AsyncIterator[Place]:
    """Run such a node."""
    store = open_store(url, Retention())
    hub = Hub(store, bytes)
    place = Place(
        id_, store, hub, Sessions(store, Rules(60)), ConnectionDirectory(store, hub, id_)
    )
    await store.start(hub)
    hub.start()
    place.directory.start()
    try:
        yield place
    finally:
        await place.directory.stop()
        await hub.stop()
        await store.stop()


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture
async def alone() -> AsyncIterator[Place]:
    """A node with a store of its own."""
    async with standing("memory://", "one") as place:
        yield place


async def test_connections_on_all_nodes_are_found(valkey: Valkey) -> None:
    """Whichever node is asked, it knows of all, and of the asked actor's alone."""
    async with AsyncExitStack() as stack:
        places = [
            await stack.enter_async_context(standing(valkey.url("all"), id_))
            for id_ in ("one", "two", "three")
        ]
        for place in places:
            await place.leave_word()
        one, two, _ = places
        before = unix_ms()
        ids = [
            await one.hold("alice", "10.0.0.1"),
            await two.hold("alice", "10.0.0.2"),
            await two.hold("alice", "10.0.0.3"),
        ]
        await two.hold("bob", "10.0.0.4")
        for place in places:
            found = await place.directory.holders("alice")
            assert found == [
                Holder("one", ids[0], "10.0.0.1", bound_at(one, ids[0])),
                Holder("two", ids[1], "10.0.0.2", bound_at(two, ids[1])),
                Holder("two", ids[2], "10.0.0.3", bound_at(two, ids[2])),
            ], "the oldest first, then by node"
            assert before <= found[0].since <= found[-1].since <= unix_ms()
            assert await place.directory.holders("nobody") == []


async def test_actors_on_all_nodes_are_found_by_how_their_ids_begin(valkey: Valkey) -> None:
    """Those with connections, each once and in order, at most fifty."""
    async with (
        standing(valkey.url("prefix"), "one") as one,
        standing(valkey.url("prefix"), "two") as two,
    ):
        for place in (one, two):
            await place.leave_word()
            await place.hold("player:1", "10.0.0.1")
        await one.hold("player:3", "10.0.0.2")
        await two.hold("player:2", "10.0.0.3")
        await two.hold("Player:9", "10.0.0.4")
        assert await one.directory.actors("player:") == ["player:1", "player:2", "player:3"]
        assert await two.directory.actors("player:3") == ["player:3"]
        assert await two.directory.actors("nobody") == []
        for number in range(60):
            await one.hold(f"many:{number:02}", "10.0.0.5")
        assert await two.directory.actors("many") == [f"many:{n:02}" for n in range(50)]


def bound_at(place: Place, session_id: str) -> int:
    """When a connection of the node was bound to the session."""
    [binding] = [one for one in place.hub.bindings() if one.session_id == session_id]
    return binding.bound_at


async def test_nobody_waits_for_a_node_that_is_gone(valkey: Valkey) -> None:
    """What the others answer is told after 0.3 s."""
    async with standing(valkey.url("gone"), "one") as one:
        await one.leave_word()
        await one.store.report("nodes", "gone", b"", 60_000)
        await one.hold("alice", "10.0.0.1")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        found = await one.directory.holders("alice")
        assert [holder.address for holder in found] == ["10.0.0.1"]
        assert directory.WAIT_S <= loop.time() - begun < 3 * directory.WAIT_S


async def test_who_answers_is_not_waited_for(alone: Place) -> None:
    """Once every node has answered, so is the question."""
    await alone.leave_word()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await alone.directory.holders("alice")
    assert loop.time() - begun < directory.WAIT_S / 2


async def test_at_most_200_are_told(alone: Place) -> None:
    """Those of longest standing."""
    await alone.leave_word()
    first = await alone.hold("alice", "::1")
    for _ in range(MAX_HOLDERS):
        await alone.hold("alice", "::1")
    found = await alone.directory.holders("alice")
    assert len(found) == MAX_HOLDERS
    assert first in [holder.session_id for holder in found]


async def test_a_connection_that_restores_anew_has_been_there_all_the_time(
    alone: Place,
) -> None:
    """`since` is when the connection was bound to the session first."""
    await alone.leave_word()
    peer = Peer(outbox_of(Wire(), 1 << 20))
    key, new = alone.sessions.prepare(SessionRequest("alice"))
    await alone.hub.bind(peer, key, creating(alone.sessions, new))
    [before] = await alone.directory.holders("alice")
    for _ in range(3):
        await alone.hub.bind(peer, key, partial(alone.sessions.restore, key))
    assert await alone.directory.holders("alice") == [before]
    alone.hub.leave(peer)
    assert await alone.directory.holders("alice") == []


async def test_what_nodes_say_to_each_other_reaches_no_client(alone: Place) -> None:
    """Not even to one that is subscribed to everything, nor what only newer nodes say."""
    wire = Wire()
    peer = Peer(Outbox(wire, wire))
    peer.paths = ("",)
    alone.hub.enter(peer)
    await alone.directory.holders("alice")
    for name in (REQUEST, "server.news"):
        question = pack({"id": "x", "actorId": "alice"})
        await alone.store.broadcast(Emitted(None, name, question))
    assert wire.events() == []
    await alone.store.broadcast(Emitted(None, "news", pack(1)))
    assert [event[0] for event in wire.events()] == ["news"]
