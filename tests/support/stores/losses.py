"""
Announcements that get lost between a Redis and a node.
"""

from random import Random

from tests.support.stores.proxy import Sieve


class Losses:
    """Loses announcements about actors by chance, and passes everything else."""

    def __init__(self, random: Random) -> None:
        self.share = 0.0
        """How probable it is that one is lost."""
        self.lost = 0
        self.passed = 0
        self._random = random

    def new_sieve(self) -> Sieve:
        """For one connection of the node."""
        unread = b""

        def sieve(data: bytes) -> bytes:
            nonlocal unread
            unread += data
            kept = []
            while (end := _end_of_value(unread, 0)) is not None:
                value, unread = unread[:end], unread[end:]
                if not self._is_lost(value):
                    kept.append(value)
            return b"".join(kept)

        return sieve

    def _is_lost(self, value: bytes) -> bool:
        if not _is_announcement(value):
            return False
        is_lost = self._random.random() < self.share
        self.lost += is_lost
        self.passed += not is_lost
        return is_lost


def _is_announcement(value: bytes) -> bool:
    """Tell it from answers, and from probes: their channels do not end with the partition."""
    match value.split(b"\r\n", 5):
        case [b"*3", _, b"smessage", _, channel, _]:
            return channel.endswith(b"}")
    return False


def _end_of_value(data: bytes, start: int) -> int | None:
    """Where the RESP2 value ends that starts there; None if it is not whole."""
    line_end = data.find(b"\r\n", start)
    if line_end < 0:
        return None
    kind, number, end = data[start : start + 1], data[start + 1 : line_end], line_end + 2
    if kind == b"$" and int(number) >= 0:
        end += int(number) + 2
    elif kind == b"*":
        for _ in range(int(number)):
            found = _end_of_value(data, end)
            if found is None:
                return None
            end = found
    return end if end <= len(data) else None
