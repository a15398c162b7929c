"""
From the store's announcements to the connections bound on this node.

The law of this module: a connection is sent every event of its session once,
in the order of the store, from the moment it is bound. The hub knows for each
actor the last event it relayed. An event that does not follow on it is not
relayed before what lies between has been read from the store's history, no
matter on which way the events come: from the feed, or from the answer to a
command of this node, whichever is first. What a connection has been sent it is
not sent again, so that in doubt the hub reads too much rather than too little.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from keystay_protocol.codec import encode
from keystay_protocol.events import SESSION_UNSET, heard_by
from keystay_protocol.frames import Event
from keystay_protocol.session import split_key
from keystay_server.audience import NOTHING_RELAYED, Audience, Peer, Seat
from keystay_server.healer import Healer
from keystay_server.owed import Standing, owed_before, standing_of
from keystay_server.stores.base import Emitted, SessionSet, SessionUnset, Store, StoredEvent
from keystay_server.telemetry.counts import Counts
from keystay_server.wording import data_of, name_of

BETWEEN_NODES = "server."
"""Backends cannot send names that begin so, and nodes broadcast nothing else to clients."""

MAX_HELD = 1024
"""
Events of an actor that are held back while a connection is being bound to it.

What comes beyond that is read from the history, as what was missed is.
"""


@dataclass(frozen=True, slots=True)
class Bound:
    """How a binding went: the opening's event, and whether all that was missed was sent."""

    event: StoredEvent
    is_recovered: bool


class Hub:
    """
    Relays the events of the store to the bound connections of this node.

    Args:
        frame: Makes the bytes of a message into what an outbox sends, so that
            an event is turned into bytes once, however many connections hear it.
        max_replay_bytes: How much is replayed at most; whoever missed more has missed it.
        counts: Where connections and events are counted.
    """

    def __init__(
        self,
        store: Store,
        frame: Callable[[bytes], bytes],
        max_replay_bytes: int = 512 * 1024,
        counts: Counts | None = None,
    ) -> None:
        self._store = store
        self._frame = frame
        self._max_replay_bytes = max_replay_bytes
        self._counts = counts or Counts()
        self._peers: set[Peer] = set()
        self._audiences: dict[str, Audience] = {}
        # What nodes say to each other on the way that events to everybody take, by name.
        self._between_nodes: dict[str, Callable[[bytes], None]] = {}
        self._healer = Healer(self._fill_hole)

    def start(self) -> None:
        """Begin to heal what the feed may miss."""
        self._healer.start()

    async def stop(self) -> None:
        """Stop healing."""
        await self._healer.stop()

    def enter(self, peer: Peer) -> None:
        """Let the connection hear what is said to all."""
        self._peers.add(peer)
        self._counts.connections += 1
        self._counts.connections_now = len(self._peers)

    def leave(self, peer: Peer) -> None:
        """Let it hear nothing any more."""
        self._peers.discard(peer)
        self._counts.connections_now = len(self._peers)
        self.unbind(peer)

    async def bind(
        self,
        peer: Peer,
        key: str,
        opening: Callable[[], Awaitable[list[StoredEvent]]],
        after: int | None = None,
    ) -> Bound:
        """
        Bind the connection to the session that `opening` opens or restores under the key.

        It hears of everything that happens to the session from then on; the
        `session.set` of the opening is sent before this returns. If the opening
        fails, the connection stays bound as it was.

        Args:
            opening: Returns the events of the opening, the `SessionSet` last.
            after: The newest cursor that the client has seen. What it missed
                since is sent first, if the history reaches back so far.

        Raises:
            Whatever `opening` raises.
            Unavailable: If the feed of the actor is out of reach.
        """
        # Listen before opening: nothing can then happen to the session unheard.
        seat = await self._sit_down(peer, key)
        try:
            events = await opening()
            event = events[-1]
            assert isinstance(event.change, SessionSet)
            record = event.change.record
            seat.session_id, seat.ttl_s = record.id, record.ttl_ms / 1000
            missed = await self._missed(seat, event, after)
            await self.relay(events)
        except BaseException:
            self._give_up(seat)
            raise
        seat.since = after or 0
        is_recovered = self._settle(seat, event, missed)
        self._counts.recovered += is_recovered
        return Bound(event, is_recovered)

    def unbind(self, peer: Peer) -> None:
        """Let the connection hear of no session any more."""
        seat, peer.seat = peer.seat, None
        if seat is not None:
            peer.left = seat
            self._stand_up(seat)
            self._counts.bound_now -= 1

    async def look_again(self, peer: Peer) -> None:
        """
        Unbind the connection, and tell it what it missed, if its session has ended unheard.

        Raises:
            Unavailable: If the store is out of reach.
        """
        seat = peer.seat
        if seat is None:
            return
        standing = await standing_of(seat, self._store)
        if standing.name == SESSION_UNSET and peer.seat is seat:
            # The end and what came before it are in the history; else this is all there is.
            await asyncio.shield(self._healer.tear(seat.audience, seat.audience.last))
            self._tell(standing)

    def bound_seats(self) -> Iterator[Seat]:
        """Each bound connection's seat; some may come and go while this is iterated over."""
        for audience in list(self._audiences.values()):
            for seat in list(audience.seats):
                if seat.is_bound:
                    yield seat

    def seats_of(self, actor_id: str) -> list[Seat]:
        """The seats of the connections that are bound here to sessions of the actor."""
        audience = self._audiences.get(actor_id)
        seats = [] if audience is None else audience.seats
        return [seat for seat in seats if seat.is_bound]

    async def relay(self, events: list[StoredEvent]) -> None:
        """Send events that a command of this node caused; return when they are on their way."""
        for event in events:
            audience = self._audiences.get(event.actor_id)
            if audience is not None:
                self._take(audience, event)
                if audience.last < event.cursor and audience.healed is not None:
                    # Shielded: others wait for the same hole to be filled.
                    await asyncio.shield(audience.healed)

    def announced(self, event: StoredEvent) -> None:
        """Take an event from the store's feed."""
        audience = self._audiences.get(event.actor_id)
        if audience is not None:
            self._take(audience, event)

    def missed(self, actor_ids: Collection[str]) -> None:
        """Look for what the feed may have lost about these actors."""
        for actor_id in actor_ids:
            audience = self._audiences.get(actor_id)
            if audience is None:
                continue
            if audience.last == NOTHING_RELAYED:
                audience.is_in_doubt = True
            else:
                self._healer.tear(audience, audience.last)

    def hear_nodes(self, name: str, listener: Callable[[bytes], None]) -> None:
        """Have the data of what nodes broadcast under this `server.` name; no client has it."""
        self._between_nodes[name] = listener

    def announced_to_all(self, emitted: Emitted) -> None:
        """Send an event to every connection of this node that hears it."""
        if emitted.name.startswith(BETWEEN_NODES):
            # One that nobody here knows is a newer node's: it is not for clients either.
            listener = self._between_nodes.get(emitted.name)
            if listener is not None:
                listener(emitted.data)
            return
        frame = self._encode(emitted.name, data_of(emitted, ""), None)
        for peer in tuple(self._peers):
            if heard_by(peer.paths, emitted.name):
                peer.outbox.send(frame)
                self._counts.events += 1

    def _take(self, audience: Audience, event: StoredEvent) -> None:
        if event.cursor <= audience.last:
            return
        if audience.healed is not None:
            audience.wanted = max(audience.wanted, event.cursor)
        elif audience.last not in (NOTHING_RELAYED, event.previous):
            self._healer.tear(audience, event.cursor)
        else:
            self._send(audience, event)

    def _send(self, audience: Audience, event: StoredEvent) -> None:
        audience.last = event.cursor
        # A cursor is the store's milliseconds x 1024, or a little more.
        self._counts.propagation.add(max(0.0, time.time() - event.cursor / 1_024_000))
        frames: dict[str, bytes] = {}
        for seat in tuple(audience.seats):
            coming = seat.peer.coming
            if coming is None or coming.audience is not audience:
                self._deliver(seat, event, frames)
            elif coming is seat and len(seat.held) < MAX_HELD:
                seat.held.append(event)

    def _deliver(self, seat: Seat, event: StoredEvent, frames: dict[str, bytes]) -> None:
        """Send the event to one seat; `frames` keeps what was encoded, by key."""
        if not seat.is_owed(event):
            return
        seat.after = event.cursor
        if heard_by(seat.peer.paths, name_of(event.change)):
            # Only a `session.set` is not the same for all: it tells the key to its holders.
            key = seat.key if isinstance(event.change, SessionSet) else ""
            frame = frames.get(key)
            if frame is None:
                data = data_of(event.change, key)
                frame = frames[key] = self._encode(name_of(event.change), data, event.cursor)
            seat.peer.outbox.send(frame)
            seat.sent = event.cursor
            self._counts.events += 1
        if isinstance(event.change, SessionUnset):
            self.unbind(seat.peer)

    def _encode(self, name: str, data: Any, cursor: int | None) -> bytes:
        return self._frame(encode(Event(name, data, cursor)))

    async def _missed(
        self, seat: Seat, opening: StoredEvent, after: int | None
    ) -> list[StoredEvent] | None:
        """What came after the cursor and before the opening; None if that is not known."""
        if after is None:
            return None
        history = await self._store.history(opening.actor_id, after)
        return owed_before(opening, history, seat, self._max_replay_bytes)

    async def _sit_down(self, peer: Peer, key: str) -> Seat:
        actor_id, _ = split_key(key)
        audience = self._audiences.get(actor_id)
        if audience is None:
            audience = self._audiences[actor_id] = Audience(actor_id)
        seat = Seat(peer, audience, key)
        audience.seats.append(seat)
        peer.coming = seat
        try:
            await self._store.watch(actor_id)
        except BaseException:
            self._give_up(seat)
            raise
        return seat

    def _settle(
        self, seat: Seat, opening: StoredEvent, missed: list[StoredEvent] | None
    ) -> bool:
        """
        Make the seat the connection's own; send what it missed, and what was held back.

        Returns whether all that it missed was sent.
        """
        peer, audience = seat.peer, seat.audience
        held = self._release(seat, opening.cursor)
        before = peer.seat
        self.unbind(peer)
        peer.seat = seat
        peer.was_bound = True
        self._counts.bound_now += 1
        is_same = before is not None and before.session_id == seat.session_id
        seat.opening = before.opening if before and is_same else opening.cursor
        is_recovered = self._replay(seat, missed or []) and missed is not None
        if not is_recovered:
            seat.since = before.since if before and is_same else opening.cursor - 1
        seat.after = opening.cursor - 1
        self._deliver(seat, opening, {})
        last = opening.cursor
        for event in held:
            if event.previous == last:
                self._deliver(seat, event, {})
                last = event.cursor
        if last < audience.last or audience.is_in_doubt:
            # The feed was not whole while the first seats were taken.
            audience.is_in_doubt = False
            self._rewind(audience, last)
        return is_recovered

    def _replay(self, seat: Seat, missed: list[StoredEvent]) -> bool:
        """
        Send what the connection missed, and return True; or send nothing of it.

        What it was sent before, be it under another session, it is not sent again.
        If it was not sent what is older than that, it would come out of order now.
        """
        left = seat.peer.left
        if left is not None and left.audience.actor_id == seat.audience.actor_id:
            seat.sent = left.sent
            if any(event.cursor <= left.sent and not left.has_had(event) for event in missed):
                return False
            is_same = left.session_id == seat.session_id
            seat.since = left.since if is_same else max(seat.since, left.sent)
        seat.after = seat.sent
        for event in missed:
            self._deliver(seat, event, {})
        return True

    def _release(self, seat: Seat, end: float = math.inf) -> list[StoredEvent]:
        """
        Hold nothing back any more. Returns what was held, in order.

        The seat that the connection has already, if it is of the same actor, is
        sent what it is owed of that, up to the cursor `end`.
        """
        peer, held = seat.peer, sorted(seat.held, key=lambda event: event.cursor)
        peer.coming = None
        for event in held:
            old = peer.seat  # Its session may end with the event before.
            if event.cursor < end and old is not None and old.audience is seat.audience:
                self._deliver(old, event, {})
        return held

    def _give_up(self, seat: Seat) -> None:
        """The binding failed: the connection stays where it is bound."""
        held = self._release(seat)
        if len(held) >= MAX_HELD:
            self._rewind(seat.audience, held[-1].cursor)
        self._stand_up(seat)

    def _stand_up(self, seat: Seat) -> None:
        audience = seat.audience
        audience.seats.remove(seat)
        if not audience.seats:
            del self._audiences[audience.actor_id]
            self._store.unwatch(audience.actor_id)

    def _rewind(self, audience: Audience, last: int) -> None:
        """Relay once more what came after `last`: for a seat that did not hear it all."""
        newest, audience.last = audience.last, last
        self._healer.tear(audience, newest)

    async def _fill_hole(self, audience: Audience) -> bool:
        """Read and send what was missed; return whether that was all."""
        if not audience.seats:
            return True
        after = audience.last
        history = await self._store.history(audience.actor_id, after)
        # Of a hole that is there for good it is told how each session stands now.
        lost = [] if history.complete else [seat for seat in audience.seats if seat.is_bound]
        standing = [await standing_of(seat, self._store) for seat in lost]
        if audience.last < after:
            return False  # A new seat was found to have a hole that begins earlier.
        for event in history.events:
            if event.cursor > audience.last:
                self._send(audience, event)
        for each in standing:
            self._tell(each)
        if not history.complete:
            audience.last = max(audience.last, audience.wanted)
        return audience.last >= audience.wanted

    def _tell(self, standing: Standing) -> None:
        peer, name = standing.seat.peer, standing.name
        if not standing.seat.is_bound:
            return
        if heard_by(peer.paths, name):
            peer.outbox.send(self._encode(name, standing.data, None))
            self._counts.events += 1
        if name == SESSION_UNSET:
            self.unbind(peer)
