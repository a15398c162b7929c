"""
The session events that the feed and webhooks carry.
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
    A session was created or updated.

    `cursor` is the position among the events of the actor: an event whose cursor is not
    greater than the last one is a duplicate. `at` is in Unix milliseconds. `position` is the
    position of the feed after this event; None in a webhook.
    """

    actor_id: str
    cursor: int
    at: int
    session: ControlSession
    position: str | None = None


@dataclass(frozen=True, slots=True)
class Successor:
    """The session that replaced another one: its id, and when it was created (Unix ms)."""

    id: str
    created_at: int


@dataclass(frozen=True, slots=True)
class SessionUnset:
    """
    A session ended, with its `id` and the `reason`. Other fields as in `SessionSet`.

    `by` is the session that replaced it, if there is one.
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
    An unknown number of events is missing here.

    The server's history does not reach back to the position of the feed or webhook. Reload
    what the program knows about sessions.
    """

    position: str | None = None


FeedEvent = SessionSet | SessionUnset | FeedLost
"""An event of a feed or webhook."""


def read_event(name: str, data: Any, position: str | None = None) -> FeedEvent | None:
    """
    Parse one event; return None for an event of a later version.

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
