"""
Decides what a restoring connection is sent of the events it missed.

Invariant: no connection is sent an event twice, or after a newer one of the same
actor; and `is_recovered` is true only if nothing was missed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from keystay_server.delivery.payloads import is_about
from keystay_server.stores.events import History, StoredEvent


@dataclass(frozen=True, slots=True)
class Past:
    """
    What a connection was sent of an actor before.

    All events of the session after the cursor `since` and up to `position`, and
    nothing beyond `position` of any session of the actor.
    """

    session_id: str
    since: int
    position: int

    def has_had(self, event: StoredEvent) -> bool:
        """Whether the connection was sent the event, if it subscribed to it."""
        is_within = self.since < event.cursor <= self.position
        return is_within and is_about(event.change, self.session_id)


NOTHING_SENT = Past("", 0, 0)


@dataclass(frozen=True, slots=True)
class Recovery:
    """The events to send now, in order, and whether that is all that was missed."""

    replay: list[StoredEvent]
    is_recovered: bool


NOT_RECOVERED = Recovery([], is_recovered=False)


def recover(
    session_id: str,
    cursor: int,
    missed: History | None,
    past: Past,
    size_of: Callable[[StoredEvent], int],
    max_bytes: int,
) -> Recovery:
    """
    Decide what a connection is sent when it is bound to a session.

    Args:
        cursor: The position of the restore; later events are delivered as they come.
        missed: The actor's events after the cursor that the client named; None if
            it named none.
        past: What this connection was sent of the actor before.
        size_of: The bytes of an event in the outbox: 0 if it is not subscribed to.
        max_bytes: The most that is replayed.
    """
    if missed is None or not missed.complete:
        return NOT_RECOVERED
    news = [
        event
        for event in missed.events
        if event.cursor <= cursor
        and is_about(event.change, session_id)
        and not past.has_had(event)
    ]
    is_late = any(event.cursor <= past.position for event in news)
    if is_late or sum(map(size_of, news)) > max_bytes:
        return NOT_RECOVERED
    return Recovery(news, is_recovered=True)
