"""
What comes in on the channels of the partitions, on its way to the hub of this node.

A node gets the announcements of all partitions and passes on those about actors
with connections here.
"""

import asyncio
import logging
from collections.abc import Iterable

from keystay_server.stores.base import Listener
from keystay_server.stores.events import Emitted
from keystay_server.stores.redis.encoding import decode_event, split_announcement
from keystay_server.stores.redis.gaps import Gaps

log = logging.getLogger("keystay.store")

TO_ALL = b"*"
"""What the payload of a broadcast starts with. It has no number."""


class Announcements:
    """The announcements of all partitions, whichever servers they come from."""

    def __init__(self, gaps: Gaps) -> None:
        self.incomplete = asyncio.Event()
        """Set when there are gaps to repair."""
        self._gaps = gaps
        self._current: set[int] = set()

    def start(self, listener: Listener) -> None:
        """Announce to this listener from now on."""
        self._listener = listener

    def newest(self, partition: int) -> int | None:
        """The newest number of the partition; None if it may be out of date by far."""
        return self._gaps.known[partition] if partition in self._current else None

    def take(self, partition: int, payload: bytes) -> None:
        """Take what was published on the channel of a partition."""
        try:
            if payload.startswith(TO_ALL):
                self._take_broadcast(payload)
                return
            number, previous, actor_id, start = split_announcement(payload)
            self._gaps.announced(partition, number, previous)
            if self._listener.wants(actor_id, number):
                self._listener.announced(decode_event(actor_id, payload[start:]))
        except ValueError:
            log.warning("a message on a channel of the store is not an announcement")
            self._gaps.lost.add(partition)
        except Exception:
            log.exception("an announcement could not be taken")
            self._gaps.lost.add(partition)
        if self._gaps.is_any:
            self.incomplete.set()

    def take_probe(self, partition: int, payload: bytes) -> None:
        """Take the newest number of a partition, in its turn among the announcements."""
        self._current.add(partition)
        self._gaps.probed(partition, int(payload))
        if self._gaps.is_any:
            self.incomplete.set()

    def disconnected(self, partitions: Iterable[int]) -> None:
        """Know that nothing comes in from these partitions for the time being."""
        self._current.difference_update(partitions)

    def _take_broadcast(self, payload: bytes) -> None:
        change = decode_event("", payload[len(TO_ALL) :]).change
        if isinstance(change, Emitted):
            self._listener.announced_to_all(change)
