"""
One server: commands go to it, announcements come from it.
"""

import secrets
from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Any

from keystay_server.stores.base import Listener, StoreError
from keystay_server.stores.redis.address import Address
from keystay_server.stores.redis.feed import Feed
from keystay_server.stores.redis.greeting import greet
from keystay_server.stores.redis.layout import EVERYBODY, channel_of
from keystay_server.stores.redis.link import Link
from keystay_server.stores.redis.scripts import Script
from keystay_server.stores.redis.trouble import advice
from keystay_server.stores.redis.tuning import Tuning
from keystay_server.stores.redis.wire import Word


def any_token() -> str:
    """A word to name things of one's own with."""
    return secrets.token_hex(8)


class Server:
    """
    The actors on one server.

    Args:
        token: Makes a word whose hash slot is on this server. Called before each
            connection of the feed; if it raises Unavailable, that is an outage.
    """

    def __init__(
        self,
        address: Address,
        prefix: str,
        tuning: Tuning,
        token: Callable[[], str] = any_token,
    ) -> None:
        self._prefix = prefix
        self._token = token
        self.link = Link(address.wire, tuning.link)
        self.feed = Feed(address, self.link, self._prepare, tuning.feed)

    async def start(self, listener: Listener) -> None:
        """
        Open; return after the first attempt to connect, even if it failed.

        Raises:
            StoreError: If it failed in a way that more attempts will not heal.
        """
        self.feed.adopt([channel_of(self._prefix, EVERYBODY)])
        self.open(listener)
        if words := advice(await self.feed.attempted):
            raise StoreError(words)

    def open(self, listener: Listener) -> None:
        """Open without waiting for anything."""
        self.link.start()
        self.feed.open(listener)

    async def stop(self) -> None:
        """Finish what is in flight and release everything."""
        await self.feed.stop()
        await self.link.stop()

    async def run(self, script: Script, root: str, *words: Word) -> Any:
        """Run a script, as `Link.run` does."""
        return await self.link.run(script, root, *words)

    def post(self, script: Script, root: str, *words: Word) -> "Future[Any]":
        """Send a script, as `Link.post` does."""
        return self.link.post(script, root, *words)

    def are_together(self, root: str, other: str) -> bool:
        """They are."""
        return True

    def beside(self, root: str, others: Sequence[str]) -> Sequence[str]:
        """All of them."""
        return others

    async def watch(self, actor_id: str) -> None:
        """Have the actor's events announced, as `Feed.watch` does."""
        await self.feed.watch(channel_of(self._prefix, actor_id))

    def unwatch(self, actor_id: str) -> None:
        """Have them announced no more."""
        self.feed.unwatch(channel_of(self._prefix, actor_id))

    async def _prepare(self) -> bytes:
        return await greet(self.link, self._prefix, self._token())
