"""
One server: commands go to it, announcements come from it.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from keystay_server.stores.errors import StoreError
from keystay_server.stores.redis.address import Address
from keystay_server.stores.redis.announcements import Announcements
from keystay_server.stores.redis.greeting import greet
from keystay_server.stores.redis.layout import Layout
from keystay_server.stores.redis.link import Link
from keystay_server.stores.redis.partitions import Partitions
from keystay_server.stores.redis.scripts import Script
from keystay_server.stores.redis.sentinel import Sentinels
from keystay_server.stores.redis.subscription import Subscription
from keystay_server.stores.redis.trouble import advice
from keystay_server.stores.redis.tuning import Tuning
from keystay_server.stores.redis.wire import Word


class Server:
    """
    The partitions on one server.

    Args:
        check: Checks the layout. It is recorded on one server, which may be another.
    """

    def __init__(
        self,
        address: Address,
        partitions: Partitions,
        announcements: Announcements,
        check: Callable[[], Awaitable[None]],
        tuning: Tuning,
    ) -> None:
        self.link = Link(address.wire, tuning.link)
        self.subscription = Subscription(
            address,
            self.link,
            partitions,
            announcements,
            self._prepare,
            check,
            tuning.subscription,
        )
        self._partitions = partitions
        self._check = check

    def open(self) -> None:
        """Open without waiting for anything."""
        self.link.start()
        self.subscription.open()

    async def stop(self) -> None:
        """Finish what is in flight and release everything."""
        await self.subscription.stop()
        await self.link.stop()

    async def _prepare(self, covered: Collection[int]) -> None:
        await self._check()
        await greet(self.link, self._partitions.roots[min(covered)])


class Single:
    """
    All partitions on one server.

    Args:
        sentinels: Those that name it, if it is not always the same.
    """

    def __init__(
        self,
        address: Address,
        partitions: Partitions,
        announcements: Announcements,
        layout: Layout,
        tuning: Tuning,
        sentinels: Sentinels | None = None,
    ) -> None:
        self._partitions = partitions
        self._layout = layout
        self._sentinels = sentinels
        self._server = Server(address, partitions, announcements, self._check, tuning)

    async def start(self) -> None:
        """
        Open; return after the first attempt to connect, even if it failed.

        Raises:
            StoreError: If it failed in a way that more attempts will not heal.
        """
        self._server.subscription.cover(range(self._partitions.count))
        self._server.open()
        if self._sentinels is not None:
            self._sentinels.on_switch = self._server.subscription.reconnect
            self._sentinels.start()
        cause = await self._server.subscription.attempted
        if isinstance(cause, StoreError):
            raise cause
        if words := advice(cause):
            raise StoreError(words)

    async def stop(self) -> None:
        """Finish what is in flight and release everything."""
        if self._sentinels is not None:
            await self._sentinels.stop()
        await self._server.stop()

    def groups(self) -> Sequence[Sequence[int]]:
        """All of them."""
        return [range(self._partitions.count)]

    async def run(self, script: Script, key: str, *words: Word) -> Any:
        """Run a script, as `Link.run` does."""
        return await self._server.link.run(script, key, *words)

    async def send(self, key: str, *words: Word) -> Any:
        """Send a command about the key, as `Link.send` does."""
        return await self._server.link.send(*words)

    async def _check(self) -> None:
        await self._layout.check(self.send)
