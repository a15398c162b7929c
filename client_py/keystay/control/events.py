"""
What a backend is told of sessions, by the feed and by webhooks.
"""

from dataclasses import dataclass
from typing import Any

from keystay.control.session import ControlSession
from keystay_protocol.errors import MalformedFrame
from keystay_protocol.events import SESSION_SET, SESSION_UNSET

FEED_LOST = "feed.lost"


@dataclass(frozen=True, slots=True)
class SessionSet:
    """
    A session was opened, or is another one than it was.

    `cursor` is the place of the event among those of its actor: one that is not
    greater than the last was told before. `at` is in Unix milliseconds.
    `position` is where a feed goes on after this event; a webhook has none.
    """

    actor_id: str
    cursor: int
    at: int
    session: ControlSession
    position: str | None = None


@dataclass(frozen=True, slots=True)
class Successor:
    """The session that took another's place: its id, and when it was opened (Unix ms)."""

    id: str
    created_at: int


@dataclass(frozen=True, slots=True)
class SessionUnset:
    """
    A session ended. `id` and `reason` say which and why; the rest is as in `SessionSet`.

    `by` is the session that took its place, where one did.
    """

    actor_id: str
    cursor: int
    at: int
    id: str
    reason: str
    by: Successor | None = None
    position: str | None = None


@dataclass(frozen=True, slots=True)
class FeedLost:
    """
    Events are missing here, and nobody can say which.

    The server's history does not reach back to where the feed, or the webhook, was
    left. Load anew what the program remembers of sessions.
    """

    position: str | None = None


FeedEvent = SessionSet | SessionUnset | FeedLost
"""What a feed tells, or a webhook."""


def read_event(name: str, data: Any, position: str | None = None) -> FeedEvent | None:
    """
    Read one event; None for one of a later version.

    Raises:
        MalformedFrame: If a field is missing or of the wrong type.
    """
    match name, data:
        case "session.set", {
            "actorId": str(actor_id),
            "cursor": int(cursor),
            "at": int(at),
            "session": dict(session),
        }:
            return SessionSet(actor_id, cursor, at, ControlSession.from_wire(session), position)
        case "session.unset", {
            "actorId": str(actor_id),
            "cursor": int(cursor),
            "at": int(at),
            "id": str(id_),
            "reason": str(reason),
        }:
            by = _successor(data.get("by"))
            return SessionUnset(actor_id, cursor, at, id_, reason, by, position)
    if name == FEED_LOST:
        return FeedLost(position)
    if name in (SESSION_SET, SESSION_UNSET):
        raise MalformedFrame(f"a {name} lacks a field or has one of the wrong type")
    return None


def _successor(by: Any) -> Successor | None:
    match by:
        case {"id": str(id_), "createdAt": int(created_at)}:
            return Successor(id_, created_at)
    return None
