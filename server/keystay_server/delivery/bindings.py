"""
The connections of this node, and the sessions they are bound to.
"""

import random
import time
from dataclasses import replace

from keystay_protocol.events import DEFAULT_PATHS
from keystay_server.delivery.outbox import Outbox
from keystay_server.delivery.recovery import Past
from keystay_server.delivery.streams import ActorStream

MAX_PASTS = 8
"""The number of actors for which a connection keeps what it was sent."""


class Peer:
    """
    One connection, as the hub sees it.

    `attaching_to` is the stream in which it is being bound to another session: until
    that is done, its present binding there is sent nothing.
    """

    __slots__ = (
        "_pasts",
        "address",
        "attaching_to",
        "binding",
        "has_sent",
        "outbox",
        "paths",
        "was_bound",
    )

    def __init__(self, outbox: Outbox, address: str = "") -> None:
        self.outbox = outbox
        self.address = address
        self.paths: tuple[str, ...] = DEFAULT_PATHS
        self.binding: Binding | None = None
        self.attaching_to: Stream | None = None
        self.was_bound = False
        self.has_sent = False
        """Whether it sent a command since its session was last extended."""
        self._pasts: dict[str, Past] | None = None

    def subscribe(self, paths: tuple[str, ...]) -> None:
        """
        Subscribe to more paths, or to fewer.

        What came before was not sent by the new ones: as if the bindings had begun now.
        """
        if not set(paths) <= set(self.paths):
            if self.binding is not None:
                self.binding.since = self.binding.position
            pasts = self._pasts or {}
            pasts.update({a: replace(past, since=past.position) for a, past in pasts.items()})
        self.paths = paths

    def past_of(self, actor_id: str) -> Past | None:
        """What the connection was sent of the actor under its last binding."""
        if self.binding is not None and self.binding.stream.actor_id == actor_id:
            return self.binding.past
        if not self._pasts:
            return None
        return self._pasts.get(actor_id) or self._pasts.get("")

    def remember(self, binding: "Binding") -> None:
        """Keep what it was sent under a binding that ends now."""
        pasts = self._pasts = self._pasts or {}
        pasts.pop(binding.stream.actor_id, None)
        pasts[binding.stream.actor_id] = binding.past
        if len(pasts) > MAX_PASTS:
            # No actor has an empty id: it stands for all whose past is forgotten.
            newest = max(past.position for past in pasts.values())
            pasts[""] = Past("", newest, newest)
            del pasts[next(actor_id for actor_id in pasts if actor_id)]


class Binding:
    """
    A connection bound to a session.

    `position` is the cursor up to which events were delivered. From `since` to there
    the connection was sent every event of the session that it subscribes to.
    """

    __slots__ = (
        "bound_at",
        "extend_at",
        "key",
        "peer",
        "position",
        "session_id",
        "since",
        "stream",
        "ttl_s",
    )

    def __init__(
        self, peer: Peer, stream: "Stream", key: str, session_id: str, ttl_s: float
    ) -> None:
        self.peer = peer
        self.stream = stream
        self.key = key
        self.session_id = session_id
        self.ttl_s = ttl_s
        self.position = 0
        self.since = 0
        self.bound_at = 0
        """Unix milliseconds."""
        self.extend_at = 0.0
        """When its session is to be extended, by the monotonic clock."""
        self.schedule_extension()

    def schedule_extension(self) -> None:
        """
        Choose when to extend the session next: it was extended just now.

        At random: sessions that were created together do not stay together. Not before
        a third of the ttl has passed, which the store would not write; and soon enough for
        a session that was restored when nearly a third had passed.
        """
        part = random.uniform(1 / 3, 5 / 12)  # noqa: S311
        self.extend_at = time.monotonic() + self.ttl_s * part

    @property
    def is_bound(self) -> bool:
        """Whether the connection is bound so now."""
        return self.peer.binding is self

    @property
    def past(self) -> Past:
        """What the connection was sent under it until now."""
        return Past(self.session_id, self.since, self.position)


Stream = ActorStream[Binding]
