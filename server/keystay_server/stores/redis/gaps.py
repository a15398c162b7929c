"""
What a node has missed of the announcements, found by their numbers. No I/O.

Each announcement of a partition has a number and names the one before it, and a
probe tells the newest number. So what is missing shows with the next
announcement or the next probe, however it was lost: by a line that broke or was
silent, by a slot that moved to another server, by a node that was suspended.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gap:
    """Announcements that did not come: those with a number beyond `after`, up to `upto`."""

    after: int
    upto: int


class Gaps:
    """The newest number of each partition, as far as it is known, and what is missing."""

    def __init__(self, partitions: int) -> None:
        self.known: list[int | None] = [None] * partitions
        self.found: dict[int, Gap] = {}
        """Gaps by partition, one for each at most. Whoever repairs one takes it out."""
        self.lost: set[int] = set()
        """Partitions of which anything may be missing. Whoever sees to it empties the set."""

    @property
    def is_any(self) -> bool:
        """Whether there is something to repair."""
        return bool(self.found or self.lost)

    def announced(self, partition: int, number: int, previous: int) -> None:
        """Take note of an announcement. It may come late or twice."""
        known = self.known[partition]
        if known == previous:
            self.known[partition] = number
        elif known is None:
            self._restart(partition, number)
        elif previous > known:
            self.missed(partition, Gap(known, previous))
            self.known[partition] = number
        elif number > known:
            # What came after `previous` is no longer there: a failover lost it, or a FLUSHALL.
            self._restart(partition, number)

    def probed(self, partition: int, number: int) -> None:
        """Take note of the newest number, as it was after all that came in before."""
        known = self.known[partition]
        if known is None or number < known:
            self._restart(partition, number)
        elif number > known:
            self.missed(partition, Gap(known, number))
            self.known[partition] = number

    def missed(self, partition: int, gap: Gap) -> None:
        """Add a gap; what lies between two of them is read again."""
        if old := self.found.get(partition):
            gap = Gap(min(old.after, gap.after), max(old.upto, gap.upto))
        self.found[partition] = gap

    def _restart(self, partition: int, number: int) -> None:
        self.known[partition] = number
        self.found.pop(partition, None)
        self.lost.add(partition)
