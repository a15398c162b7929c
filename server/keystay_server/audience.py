"""
Who is bound on this node: a connection, its seat, and the audience of an actor.

The hub keeps these, and changes them; a seat knows what it is owed.
"""

import asyncio

from keystay_protocol.events import DEFAULT_PATHS
from keystay_server.outbox import Outbox
from keystay_server.stores.base import Emitted, SessionSet, SessionUnset, StoredEvent

NOTHING_RELAYED = -1


class Peer:
    """
    One connection, as the hub knows it.

    `seat` is where it is bound; `coming` is where it is being bound; `left` is
    where it was bound before.
    """

    __slots__ = (
        "address",
        "coming",
        "has_spoken",
        "left",
        "outbox",
        "paths",
        "seat",
        "was_bound",
    )

    def __init__(self, outbox: Outbox, address: str = "") -> None:
        self.outbox = outbox
        self.address = address
        self.paths: tuple[str, ...] = DEFAULT_PATHS
        self.seat: Seat | None = None
        self.coming: Seat | None = None
        self.left: Seat | None = None
        self.was_bound = False
        self.has_spoken = False  # since its session was last extended


class Seat:
    """
    A connection's place in the audience of its actor.

    Events up to `after` are not owed to it: they are older than its binding, or, from
    `since` on, were dealt with; the last one that the connection heard is `sent`.
    While the connection is being bound, `held` collects what is announced. `opening`
    is the cursor with which its stay in the session began.
    """

    __slots__ = (
        "after",
        "audience",
        "held",
        "key",
        "opening",
        "peer",
        "sent",
        "session_id",
        "since",
        "touch_at",
        "ttl_s",
    )

    def __init__(self, peer: Peer, audience: "Audience", key: str) -> None:
        self.peer = peer
        self.audience = audience
        self.key = key
        self.session_id = ""
        self.opening = NOTHING_RELAYED
        self.since = NOTHING_RELAYED
        self.after = NOTHING_RELAYED
        self.sent = NOTHING_RELAYED
        self.held: list[StoredEvent] = []
        self.ttl_s = 0.0
        self.touch_at = 0.0  # by the loop's time; 0: not decided yet

    @property
    def is_bound(self) -> bool:
        """Whether the connection is bound here: not on its way, and not gone."""
        return self.peer.seat is self

    def is_owed(self, event: StoredEvent) -> bool:
        """Tell whether the event is news to this seat."""
        return event.cursor > self.after and self._concerns(event)

    def has_had(self, event: StoredEvent) -> bool:
        """Tell whether the event, of the same actor, was news to this seat once."""
        return self.since < event.cursor <= self.after and self._concerns(event)

    def _concerns(self, event: StoredEvent) -> bool:
        match event.change:
            case SessionSet(record):
                return record.id == self.session_id
            case SessionUnset(session_id):
                return session_id == self.session_id
            case Emitted(session_id):
                return session_id is None or session_id == self.session_id


class Audience:
    """The seats of one actor on this node, and the last event that was relayed to them."""

    __slots__ = ("actor_id", "healed", "is_in_doubt", "last", "seats", "wanted")

    def __init__(self, actor_id: str) -> None:
        self.actor_id = actor_id
        self.seats: list[Seat] = []
        self.last = NOTHING_RELAYED
        # While a hole is being filled: the newest event known of, and who waits for it.
        self.wanted = NOTHING_RELAYED
        self.healed: asyncio.Future[None] | None = None
        # Something may have been missed before anything was relayed.
        self.is_in_doubt = False
