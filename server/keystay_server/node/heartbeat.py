"""
Each node reports itself in the store every second, and reads the reports of the others.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keystay_protocol import __version__
from keystay_protocol.codec import pack, unpack
from keystay_protocol.errors import MalformedFrame
from keystay_server.stores.base import Store
from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.recent import Recent
from keystay_server.telemetry.throttled_log import ThrottledLog
from keystay_server.timing.tasks import Repeating

TOPIC = "nodes"
KEY_ID = "keyId"
"""The field of a report that is for other nodes alone."""
BEAT_EVERY_S = 1.0
JITTER = 0.2
FORGOTTEN_AFTER_S = 5.0
"""A node without a report for so long is not listed any more."""
COMPARE_EVERY_S = 30.0
"""How often it is looked whether other nodes have the same API key."""

log = logging.getLogger("keystay.node")


@dataclass(frozen=True, slots=True)
class Identity:
    """What does not change about a node. `started_at` is in Unix milliseconds."""

    id: str
    listen: str
    started_at: int


class Heartbeat:
    """The report of this node, and those of the others."""

    def __init__(self, store: Store, counts: Counts, node_id: str) -> None:
        self._store = store
        self._counts = counts
        self._recent = Recent()
        self._identity = Identity(node_id, "", _now_ms())
        self._key_id: Callable[[], str] = str
        self._compare_at = 0.0
        self._different = ThrottledLog(log)
        self._beating = Repeating(self._beat, "heartbeat", pause_s=BEAT_EVERY_S, jitter=JITTER)

    @property
    def node_id(self) -> str:
        """The id of this node."""
        return self._identity.id

    def start(self, listen: str, key_id: Callable[[], str]) -> None:
        """
        Start.

        Args:
            listen: Where this node's clients connect.
            key_id: Returns what nodes with the same default API key have in common.
        """
        self._key_id = key_id
        self._identity = Identity(self._identity.id, listen, self._identity.started_at)
        self._beating.start()

    def drain(self) -> None:
        """Report at once that this node drains; continue until `stop`."""
        self._counts.is_draining = True
        self._beating.wake()

    async def stop(self) -> None:
        """Stop."""
        await self._beating.stop()

    async def nodes(self) -> list[dict[str, Any]]:
        """
        Return the reports of all nodes, in the order of their ids; this one's as it is now.

        Raises:
            Unavailable: If the store is out of reach.
        """
        reports = [self.report(), *await self._others()]
        for report in reports:
            report.pop(KEY_ID, None)
        return sorted(reports, key=lambda report: str(report["id"]))

    def report(self) -> dict[str, Any]:
        """Return the report of this node. Counts are since it started."""
        identity, counts = self._identity, self._counts
        commands = list(counts.each_method().values())
        return {
            "id": identity.id,
            "version": __version__,
            "listen": identity.listen,
            "startedAt": identity.started_at,
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
        report = {**self.report(), KEY_ID: self._key_id()}
        await self._store.report(TOPIC, self.node_id, pack(report), ttl_ms)
        if time.monotonic() >= self._compare_at:
            self._compare_at = time.monotonic() + COMPARE_EVERY_S
            await self._compare_keys()

    async def _compare_keys(self) -> None:
        """Warn of nodes with another API key: requests of a backend would fail there."""
        ours = self._key_id()
        for report in await self._others():
            # A worker has none.
            if ours and (report.get(KEY_ID) or ours) != ours:
                self._different.warning(
                    f"node {report['id']} has another API key than this one: "
                    "set KEYSTAY_API_KEY to the same on all nodes"
                )

    async def _others(self) -> list[dict[str, Any]]:
        left = await self._store.reports(TOPIC)
        reports = [_read(data) for node, data in left.items() if node != self.node_id]
        return [report for report in reports if report is not None]


def _read(data: bytes) -> dict[str, Any] | None:
    """Read another node's report; None if its version writes something else."""
    try:
        report = unpack(data)
    except MalformedFrame:
        return None
    return report if isinstance(report, dict) and "id" in report else None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
