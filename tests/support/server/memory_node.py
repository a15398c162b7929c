"""
A node without sockets: everything of a server except its ports.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgpack

from keystay_protocol.codec import DEFAULT_LIMITS, Limits
from keystay_server.delivery.hub import Hub
from keystay_server.gateway.commands import COMMANDS
from keystay_server.gateway.commands.signature import Row
from keystay_server.gateway.connection import Connection, Node
from keystay_server.gateway.context import Services
from keystay_server.gateway.dispatch import Dispatcher
from keystay_server.gateway.login.anonymous import Anonymous
from keystay_server.gateway.login.authenticators import Authenticator
from keystay_server.sessions.expiry import Activity, Expiry
from keystay_server.sessions.policy import Rules
from keystay_server.sessions.service import SessionRequest, Sessions
from keystay_server.stores.base import Store
from keystay_server.stores.events import SessionSet, StoredEvent
from keystay_server.stores.records import Record
from keystay_server.stores.retention import Retention
from keystay_server.stores.sqlite import SqliteStore
from keystay_server.stores.sqlite.clock import unix_ms
from keystay_server.telemetry.counts import Counts
from tests.support.server.far_store import FarStore
from tests.support.server.wire import WAIT_S, Wire, outbox_of


class Clock:
    """The store's clock, which a test moves on."""

    def __init__(self) -> None:
        self.passed_ms = 0

    def __call__(self) -> int:
        return unix_ms() + self.passed_ms


class Client:
    """A client of the node: a connection, and the wire it is carried on."""

    def __init__(self, node: Node) -> None:
        self.wire = Wire()
        self.connection = Connection(
            node, self.wire, outbox_of(self.wire, node.max_outbox_bytes)
        )
        self._last_id = 0

    def send(self, method: str, *params: Any) -> int:
        """Send a command; return its callback id."""
        self._last_id += 1
        message = msgpack.packb([0, self._last_id, method, list(params)])
        # A callback of the loop, outside any task: as messages come from a socket.
        asyncio.get_running_loop().call_soon(self.connection.receive, message)
        return self._last_id

    async def reply(self, id_: int) -> tuple[str | None, Any]:
        """Wait for the reply to a command: error and result."""
        await self.wire.until(lambda wire: id_ in [reply[0] for reply in wire.replies()])
        (reply,) = [reply for reply in self.wire.replies() if reply[0] == id_]
        return reply[1:]

    async def call(self, method: str, *params: Any) -> tuple[str | None, Any]:
        """Send a command and wait: error and result."""
        return await self.reply(self.send(method, *params))

    async def refusal(self, method: str, *params: Any) -> str | None:
        """Send a command and wait: the error."""
        return (await self.call(method, *params))[0]

    async def login(self, actor_id: str = "alice") -> str:
        """Log in; return the key."""
        error, result = await self.call("session.login", "anonymous", {"actorId": actor_id})
        assert error is None, error
        return str(result["session"]["key"])


@dataclass(frozen=True, slots=True)
class MemoryNode:
    """
    The parts of a node, put together as a server does it, on a real store in memory.

    `elsewhere` is the same store as another node sees it, past this node's link.
    `expiry` extends and ends nothing before a test starts it.
    """

    node: Node
    store: FarStore
    hub: Hub
    sessions: Sessions
    elsewhere: Sessions
    clock: Clock
    expiry: Expiry
    clients: list[Client] = field(default_factory=list)

    def connect(self) -> Client:
        """Let a client in."""
        client = Client(self.node)
        self.clients.append(client)
        return client

    async def open_session(self, actor_id: str = "alice", **fields: Any) -> str:
        """Open a session as a backend elsewhere does; return its key."""
        key, new = self.elsewhere.prepare(SessionRequest(actor_id, **fields))
        await self.elsewhere.create_prepared(new)
        return key

    async def change(self, key: str, value: Any = None) -> StoredEvent:
        """Have a backend elsewhere change the session, and no other: its meta."""
        record = await self.elsewhere.check(key)
        meta = {"revision": record.revision + 1} if value is None else {"value": value}
        return await self.elsewhere.update(record.id, meta=meta)

    async def revoke(self, key: str) -> StoredEvent:
        """End the session as a backend elsewhere does."""
        record = await self.elsewhere.check(key)
        (ended,) = await self.elsewhere.revoke(record.id)
        return ended

    async def until_unbound(self) -> None:
        """Wait until no connection is bound or being bound, and the store is told of nobody."""
        async with asyncio.timeout(WAIT_S):
            while self.hub.actors:  # noqa: ASYNC110 - the hub tells nobody
                await asyncio.sleep(0)


@asynccontextmanager
async def running_node(
    *,
    authenticators: Mapping[str, Authenticator] | None = None,
    commands: Mapping[str, Row] = COMMANDS,
    retention: Retention | None = None,
    deadline_s: float = 5.0,
    frame: Callable[[bytes], bytes] = bytes,
    messages: Limits = DEFAULT_LIMITS,
    watched: Callable[[FarStore], Store] = lambda store: store,
    activity: Activity = Activity.CONNECTION,
    max_connections_per_session: int = 0,
    **settings: Any,
) -> AsyncIterator[MemoryNode]:
    """
    Run a node.

    Args:
        watched: Puts something around the store.
        activity: What keeps a session alive, once the expiry is started.
        settings: What the `Node` is to have beside its services.
    """
    clock = Clock()
    near = SqliteStore(":memory:", retention or Retention(), clock)
    store = FarStore(near)
    seen = watched(store)
    counts = Counts()
    limit = {"max_connections_per_session": max_connections_per_session}
    hub = Hub(seen, frame, counts=counts, **limit)
    expiry = Expiry(seen, hub, activity, counts)
    sessions = Sessions(seen, Rules(1800), expiry.extend_held)
    elsewhere = Sessions(near, Rules(1800))
    services = Services(sessions, hub, authenticators or {"anonymous": Anonymous()})
    dispatcher = Dispatcher(commands, deadline_s=deadline_s, counts=counts)
    settings = {"on_activity": expiry.on_activity, **settings}
    node = Node(services, dispatcher, frame, messages, counts=counts, **settings)
    await store.start(hub)
    hub.start()
    memory_node = MemoryNode(node, store, hub, sessions, elsewhere, clock, expiry)
    try:
        yield memory_node
    finally:
        for client in memory_node.clients:
            client.connection.lost()
        await dispatcher.drain(0)
        await expiry.stop()
        await hub.stop()
        await store.stop()


def record_of(event: StoredEvent) -> Record:
    """The session that an event tells of."""
    assert isinstance(event.change, SessionSet)
    return event.change.record
