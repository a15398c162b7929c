"""
From the store's announcements to the connections bound on this node.

The law of this module: a connection is sent every event of its session once,
in the order of the store, from the moment it is bound. The hub knows for each
actor the last event it relayed. An event that does not follow on it is not
relayed before what lies between has been read from the store's history, no
matter on which way the events come: from the feed, or from the answer to a
command of this node, whichever is first.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from keystay_protocol.codec import encode
from keystay_protocol.errors import NoSession, SessionEnded, Unavailable
from keystay_protocol.events import DEFAULT_PATHS, SESSION_SET, SESSION_UNSET, heard_by
from keystay_protocol.frames import Event
from keystay_server.keys import digest_of
from keystay_server.outbox import Outbox
from keystay_server.stores.base import SessionSet, SessionUnset, Store, StoredEvent

MAX_HELD = 256
"""Events of an actor that may come while a connection is being bound to it."""

HEAL_AT_ONCE = 64
HEAL_AGAIN_S = 0.5

NOTHING_RELAYED = -1

log = logging.getLogger("keystay.hub")


class Peer:
    """One connection, as the hub knows it."""

    __slots__ = ("outbox", "paths", "seat", "was_bound")

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.paths: tuple[str, ...] = DEFAULT_PATHS
        self.seat: Seat | None = None
        self.was_bound = False


class Seat:
    """
    A connection's place in the audience of its actor.

    While the connection is being bound, `held` collects what is announced;
    afterwards it is None. Events before `since` are not owed to this seat.
    """

    __slots__ = ("audience", "held", "key", "peer", "session_id", "since")

    def __init__(self, peer: Peer, audience: "Audience", key: str) -> None:
        self.peer = peer
        self.audience = audience
        self.key = key
        self.session_id = ""
        self.since = 0
        self.held: list[StoredEvent] | None = []

    def is_owed(self, event: StoredEvent) -> bool:
        """Tell whether the event concerns the session that this seat is bound to."""
        if event.cursor < self.since:
            return False
        match event.change:
            case SessionSet(record):
                return record.id == self.session_id
            case SessionUnset(session_id):
                return session_id == self.session_id


class Audience:
    """The seats of one actor on this node, and the last event that was relayed to them."""

    __slots__ = ("actor_id", "healed", "last", "seats", "wanted")

    def __init__(self, actor_id: str) -> None:
        self.actor_id = actor_id
        self.seats: list[Seat] = []
        self.last = NOTHING_RELAYED
        # While a hole is being filled: the newest event known of, and who waits for it.
        self.wanted = NOTHING_RELAYED
        self.healed: asyncio.Future[None] | None = None


class Hub:
    """
    Relays the events of the store to the bound connections of this node.

    Args:
        frame: Makes the bytes of a message into what an outbox sends, so that
            an event is turned into bytes once, however many connections hear it.
    """

    def __init__(self, store: Store, frame: Callable[[bytes], bytes]) -> None:
        self._store = store
        self._frame = frame
        self._audiences: dict[str, Audience] = {}
        self._torn: dict[Audience, None] = {}
        self._is_torn = asyncio.Event()
        self._healer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to heal what the feed may miss."""
        self._healer = asyncio.create_task(self._heal_for_ever(), name="heal audiences")

    async def stop(self) -> None:
        """Stop healing."""
        if self._healer is not None:
            self._healer.cancel()
            await asyncio.gather(self._healer, return_exceptions=True)

    async def bind(
        self,
        peer: Peer,
        actor_id: str,
        key: str,
        opening: Callable[[], Awaitable[StoredEvent]],
    ) -> StoredEvent:
        """
        Bind the connection to the session that `opening` opens or restores under the key.

        It hears of everything that happens to the session from then on; its
        first event, the `session.set` of the opening, is sent before this
        returns. If the opening fails, the connection stays bound as it was.

        Raises:
            Whatever `opening` raises.
            Unavailable: If the feed of the actor is out of reach.
        """
        # Listen before opening: nothing can then happen to the session unheard.
        seat = await self._sit_down(peer, actor_id, key)
        try:
            event = await opening()
            held = seat.held
            if held is None or len(held) > MAX_HELD:
                raise Unavailable("too much happened at once", retry_after_s=1.0)
        except BaseException:
            self._stand_up(seat)
            raise
        self._settle(seat, event, held)
        await self.relay([event])
        return event

    def unbind(self, peer: Peer) -> None:
        """Let the connection hear of no session any more."""
        if peer.seat is not None:
            self._stand_up(peer.seat)
            peer.seat = None

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
            if audience is not None and audience.last != NOTHING_RELAYED:
                self._tear(audience, audience.last)

    def _take(self, audience: Audience, event: StoredEvent) -> None:
        if event.cursor <= audience.last:
            return
        if audience.healed is not None:
            audience.wanted = max(audience.wanted, event.cursor)
        elif event.previous > audience.last != NOTHING_RELAYED:
            self._tear(audience, event.cursor)
        else:
            self._send(audience, event)

    def _send(self, audience: Audience, event: StoredEvent) -> None:
        audience.last = event.cursor
        frames: dict[str, bytes] = {}
        for seat in tuple(audience.seats):
            if seat.held is None:
                self._deliver(seat, event, frames)
            elif len(seat.held) <= MAX_HELD:
                seat.held.append(event)

    def _deliver(self, seat: Seat, event: StoredEvent, frames: dict[str, bytes]) -> None:
        """Send the event to one seat; `frames` keeps what was encoded, by key."""
        if not seat.is_owed(event):
            return
        name, data = _as_wire(event, seat.key)
        if heard_by(seat.peer.paths, name):
            frame = frames.get(seat.key)
            if frame is None:
                frame = frames[seat.key] = self._frame(encode(Event(name, data, event.cursor)))
            seat.peer.outbox.send(frame)
        if name == SESSION_UNSET:
            self.unbind(seat.peer)

    async def _sit_down(self, peer: Peer, actor_id: str, key: str) -> Seat:
        audience = self._audiences.get(actor_id)
        if audience is None:
            audience = self._audiences[actor_id] = Audience(actor_id)
        seat = Seat(peer, audience, key)
        audience.seats.append(seat)
        try:
            await self._store.watch(actor_id)
        except BaseException:
            self._stand_up(seat)
            raise
        return seat

    def _settle(self, seat: Seat, event: StoredEvent, held: list[StoredEvent]) -> None:
        """Make the seat the connection's own, and send what was held for it."""
        assert isinstance(event.change, SessionSet)
        seat.session_id = event.change.record.id
        seat.since = event.cursor
        seat.held = None
        peer = seat.peer
        before, peer.seat = peer.seat, seat
        peer.was_bound = True
        if before is not None:
            self._stand_up(before)
        for missed in held:
            # The seat before may have been bound to the same session, and heard it already.
            if (
                before is None
                or before.audience is not seat.audience
                or not before.is_owed(missed)
            ):
                self._deliver(seat, missed, {})

    def _stand_up(self, seat: Seat) -> None:
        audience = seat.audience
        audience.seats.remove(seat)
        if not audience.seats:
            del self._audiences[audience.actor_id]
            self._store.unwatch(audience.actor_id)

    def _tear(self, audience: Audience, wanted: int) -> None:
        if audience.healed is None:
            audience.healed = asyncio.get_running_loop().create_future()
        audience.wanted = max(audience.wanted, wanted)
        self._torn[audience] = None
        self._is_torn.set()

    async def _heal_for_ever(self) -> None:
        while True:
            await self._is_torn.wait()
            some = list(self._torn)[:HEAL_AT_ONCE]
            for audience in some:
                del self._torn[audience]
            if not self._torn:
                self._is_torn.clear()
            healed = await asyncio.gather(*(self._heal(audience) for audience in some))
            if not all(healed):
                await asyncio.sleep(HEAL_AGAIN_S)

    async def _heal(self, audience: Audience) -> bool:
        """Read and send what was missed; put the audience back in line if that fails."""
        try:
            is_whole = not audience.seats or await self._fill_hole(audience)
        except Unavailable:
            is_whole = False
        except Exception:
            log.exception("healing the audience of an actor failed")
            is_whole = False
        if not is_whole:
            self._tear(audience, audience.wanted)
        elif audience.healed is not None:
            audience.healed.set_result(None)
            audience.healed = None
        return is_whole

    async def _fill_hole(self, audience: Audience) -> bool:
        history = await self._store.history(audience.actor_id, audience.last)
        for event in history.events:
            if event.cursor > audience.last:
                self._send(audience, event)
        if not history.complete:
            audience.last = max(audience.last, audience.wanted)
            await self._look_again(audience)
        return audience.last >= audience.wanted

    async def _look_again(self, audience: Audience) -> None:
        """The hole is there for good: tell each seat how its session stands now."""
        for seat in [seat for seat in audience.seats if seat.held is None]:
            try:
                record = await self._store.check(audience.actor_id, digest_of(seat.key))
            except SessionEnded as ended:
                name, data = SESSION_UNSET, {"reason": ended.code, "id": seat.session_id}
            except NoSession:
                name, data = SESSION_UNSET, {"reason": "revoked", "id": seat.session_id}
            else:
                name, data = SESSION_SET, record.to_session(seat.key).to_wire()
            if seat.peer.seat is not seat:
                continue
            if heard_by(seat.peer.paths, name):
                seat.peer.outbox.send(self._frame(encode(Event(name, data, None))))
            if name == SESSION_UNSET:
                self.unbind(seat.peer)


def _as_wire(event: StoredEvent, key: str) -> tuple[str, dict[str, Any]]:
    """Name and data of the event for a connection that holds this key."""
    match event.change:
        case SessionSet(record):
            return SESSION_SET, record.to_session(key).to_wire()
        case SessionUnset(session_id, reason):
            return SESSION_UNSET, {"reason": reason, "id": session_id}
