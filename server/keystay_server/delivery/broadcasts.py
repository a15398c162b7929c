"""
Sends a backend's event to every connection, in steps: commands go on in between.

Invariant: a connection is sent broadcasts in the order in which they came.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from keystay_protocol.events import is_subscribed
from keystay_server.delivery.bindings import Peer
from keystay_server.telemetry.counts import Counts
from keystay_server.timing.tasks import Background

STEP = 500
"""Connections that are sent an event at once: about 3 ms."""
MAX_WAITING = 64
"""Broadcasts that wait; one more is sent to all at once, after those that wait."""


@dataclass(frozen=True, slots=True)
class _Broadcast:
    name: str
    frame: bytes
    peers: Sequence[Peer]


class Broadcasts:
    """The broadcasts under way."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._waiting: deque[_Broadcast] = deque()
        self._is_more = asyncio.Event()
        self._running = Background(self._run, "broadcasts")

    def start(self) -> None:
        """Start to send."""
        self._running.start()

    async def stop(self) -> None:
        """Stop; what waits is not sent."""
        await self._running.stop()

    def send(self, name: str, frame: bytes, peers: Sequence[Peer]) -> None:
        """Send an encoded event to those of the connections that are subscribed to it."""
        broadcast = _Broadcast(name, frame, peers)
        if not self._waiting and len(peers) <= STEP:
            self._send(broadcast, 0, len(peers))
            return
        self._waiting.append(broadcast)
        self._is_more.set()

    async def _run(self) -> None:
        while True:
            await self._is_more.wait()
            while self._waiting:
                broadcast = self._waiting[0]
                for start in range(0, len(broadcast.peers), STEP):
                    self._send(broadcast, start, start + STEP)
                    if len(self._waiting) <= MAX_WAITING:
                        await asyncio.sleep(0)
                self._waiting.popleft()
            self._is_more.clear()

    def _send(self, broadcast: _Broadcast, start: int, end: int) -> None:
        for peer in broadcast.peers[start:end]:
            if is_subscribed(peer.paths, broadcast.name):
                peer.outbox.send(broadcast.frame)
                self._counts.events += 1
