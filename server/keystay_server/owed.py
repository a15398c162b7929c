"""
What a connection is owed that comes back, or whose hole nobody can fill.
"""

from dataclasses import dataclass
from typing import Any

from keystay_protocol.errors import NoSession, SessionEnded
from keystay_protocol.events import SESSION_SET, SESSION_UNSET, heard_by
from keystay_server.audience import Seat
from keystay_server.keys import digest_of
from keystay_server.stores.base import History, Store, StoredEvent
from keystay_server.wording import bytes_of, name_of


@dataclass(frozen=True, slots=True)
class Standing:
    """How a seat's session stands by the store's word, as an event that has no cursor."""

    seat: Seat
    name: str
    data: dict[str, Any]


def owed_before(
    opening: StoredEvent, history: History, seat: Seat, most_bytes: int
) -> list[StoredEvent] | None:
    """What the seat missed before its opening; None if that is not known, or too much."""
    missed = [
        event
        for event in history.events
        if event.cursor < opening.cursor and seat.is_owed(event)
    ]
    # More than a connection is allowed to have waiting would cut it off, every time.
    paths = seat.peer.paths
    heard = [event.change for event in missed if heard_by(paths, name_of(event.change))]
    is_too_much = sum(map(bytes_of, heard)) > most_bytes
    return missed if history.complete and not is_too_much else None


async def standing_of(seat: Seat, store: Store) -> Standing:
    """
    Ask the store how the session of the seat stands.

    Raises:
        Unavailable: If it is out of reach.
    """
    try:
        record = await store.check(seat.audience.actor_id, digest_of(seat.key))
    except (SessionEnded, NoSession) as error:
        reason = error.code if isinstance(error, SessionEnded) else "revoked"
        return Standing(seat, SESSION_UNSET, {"reason": reason, "id": seat.session_id})
    return Standing(seat, SESSION_SET, record.to_session(seat.key).to_wire())
