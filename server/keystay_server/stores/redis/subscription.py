"""
The announcements of one server come in, whatever happens to the connection.

Pub/sub forgets what it cannot deliver, and a connection can be dead without
looking it. So the server is probed at a steady pace: it publishes the newest
number of each partition on a channel of this line's own, in order with all that
it announces. If nothing comes in for two probes there is a new connection. After
every new connection all partitions are probed at once, and what was lost in
between shows by the numbers.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from keystay_protocol.errors import Unavailable
from keystay_server.stores.errors import StoreError
from keystay_server.stores.redis.address import Address
from keystay_server.stores.redis.announcements import Announcements
from keystay_server.stores.redis.batches import each
from keystay_server.stores.redis.line import Line
from keystay_server.stores.redis.link import Link
from keystay_server.stores.redis.partitions import Partitions
from keystay_server.stores.redis.scripts import PROBE
from keystay_server.stores.redis.trouble import Outage, advice
from keystay_server.stores.redis.tuning import SubscriptionTuning
from keystay_server.timing.backoff import backoff_s
from keystay_server.timing.tasks import Background

log = logging.getLogger("keystay.store")


class Subscription:
    """
    Subscribed to the partitions of one server.

    Args:
        prepare: Awaited before each connection is made, with the partitions. What
            it raises counts as the server being out of reach.
        check: Awaited with each probe. What it raises breaks the connection,
            unless that is `Unavailable`.
    """

    def __init__(
        self,
        address: Address,
        link: Link,
        partitions: Partitions,
        announcements: Announcements,
        prepare: Callable[[Collection[int]], Awaitable[None]],
        check: Callable[[], Awaitable[None]],
        tuning: SubscriptionTuning,
    ) -> None:
        self._address = address
        self._link = link
        self._partitions = partitions
        self._announcements = announcements
        self._prepare = prepare
        self._check = check
        self._tuning = tuning
        self._covered: frozenset[int] = frozenset()
        self._changed = asyncio.Event()
        self._outage = Outage(address.where)
        self._is_stopped = False
        self._failures = 0
        self._running = Background(self._run, f"announcements of {address.where}")

    def open(self) -> None:
        """
        Begin.

        `attempted` is done after the first attempt to connect: with None, or
        with why it failed.
        """
        loop = asyncio.get_running_loop()
        self.attempted: asyncio.Future[BaseException | None] = loop.create_future()
        if not self._covered:
            self.attempted.set_result(None)
        self._running.start()

    async def stop(self) -> None:
        """Close the connection; nothing is announced any more."""
        self._is_stopped = True
        await self._running.stop()

    def cover(self, partitions: Collection[int]) -> None:
        """Subscribe to these partitions, and to no others."""
        if self._covered != (covered := frozenset(partitions)):
            self._covered = covered
            self.reconnect()

    def reconnect(self) -> None:
        """Subscribe to all of them on a new connection, and probe them at once."""
        self._changed.set()

    async def _run(self) -> None:
        """Keep a line open, for ever."""
        while True:
            while not self._covered:
                await self._changed.wait()
                self._changed.clear()
            error: BaseException | None = None
            try:
                await self._serve()
            except* (RedisError, OSError, TimeoutError, Unavailable, StoreError) as lost:
                error = lost.exceptions[0]
            except* Exception as bug:
                log.exception("the announcements of the store failed")
                error = bug.exceptions[0]
            if self._is_stopped:
                return  # A line that breaks in the same moment swallows the cancellation.
            if not self._changed.is_set():
                self._lost((error and error.__cause__) or error or ConnectionLost())
                tuning, failures = self._tuning, self._failures
                self._failures += 1
                await asyncio.sleep(
                    backoff_s(failures, tuning.backoff_base_s, tuning.backoff_cap_s)
                )

    def _lost(self, cause: BaseException) -> None:
        is_attempted = self.attempted.done()
        if is_attempted or not (isinstance(cause, StoreError) or advice(cause)):
            # Else the caller that opened the subscription gets the error, and stops.
            self._outage.begun(cause)
        if not is_attempted:
            self.attempted.set_result(cause)

    async def _serve(self) -> None:
        """Serve from one connection until it breaks; that is raised."""
        self._changed.clear()
        await self._prepare(self._covered)
        token = secrets.token_hex(8)
        line = Line(
            self._address.wire(), self._partitions, self._covered, self._announcements, token
        )
        try:
            async with asyncio.timeout(self._tuning.confirm_s):
                await line.open()
            async with asyncio.TaskGroup() as group:
                group.create_task(line.read())
                group.create_task(self._probe(line, token))
                group.create_task(self._until_changed())
        finally:
            await line.close()

    async def _probe(self, line: Line, token: str) -> None:
        """Probe; raise when the line has been silent for two probes."""
        async with asyncio.timeout(self._tuning.confirm_s):
            await line.is_subscribed.wait()
            await self._probe_once(line, token)
            await line.is_probed.wait()
        self._up()
        unanswered = 0
        while unanswered < 2:
            await asyncio.sleep(self._tuning.probe_s)
            unanswered = 0 if line.has_received else unanswered + 1
            line.has_received = False
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(self._tuning.probe_s):
                    await self._probe_once(line, token)
                    await self._check()
        raise ConnectionLost("two probes were not answered")

    async def _probe_once(self, line: Line, token: str) -> None:
        async def probe(partition: int) -> None:
            await self._link.run(PROBE, self._partitions.roots[partition], 0, token)

        await each(probe, list(line.covered))

    def _up(self) -> None:
        self._failures = 0
        self._outage.over()
        if not self.attempted.done():
            self.attempted.set_result(None)

    async def _until_changed(self) -> None:
        await self._changed.wait()
        raise ConnectionLost("partitions have come or gone, or are on another server")
