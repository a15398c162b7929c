"""
The events of one actor on this node, in the order of the store.
"""

import asyncio
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from keystay_server.stores.events import Emitted, SessionSet, SessionUnset, StoredEvent

MAX_RING = 256
"""
Events that are kept while connections are being bound.

Older ones are read from the store's history.
"""


class OfSession(Protocol):
    """A receiver of the events of a session."""

    session_id: str


BindingT = TypeVar("BindingT", bound=OfSession)


class ActorStream(Generic[BindingT]):
    """
    An actor's events and bindings on this node.

    `newest` is the cursor of the newest event that was delivered; None until the
    first event or restore. While connections are being attached, new events are
    kept in a ring, so that a later binding can advance from its own position.
    """

    __slots__ = (
        "_attaching",
        "_bindings",
        "_floor",
        "_ring",
        "actor_id",
        "maybe_incomplete",
        "newest",
        "repaired",
        "wanted",
    )

    def __init__(self, actor_id: str) -> None:
        self.actor_id = actor_id
        self.newest: int | None = None
        self.maybe_incomplete = False
        """Announcements may have been lost while `newest` was not known."""
        # While a gap is being repaired: the newest known cursor, and the waiting future.
        self.wanted = 0
        self.repaired: asyncio.Future[None] | None = None
        self._bindings: dict[str, dict[BindingT, None]] = {}
        self._attaching = 0
        self._ring: list[StoredEvent] | None = None
        self._floor: int | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no connection is bound here or being bound."""
        return not self._bindings and not self._attaching

    def attach(self) -> None:
        """Begin to bind a connection: keep new events."""
        if not self._attaching:
            self._ring, self._floor = [], self.newest
        self._attaching += 1

    def detach(self) -> None:
        """End an `attach`: its connection is bound, or will not be."""
        self._attaching -= 1
        if not self._attaching:
            self._ring = self._floor = None

    def add(self, binding: BindingT) -> None:
        """Add a binding."""
        self._bindings.setdefault(binding.session_id, {})[binding] = None

    def remove(self, binding: BindingT) -> None:
        """Remove a binding."""
        of_session = self._bindings[binding.session_id]
        del of_session[binding]
        if not of_session:
            del self._bindings[binding.session_id]

    def number_of(self, session_id: str) -> int:
        """Return how many bindings to a session there are."""
        return len(self._bindings.get(session_id, ()))

    def bindings(self) -> Iterator[BindingT]:
        """All bindings; some may come and go while this is iterated over."""
        for of_session in list(self._bindings.values()):
            yield from list(of_session)

    def concerned(self, event: StoredEvent) -> list[BindingT]:
        """Return the bindings that get the event."""
        match event.change:
            case SessionSet(record):
                session_id: str | None = record.id
            case SessionUnset(ended) | Emitted(ended):
                session_id = ended
        if session_id is None:
            return list(self.bindings())
        return list(self._bindings.get(session_id, ()))

    def begin(self, cursor: int) -> None:
        """Set the newest cursor if it is not known yet."""
        if self.newest is None:
            self.newest = self._floor = cursor

    def follows(self, event: StoredEvent) -> bool:
        """Whether no event is missing between the newest one and this one."""
        return self.newest is None or self.newest == event.previous

    def append(self, event: StoredEvent) -> None:
        """Add the event as the newest."""
        if self.newest is None:
            self._floor = event.previous
        self.newest = event.cursor
        if self._ring is not None:
            self._ring.append(event)
            if len(self._ring) > MAX_RING:
                self._floor = self._ring[MAX_RING // 2 - 1].cursor
                del self._ring[: MAX_RING // 2]

    def after(self, position: int) -> list[StoredEvent] | None:
        """Return the events after a cursor; None if they are not all in the ring."""
        if self._ring is None or self._floor is None or self._floor > position:
            return None
        return [event for event in self._ring if event.cursor > position]

    def move_to(self, cursor: int) -> None:
        """
        Set the newest cursor, and empty the ring.

        Back, so that events are delivered again to a binding that missed them; or
        forward, past events that the store has forgotten.
        """
        self.newest = cursor
        if self._ring is not None:
            self._ring, self._floor = [], cursor
