"""
Binds the connections of this node to sessions, and sends them the store's events.

Invariant: a bound connection is sent every event of its session once, in the order
of the store.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from keystay_protocol.errors import Unavailable
from keystay_protocol.events import SESSION_SET, SESSION_UNSET, is_subscribed
from keystay_protocol.session import split_key
from keystay_server.delivery.bindings import Binding, Peer, Stream
from keystay_server.delivery.broadcasts import Broadcasts
from keystay_server.delivery.payloads import bytes_of, data_of, name_of
from keystay_server.delivery.recovery import NOT_RECOVERED, NOTHING_SENT, recover
from keystay_server.delivery.relay import Relay, session_status
from keystay_server.stores.base import Store
from keystay_server.stores.events import Emitted, Restored, SessionSet, StoredEvent
from keystay_server.stores.records import Record
from keystay_server.telemetry.counts import Counts

SESSION_FULL_S = 30.0
"""When to try again to bind one more connection to a session: by then dead ones are gone."""

BETWEEN_NODES = "server."
"""Backends cannot send names that begin so, and nodes broadcast nothing else to clients."""


@dataclass(frozen=True, slots=True)
class Bound:
    """
    The result of a binding.

    `session` is the session as clients see it, with its key; `cursor` the
    position of the connection.
    """

    session: dict[str, Any]
    cursor: int
    is_recovered: bool


class Hub:
    """
    The connections of this node, and their bindings.

    Args:
        frame: Makes the bytes of a message into what an outbox sends.
        max_replay_bytes: The most that is replayed; if more was missed, nothing is recovered.
        counts: Where connections and events are counted.
        max_connections_per_session: How many connections may be bound to a session; 0: any
            number.
    """

    def __init__(
        self,
        store: Store,
        frame: Callable[[bytes], bytes],
        max_replay_bytes: int = 512 * 1024,
        counts: Counts | None = None,
        *,
        max_connections_per_session: int = 0,
    ) -> None:
        self._store = store
        self._max_replay_bytes = max_replay_bytes
        self._max_connections = max_connections_per_session
        self._counts = counts or Counts()
        self._peers: set[Peer] = set()
        self._relay = Relay(store, frame, self._counts)
        self._broadcasts = Broadcasts(self._counts)
        # Handlers of what nodes broadcast to each other, by name.
        self._between_nodes: dict[str, Callable[[bytes], None]] = {}

    def start(self) -> None:
        """Start to repair gaps, and to send broadcasts."""
        self._relay.gaps.start()
        self._broadcasts.start()

    async def stop(self) -> None:
        """Stop both."""
        await self._broadcasts.stop()
        await self._relay.gaps.stop()

    def enter(self, peer: Peer) -> None:
        """Add a connection: it gets broadcasts."""
        self._peers.add(peer)
        self._counts.connections += 1
        self._counts.connections_now = len(self._peers)

    def leave(self, peer: Peer) -> None:
        """Remove a connection, and unbind it."""
        self._peers.discard(peer)
        self._counts.connections_now = len(self._peers)
        self.unbind(peer)

    async def bind(
        self,
        peer: Peer,
        key: str,
        find: Callable[[], Awaitable[Restored | StoredEvent]],
        after: int | None = None,
    ) -> Bound:
        """
        Bind the connection to the session that `find` restores or creates.

        What it missed and then the `session.set` are sent before this returns; later
        events follow. If `find` fails, the connection stays bound as it was.

        Args:
            find: Returns the restored session with the newest cursor of its actor and
                what was missed, or the event by which the session was created.
            after: The cursor that the client has seen, if it named one.

        Raises:
            Unavailable: If as many connections as may be are bound to the session.
            Whatever `find` raises.
        """
        actor_id, _ = split_key(key)
        stream = peer.attaching_to = self._relay.attach(actor_id)
        # A present binding in this stream was sent all events of its session up to here.
        begun = stream.newest or 0
        try:
            opened = await find()
            self._check_number(peer, stream, _record_of(opened).id)
            if peer.binding is not None and not begun == stream.newest == opened.cursor:
                await self._finish_old(peer, stream, begun, opened.cursor)
            return self._commit(peer, stream, key, opened, after)
        except BaseException:
            self._abandon(peer, stream, begun)
            raise
        finally:
            self._relay.detach(stream)

    def unbind(self, peer: Peer) -> None:
        """Unbind the connection: it gets no events of a session."""
        self._relay.unbind(peer)

    async def verify(self, peer: Peer) -> None:
        """
        If its session has ended, send the connection what it missed, and unbind it.

        Raises:
            Unavailable: If the store is out of reach.
        """
        binding = peer.binding
        if binding is None:
            return
        status = await session_status(binding, self._store)
        if status.name == SESSION_UNSET and binding.is_bound:
            # The end and the events before it are in the history, unless it was forgotten.
            await asyncio.shield(self._relay.request_repair(binding.stream))
            self._relay.send_status(binding, status)

    def bindings(self) -> Iterator[Binding]:
        """All bindings; some may come and go while this is iterated over."""
        for stream in list(self._relay.streams.values()):
            yield from stream.bindings()

    def bindings_of(self, actor_id: str) -> list[Binding]:
        """Return the bindings of this node to sessions of the actor."""
        stream = self._relay.streams.get(actor_id)
        return [] if stream is None else list(stream.bindings())

    async def relay(self, events: list[StoredEvent]) -> None:
        """Deliver events that a command of this node caused; return when that is done."""
        newest: dict[Stream, int] = {}
        for event in events:
            stream = self._relay.streams.get(event.actor_id)
            if stream is not None:
                self._relay.accept(stream, event)
                newest[stream] = event.cursor
        for stream, cursor in newest.items():
            await self._relay.until_at(stream, cursor)

    @property
    def actors(self) -> Collection[str]:
        """The actors with connections on this node, or about to have some."""
        return self._relay.streams.keys()

    def wants(self, actor_id: str, cursor: int) -> bool:
        """Whether an event of the actor with this cursor has not been passed on yet."""
        stream = self._relay.streams.get(actor_id)
        return stream is not None and (stream.newest is None or cursor > stream.newest)

    def announced(self, event: StoredEvent) -> None:
        """Accept an event that the store announces."""
        stream = self._relay.streams.get(event.actor_id)
        if stream is not None:
            self._relay.accept(stream, event)

    def missed(self, actor_ids: Collection[str]) -> None:
        """Read the events of these actors whose announcements may have been lost."""
        for actor_id in actor_ids:
            stream = self._relay.streams.get(actor_id)
            if stream is None:
                continue
            if stream.newest is None:
                stream.maybe_incomplete = True
            else:
                self._relay.request_repair(stream)

    def on_node_broadcast(self, name: str, handler: Callable[[bytes], None]) -> None:
        """Call the handler with what nodes broadcast under this `server.` name."""
        self._between_nodes[name] = handler

    def announced_to_all(self, emitted: Emitted) -> None:
        """Send an event to every connection of this node that is subscribed to it."""
        if emitted.name.startswith(BETWEEN_NODES):
            # An unknown name is that of a newer node. It is not for clients either.
            handler = self._between_nodes.get(emitted.name)
            if handler is not None:
                handler(emitted.data)
            return
        frame = self._relay.encode(emitted.name, data_of(emitted, ""), None)
        self._broadcasts.send(emitted.name, frame, tuple(self._peers))

    def _check_number(self, peer: Peer, stream: Stream, session_id: str) -> None:
        if peer.binding is not None and peer.binding.session_id == session_id:
            return
        if 0 < self._max_connections <= stream.number_of(session_id):
            raise Unavailable(
                f"{self._max_connections} connections are bound to the session",
                retry_after_s=SESSION_FULL_S,
            )

    async def _finish_old(self, peer: Peer, stream: Stream, begun: int, cursor: int) -> None:
        """Deliver to the present binding in the stream the events up to the cursor."""
        old = peer.binding
        if old is None or old.stream is not stream:
            return
        await self._relay.until_at(stream, cursor)
        after = max(old.position, begun)
        events = stream.after(after)
        if events is None:
            events = (await self._store.history(stream.actor_id, after)).events
        self._relay.advance(old, [event for event in events if event.cursor <= cursor])

    def _commit(
        self,
        peer: Peer,
        stream: Stream,
        key: str,
        opened: Restored | StoredEvent,
        after: int | None,
    ) -> Bound:
        """Bind the connection; send what it missed, then the session."""
        record, cursor = _record_of(opened), opened.cursor
        recovery = NOT_RECOVERED
        if isinstance(opened, Restored) and opened.missed is not None:
            recovery = recover(
                record.id,
                cursor,
                opened.missed,
                peer.past_of(stream.actor_id) or NOTHING_SENT,
                lambda event: _size(peer, event),
                self._max_replay_bytes,
            )
        binding = self._rebind(peer, stream, key, record, cursor)
        if recovery.is_recovered and after is not None:
            binding.since = min(binding.since, after)
            self._relay.advance(binding, recovery.replay)
        session = record.to_session(key).to_wire()
        is_event = isinstance(opened, StoredEvent)
        self._relay.send(peer, SESSION_SET, session, cursor if is_event else None)
        binding.position = cursor
        stream.begin(cursor)
        if stream.newest != cursor:
            self._relay.catch_up(binding, cursor)
        if stream.maybe_incomplete:
            stream.maybe_incomplete = False
            self._relay.request_repair(stream)
        self._counts.recovered += recovery.is_recovered
        return Bound(session, cursor, recovery.is_recovered)

    def _rebind(
        self, peer: Peer, stream: Stream, key: str, record: Record, cursor: int
    ) -> Binding:
        peer.attaching_to, peer.has_sent = None, False
        old = peer.binding
        if old is not None and old.session_id == record.id:
            # It was sent the events of the session meanwhile.
            old.schedule_extension()
            return old
        self.unbind(peer)
        binding = Binding(peer, stream, key, record.id, record.ttl_ms / 1000)
        binding.bound_at, binding.since = time.time_ns() // 1_000_000, cursor
        stream.add(binding)
        peer.binding, peer.was_bound = binding, True
        self._counts.bound_now += 1
        return binding

    def _abandon(self, peer: Peer, stream: Stream, begun: int) -> None:
        """Keep the present binding; deliver what came meanwhile."""
        peer.attaching_to, binding = None, peer.binding
        if binding is not None and binding.stream is stream:
            self._relay.catch_up(binding, max(binding.position, begun))


def _record_of(opened: Restored | StoredEvent) -> Record:
    if isinstance(opened, Restored):
        return opened.record
    assert isinstance(opened.change, SessionSet)
    return opened.change.record


def _size(peer: Peer, event: StoredEvent) -> int:
    return bytes_of(event.change) if is_subscribed(peer.paths, name_of(event.change)) else 0
