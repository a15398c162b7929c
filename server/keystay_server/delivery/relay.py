"""
Delivers events to the bindings of this node, each actor's in the order of the store.

An event that does not follow the newest one of its stream is not delivered before the
events in between were read from the store's history, whether it was announced or is the
result of a command of this node. A binding has a position, so an event that is read
twice is delivered once.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from keystay_protocol.codec import encode
from keystay_protocol.errors import NoSession, SessionEnded
from keystay_protocol.events import SESSION_SET, SESSION_UNSET, is_subscribed
from keystay_protocol.frames import Event
from keystay_server.delivery.bindings import Binding, Peer, Stream
from keystay_server.delivery.gaps import Gaps
from keystay_server.delivery.payloads import data_of, is_about, name_of
from keystay_server.stores.base import Store
from keystay_server.stores.events import SessionSet, SessionUnset, StoredEvent, moment_of
from keystay_server.stores.records import digest_of
from keystay_server.telemetry.counts import Counts


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """The state of a session in the store, as an event that has no cursor."""

    name: str
    data: dict[str, Any]


class Relay:
    """
    The streams of this node, and the way of events from them to connections.

    Args:
        frame: Makes the bytes of a message into what an outbox sends: an event is
            encoded once, however many connections get it.
    """

    def __init__(self, store: Store, frame: Callable[[bytes], bytes], counts: Counts) -> None:
        self.streams: dict[str, Stream] = {}
        self.gaps = Gaps(self._repair)
        self._store = store
        self._frame = frame
        self._counts = counts

    def attach(self, actor_id: str) -> Stream:
        """Begin to accept the actor's events: none is missed from here on."""
        stream = self.streams.get(actor_id)
        if stream is None:
            stream = self.streams[actor_id] = Stream(actor_id)
        stream.attach()
        return stream

    def detach(self, stream: Stream) -> None:
        """End an `attach`: its connection is bound, or will not be."""
        stream.detach()
        self._forget_idle(stream)

    def unbind(self, peer: Peer) -> None:
        """Deliver nothing to the connection any more."""
        binding = peer.binding
        if binding is not None:
            peer.remember(binding)
            peer.binding = None
            binding.stream.remove(binding)
            self._counts.bound_now -= 1
            self._forget_idle(binding.stream)

    def accept(self, stream: Stream, event: StoredEvent) -> None:
        """Accept an event: old, new, or after a gap."""
        if stream.newest is not None and event.cursor <= stream.newest:
            return
        if stream.repaired is not None:
            stream.wanted = max(stream.wanted, event.cursor)
        elif not stream.follows(event):
            self.gaps.request_repair(stream, event.cursor)
        else:
            self._fan_out(stream, event)

    async def until_at(self, stream: Stream, cursor: int) -> None:
        """Wait until the stream has delivered all events up to the cursor."""
        while not stream.is_idle and stream.newest is not None and stream.newest < cursor:
            repaired = stream.repaired or self.gaps.request_repair(stream, cursor)
            # Shielded: others wait for the same gap.
            await asyncio.shield(repaired)

    def request_repair(self, stream: Stream) -> "asyncio.Future[None]":
        """Read what the stream may have missed after its newest event."""
        return self.gaps.request_repair(stream, stream.newest or 0)

    def advance(self, binding: Binding, events: Iterable[StoredEvent]) -> None:
        """Deliver those of the events that concern the binding's session."""
        for event in events:
            if is_about(event.change, binding.session_id):
                self._deliver(binding, event, {})

    def catch_up(self, binding: Binding, position: int) -> None:
        """Deliver the events after a position, from the ring or from the history."""
        stream = binding.stream
        events = stream.after(position)
        if events is not None:
            self.advance(binding, events)
        else:
            newest = stream.newest or position
            stream.move_to(position)
            self.gaps.request_repair(stream, newest)

    def send(self, peer: Peer, name: str, data: Any, cursor: int | None = None) -> None:
        """Send an event to one connection, if it is subscribed to it."""
        if is_subscribed(peer.paths, name):
            peer.outbox.send(self.encode(name, data, cursor))
            self._counts.events += 1

    def send_status(self, binding: Binding, status: SessionStatus) -> None:
        """Send a connection the state of its session, if it is still bound to it."""
        if binding.is_bound:
            self.send(binding.peer, status.name, status.data)
            if status.name == SESSION_UNSET:
                self.unbind(binding.peer)

    def encode(self, name: str, data: Any, cursor: int | None) -> bytes:
        """Return what an outbox sends for an event."""
        return self._frame(encode(Event(name, data, cursor)))

    def _fan_out(self, stream: Stream, event: StoredEvent) -> None:
        stream.append(event)
        self._counts.propagation.add(max(0.0, time.time() - moment_of(event.cursor) / 1000))
        frames: dict[str, bytes] = {}
        for binding in stream.concerned(event):
            if binding.peer.attaching_to is not stream:
                self._deliver(binding, event, frames)

    def _deliver(self, binding: Binding, event: StoredEvent, frames: dict[str, bytes]) -> None:
        """Deliver an event of its session to a binding; `frames` has encoded ones by key."""
        if event.cursor <= binding.position or not binding.is_bound:
            return
        binding.position = event.cursor
        name = name_of(event.change)
        if is_subscribed(binding.peer.paths, name):
            # Only `session.set` is not the same for all: it has the key of the session.
            key = binding.key if isinstance(event.change, SessionSet) else ""
            frame = frames.get(key)
            if frame is None:
                data = data_of(event.change, key)
                frame = frames[key] = self.encode(name, data, event.cursor)
            binding.peer.outbox.send(frame)
            self._counts.events += 1
        if isinstance(event.change, SessionUnset):
            self.unbind(binding.peer)

    async def _repair(self, stream: Stream) -> bool:
        """Read and deliver what was missed; return whether that was all."""
        after, wanted = stream.newest, stream.wanted
        if stream.is_idle or after is None:
            return True
        history = await self._store.history(stream.actor_id, after)
        statuses: dict[str, SessionStatus] = {}
        if not history.complete:
            # What was missed is unknown: the state of each session is sent instead.
            for binding in {each.key: each for each in stream.bindings()}.values():
                statuses[binding.key] = await session_status(binding, self._store)
        if stream.newest is None or stream.newest < after:
            return False  # A new binding needs what is older.
        for event in history.events:
            if event.cursor > stream.newest:
                self._fan_out(stream, event)
        for binding in stream.bindings():
            if binding.key in statuses:
                self.send_status(binding, statuses[binding.key])
        # Events that the store does not have will not be read from there later.
        if stream.newest < wanted:
            stream.move_to(wanted)
        return stream.newest >= stream.wanted

    def _forget_idle(self, stream: Stream) -> None:
        if stream.is_idle and self.streams.get(stream.actor_id) is stream:
            del self.streams[stream.actor_id]


async def session_status(binding: Binding, store: Store) -> SessionStatus:
    """
    Ask the store for the state of the binding's session.

    Raises:
        Unavailable: If it is out of reach.
    """
    try:
        record = await store.check(binding.stream.actor_id, digest_of(binding.key))
    except (SessionEnded, NoSession) as error:
        reason = error.code if isinstance(error, SessionEnded) else "revoked"
        return SessionStatus(SESSION_UNSET, {"reason": reason, "id": binding.session_id})
    return SessionStatus(SESSION_SET, record.to_session(binding.key).to_wire())
