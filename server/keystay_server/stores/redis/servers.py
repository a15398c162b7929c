"""
What a store needs of its servers, one or a cluster of them.
"""

from asyncio import Future
from collections.abc import Sequence
from typing import Any, Protocol

from keystay_server.stores.base import Listener
from keystay_server.stores.redis.scripts import Script
from keystay_server.stores.redis.wire import Word


class Servers(Protocol):
    """Where the actors are."""

    async def start(self, listener: Listener) -> None:
        """Open, as `Store.start` says."""

    async def stop(self) -> None:
        """Finish what is in flight and release everything."""

    async def run(self, script: Script, root: str, *words: Word) -> Any:
        """
        Run a script on what is below a root.

        Raises:
            Unavailable: If it is refused or not answered in time.
        """

    def post(self, script: Script, root: str, *words: Word) -> "Future[Any]":
        """Send a script, as `Link.post` does."""

    def are_together(self, root: str, other: str) -> bool:
        """Whether both are on the same server, as far as is known."""

    def beside(self, root: str, others: Sequence[str]) -> Sequence[str]:
        """Those of the others that are on the same server as the root; all if none is."""

    async def watch(self, actor_id: str) -> None:
        """Have the actor's events announced from the return on."""

    def unwatch(self, actor_id: str) -> None:
        """Have them announced no more."""
