"""
What a store needs of its servers, one or a cluster of them.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from keystay_server.stores.redis.scripts import Script
from keystay_server.stores.redis.wire import Word


class Servers(Protocol):
    """Where the partitions are."""

    async def start(self) -> None:
        """Open, as `Store.start` says."""

    async def stop(self) -> None:
        """Finish what is in flight and release everything."""

    def groups(self) -> Sequence[Sequence[int]]:
        """The partitions that are on the same server, for each server."""

    async def run(self, script: Script, key: str, *words: Word) -> Any:
        """
        Run a script on a key, or on what is below a root.

        Raises:
            Unavailable: If it is refused or not answered in time.
        """

    async def send(self, key: str, *words: Word) -> Any:
        """Send a command to the server that has the key; otherwise as `run`."""
