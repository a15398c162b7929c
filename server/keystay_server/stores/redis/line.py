"""
One connection that announcements come in on.
"""

import asyncio
import math
from collections.abc import Collection
from dataclasses import dataclass

from redis.exceptions import ConnectionError as ConnectionLost

from keystay_server.stores.redis.announcements import Announcements
from keystay_server.stores.redis.partitions import Partitions, probe_channel
from keystay_server.stores.redis.wire import Wire, close, pack, send


@dataclass(frozen=True, slots=True)
class _Channel:
    partition: int
    is_probe: bool


class Line:
    """
    Subscriptions to partitions over one connection, which the line owns.

    Whoever makes it opens it, runs `read` until it raises, and closes it.

    Args:
        token: What the channels for the probes of this line are called.
    """

    def __init__(
        self,
        wire: Wire,
        partitions: Partitions,
        covered: Collection[int],
        announcements: Announcements,
        token: str,
    ) -> None:
        self.covered = frozenset(covered)
        self.is_subscribed = asyncio.Event()
        self.is_probed = asyncio.Event()
        """Set when a probe of each partition has come in."""
        self.has_received = False
        """Set with everything that comes in; cleared by whoever wants to know."""
        self._wire = wire
        self._announcements = announcements
        self._channels: dict[bytes, _Channel] = {}
        self._subscribe: list[bytes] = []
        for partition in self.covered:
            root = partitions.roots[partition]
            probe = probe_channel(root, token)
            self._channels[root.encode()] = _Channel(partition, is_probe=False)
            self._channels[probe.encode()] = _Channel(partition, is_probe=True)
            self._subscribe.append(pack("SSUBSCRIBE", root, probe))
        self._unconfirmed = len(self._channels)
        self._unprobed = set(self.covered)

    async def open(self) -> None:
        """Connect, and ask for the channels."""
        await self._wire.connect()
        await send(self._wire, self._subscribe)

    async def close(self) -> None:
        """Disconnect."""
        self._announcements.disconnected(self.covered)
        await close(self._wire)

    async def read(self) -> None:
        """Take in confirmations and messages, until the connection breaks."""
        while True:
            came = await self._wire.read_response(disable_decoding=True, timeout=math.inf)
            self.has_received = True
            match came:
                case [b"smessage", bytes(name), bytes(payload)]:
                    self._take(self._channels[name], payload)
                case [b"ssubscribe", *_]:
                    self._unconfirmed -= 1
                    if not self._unconfirmed:
                        self.is_subscribed.set()
                case [b"sunsubscribe", *_]:
                    raise ConnectionLost("a partition has moved to another server")

    def _take(self, channel: _Channel, payload: bytes) -> None:
        if not channel.is_probe:
            self._announcements.take(channel.partition, payload)
            return
        self._announcements.take_probe(channel.partition, payload)
        self._unprobed.discard(channel.partition)
        if not self._unprobed:
            self.is_probed.set()
