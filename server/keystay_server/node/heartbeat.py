"""
Each node leaves word of itself in the store every second, and reads that of the others.
"""

import time
from dataclasses import dataclass
from typing import Any

from keystay_protocol import __version__
from keystay_protocol.codec import pack, unpack
from keystay_protocol.errors import MalformedFrame
from keystay_server.stores.base import Store
from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.recent import Recent
from keystay_server.timing.tasks import Repeating

TOPIC = "nodes"
BEAT_EVERY_S = 1.0
JITTER = 0.2
FORGOTTEN_AFTER_S = 5.0
"""A node that says nothing for so long is not listed any more."""


@dataclass(frozen=True, slots=True)
class Names:
    """What does not change about a node. `started_at` is in Unix milliseconds."""

    id: str
    listen: str
    started_at: int


class Heartbeat:
    """This node's word in the store, and who else has left theirs."""

    def __init__(self, store: Store, counts: Counts, node_id: str) -> None:
        self._store = store
        self._counts = counts
        self._recent = Recent()
        self._names = Names(node_id, "", _now_ms())
        self._beating = Repeating(self._beat, "heartbeat", pause_s=BEAT_EVERY_S, jitter=JITTER)

    @property
    def node_id(self) -> str:
        """This node's."""
        return self._names.id

    def start(self, listen: str) -> None:
        """
        Begin.

        Args:
            listen: Where this node's clients connect.
        """
        self._names = Names(self._names.id, listen, self._names.started_at)
        self._beating.start()

    def drain(self) -> None:
        """Say at once that this node is going away; go on until it has gone."""
        self._counts.is_draining = True
        self._beating.wake()

    async def stop(self) -> None:
        """Fall silent."""
        await self._beating.stop()

    async def nodes(self) -> list[dict[str, Any]]:
        """
        What every node says of itself, in the order of their ids; this one as it is now.

        Raises:
            Unavailable: If the store is out of reach.
        """
        left = await self._store.reports(TOPIC)
        others = [_read(data) for node, data in left.items() if node != self.node_id]
        words = [self.word(), *(word for word in others if word is not None)]
        return sorted(words, key=lambda word: str(word["id"]))

    def word(self) -> dict[str, Any]:
        """What this node says of itself: counts since it started, unless they say otherwise."""
        names, counts = self._names, self._counts
        commands = list(counts.each_method().values())
        return {
            "id": names.id,
            "version": __version__,
            "listen": names.listen,
            "startedAt": names.started_at,
            "seenAt": _now_ms(),
            "draining": counts.is_draining,
            "connections": counts.connections_now,
            "bound": counts.bound_now,
            "commands": sum(each.total for each in commands),
            "commandsFailed": sum(sum(each.failures.values()) for each in commands),
            "events": counts.events,
            "recovered": counts.recovered,
            "slowClients": counts.slow_clients,
            "p50Ms": self._recent.quantile_ms(commands, 0.5),
            "p99Ms": self._recent.quantile_ms(commands, 0.99),
        }

    async def _beat(self) -> None:
        self._recent.beat(self._counts.each_method().values())
        ttl_ms = round(FORGOTTEN_AFTER_S * 1000)
        await self._store.report(TOPIC, self.node_id, pack(self.word()), ttl_ms)


def _read(data: bytes) -> dict[str, Any] | None:
    """What another node left; None if it is of a version that writes something else."""
    try:
        word = unpack(data)
    except MalformedFrame:
        return None
    return word if isinstance(word, dict) and "id" in word else None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
