"""
Whether a node was there: a session that is held on a live node does not expire.

Where another node lives on, one that is stopped counts as dead. Where none does,
nobody is there to end its sessions, and it extends them when it is back.
"""

from bisect import bisect_left
from itertools import accumulate

from tests.soak.record import Absence, Record

AWARE_MS = 200
"""For how long another node lives at least before a stopped one may count as dead."""

RESUME_MS = 3000
"""How long a node may need to extend what it holds after it was stopped."""


class Absences:
    """What was away, and when."""

    def __init__(self, record: Record) -> None:
        self._all = record.absences
        self._ordered = sorted(self._all, key=lambda absence: absence.since)
        self._since = [absence.since for absence in self._ordered]
        self._latest = list(accumulate((absence.until for absence in self._ordered), max))
        nodes = {connection.node for connection in record.connections}
        self._nodes = nodes | {absence.node for absence in self._all}
        self._dead = [
            absence
            for absence in self._all
            if absence.what == "stopped" and self._others_live(absence)
        ]

    def was_dead(self, node: int, since: float, until: float) -> bool:
        """Whether the node counted as dead at any time in between."""
        return any(
            absence.node == node and absence.since < until and since < absence.until + RESUME_MS
            for absence in self._dead
        )

    def quiet_after(self, ms: float, for_ms: float) -> float:
        """When everything had been there for so long, at a time or after it."""
        while True:
            index = bisect_left(self._since, ms + for_ms)
            later = self._latest[index - 1] if index else 0
            if later <= ms:
                return ms + for_ms
            ms = later

    def overlap(self, since: int, until: int) -> int:
        """For how long anything was away between two times, at most."""
        spans = [min(absence.until, until) - max(absence.since, since) for absence in self._all]
        return sum(span for span in spans if span > 0)

    def _others_live(self, stop: Absence) -> bool:
        """Whether another node lived while this one was stopped."""
        return any(self._lived(node, stop) for node in self._nodes - {stop.node})

    def _lived(self, node: int, stop: Absence) -> bool:
        at, lived = stop.since, 0
        for absence in self._ordered:
            if absence.node == node and absence.what != "store" and absence.until > at:
                lived += max(0, min(absence.since, stop.until) - at)
                at = max(at, absence.until)
        return lived + max(0, stop.until - at) > AWARE_MS
