"""
Gaps are repaired from the logs of the partitions.

The log tells which actors a gap was about, and those of them that have
connections here are reported to the hub, which reads their histories. Where the
log does not reach back, that is every actor of the partition.
"""

import asyncio
import logging
from collections.abc import Sequence

from keystay_protocol.errors import Unavailable
from keystay_server.stores.base import Listener
from keystay_server.stores.redis.announcements import Announcements
from keystay_server.stores.redis.batches import each
from keystay_server.stores.redis.gaps import Gap, Gaps
from keystay_server.stores.redis.layout import Send
from keystay_server.stores.redis.partitions import Partitions, log_key
from keystay_server.stores.redis.tuning import RepairTuning
from keystay_server.timing.tasks import Background

log = logging.getLogger("keystay.store")

_ENTRIES = 256
"""Read from a log at once."""

_MAX_SEQUENCE = 2**64 - 1
"""Of an id in a stream: with it, a range ends after the entry."""


class Repair:
    """Repairs gaps, until the store is stopped."""

    def __init__(
        self,
        partitions: Partitions,
        gaps: Gaps,
        announcements: Announcements,
        send: Send,
        tuning: RepairTuning,
    ) -> None:
        self._partitions = partitions
        self._gaps = gaps
        self._incomplete = announcements.incomplete
        self._send = send
        self._tuning = tuning
        self._running = Background(self._run, "repair of announcements")

    def start(self, listener: Listener) -> None:
        """Begin."""
        self._listener = listener
        self._running.start()

    async def stop(self) -> None:
        """Stop."""
        await self._running.stop()

    async def _run(self) -> None:
        while True:
            await self._incomplete.wait()
            self._incomplete.clear()
            try:
                await self._repair()
            except Exception:
                log.exception("announcements could not be repaired")
                self._incomplete.set()
            if self._gaps.is_any:
                await asyncio.sleep(self._tuning.again_s)
                self._incomplete.set()

    async def _repair(self) -> None:
        """Repair all there is. What cannot be read at the moment stays."""
        found = list(self._gaps.found.items())
        self._gaps.found.clear()
        answers = await each(self._actors_in, found)
        missed: set[str] = set()
        for (partition, gap), answer in zip(found, answers, strict=True):
            if isinstance(answer, Unavailable):
                self._gaps.missed(partition, gap)
            elif answer is None:
                self._gaps.lost.add(partition)
            else:
                missed |= answer
        lost = set(self._gaps.lost)
        actors = self._listener.actors
        missed.intersection_update(actors)
        if lost:
            missed.update(actor for actor in actors if self._partitions.of(actor) in lost)
        # Until the listener has taken it, nothing counts as repaired.
        lost |= {partition for partition, _ in found}
        self._gaps.lost |= lost
        if missed:
            self._listener.missed(missed)
        self._gaps.lost -= lost

    async def _actors_in(self, item: tuple[int, Gap]) -> set[str] | None:
        """The actors that a gap is about; None if the log does not have all of it any more."""
        partition, gap = item
        key = log_key(self._partitions.roots[partition])
        actors: set[str] = set()
        after = gap.after
        while after < gap.upto:
            end = f"{gap.upto}-{_MAX_SEQUENCE}"
            entries = await self._send(key, "XRANGE", key, f"({after}", end, "COUNT", _ENTRIES)
            if not entries or _previous(entries[0]) != after:
                return None
            actors.update(fields[3].decode() for _, fields in entries)
            after = int(entries[-1][0].partition(b"-")[0])
        return actors


def _previous(entry: Sequence[Sequence[bytes]]) -> int:
    _, fields = entry
    return int(fields[1])
