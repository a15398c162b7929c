"""
Partitions: which one an actor is in, and how things are called in Redis.

All keys and channels of partition `p` start with its root, `<prefix>:{p}`. What
stands in braces decides the hash slot, so a partition is in one slot. The root
is also the channel on which the partition's events are announced. An actor's id
is the last part of a name and is not encoded: the first braces decide.
"""

from zlib import crc32

from keystay_server.stores.errors import StoreError

MOST = 256


class Partitions:
    """
    The partitions of an installation.

    Raises:
        StoreError: If there cannot be so many.
    """

    def __init__(self, prefix: str, count: int) -> None:
        if not 1 <= count <= MOST:
            raise StoreError(f"a store has 1 to {MOST} partitions")
        self.prefix = prefix
        self.count = count
        self.roots = [f"{prefix}:{{{partition}}}" for partition in range(count)]

    def of(self, actor_id: str) -> int:
        """The partition of an actor."""
        return crc32(actor_id.encode()) % self.count

    def root_of(self, actor_id: str) -> str:
        """The root of the actor's partition."""
        return self.roots[self.of(actor_id)]


def log_key(root: str) -> str:
    """The log of the partition."""
    return f"{root}:log"


def probe_channel(root: str, token: str) -> str:
    """The channel on which one node gets the newest number of the partition."""
    return f"{root}:probe:{token}"


def layout_key(prefix: str) -> str:
    """The version of the layout, and the number of partitions."""
    return f"{prefix}:layout"


def lease_key(prefix: str, name: str) -> str:
    """Which node has leased something, and how far it is with it."""
    return f"{prefix}:lease:{{{name}}}"


def report_key(prefix: str, topic: str) -> str:
    """What nodes have reported on a topic."""
    return f"{prefix}:report:{{{topic}}}"
