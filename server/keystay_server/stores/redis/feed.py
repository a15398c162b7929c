"""
Announcements come in, whatever happens to the connection.

Pub/sub forgets what it cannot deliver, and a connection can be dead without
looking it. So the feed publishes to a channel of its own at a steady pace; if
it hears nothing for two probes it makes a new connection. After every new
connection it subscribes to everything again, and only then says `missed`: what
was announced in between is read from the history.

With each probe goes a mark that is kept like any data. When it is gone, so is
everything else, and that too is a reason to say `missed`.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from keystay_protocol.errors import Unavailable
from keystay_server.stores.base import Emitted, Listener, out_of_reach
from keystay_server.stores.redis.address import Address
from keystay_server.stores.redis.layout import EVERYBODY, actor_of, decode_event
from keystay_server.stores.redis.line import Line
from keystay_server.stores.redis.link import Link
from keystay_server.stores.redis.trouble import Outage, advice
from keystay_server.stores.redis.tuning import FeedTuning
from keystay_server.stores.redis.waiting import in_time

_MARK_PROBES = 30
"""For how many probes a mark is kept: a server that is silent so long counts as lost."""

log = logging.getLogger("keystay.store")


class Feed:
    """
    The announcements on the watched channels of one server.

    Args:
        prepare: Awaited before each connection is made; returns the channel to
            probe it with. What it raises counts as the server being out of reach.
    """

    def __init__(
        self,
        address: Address,
        link: Link,
        prepare: Callable[[], Awaitable[bytes]],
        tuning: FeedTuning,
    ) -> None:
        self._address = address
        self._link = link
        self._prepare = prepare
        self._tuning = tuning
        self._outage = Outage(address.where)
        self._probe_channel = b""
        self._line = Line(address.wire(), self._take)
        self._renew = asyncio.Event()
        self._up = False
        self._is_stopped = False
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def channels(self) -> set[bytes]:
        """The channels that are watched."""
        return self._line.subscribed - {self._probe_channel}

    def open(self, listener: Listener) -> None:
        """
        Begin.

        `attempted` is done after the first attempt to connect: with None, or
        with why it failed.
        """
        self._listener = listener
        loop = asyncio.get_running_loop()
        self.attempted: asyncio.Future[BaseException | None] = loop.create_future()
        self._task = asyncio.create_task(self._run(), name=f"feed {self._address.where}")

    async def stop(self) -> None:
        """Close the connection; nothing is announced any more."""
        self._is_stopped = True
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def watch(self, channel: bytes) -> None:
        """
        Have the events on the channel announced from the return on.

        Raises:
            Unavailable: If the server did not confirm that.
        """
        if not self._up:
            raise out_of_reach("the store does not answer")
        if channel not in self._line.subscribed:
            confirmed = self._line.subscribe(channel)
            try:
                await in_time(confirmed, self._tuning.confirm_s)
            finally:
                confirmed.cancel()  # Nothing happens to one that is done.

    def unwatch(self, channel: bytes) -> None:
        """Have the events on the channel announced no more."""
        self._line.unsubscribe(channel)

    def forget(self, channel: bytes) -> None:
        """Leave a channel to another server's feed, without a word to this server."""
        self._line.forget(channel)

    def adopt(self, channels: Iterable[bytes]) -> None:
        """Watch channels that were watched elsewhere, and say that events may be missing."""
        self._line.subscribed.update(channels)
        # A new line subscribes to all there is, and says for all what may be missing.
        self._renew.set()

    async def _run(self) -> None:
        """Keep a line open, for ever."""
        while True:
            error: Exception | None = None
            try:
                await self._serve()
            except* (RedisError, OSError, TimeoutError, Unavailable) as lost:
                error = lost.exceptions[0]
            except* Exception as bug:
                log.exception("the feed of the store failed")
                error = bug.exceptions[0]
            if self._is_stopped:
                return  # A line that breaks in the same moment swallows the cancellation.
            cause = (error and error.__cause__) or error or ConnectionLost()
            if self.attempted.done() or not advice(cause):
                # Else whoever has opened the feed is told, and does not go on.
                self._outage.begun(cause)
            if not self.attempted.done():
                self.attempted.set_result(cause)
            await asyncio.sleep(self._backoff_s())

    def _backoff_s(self) -> float:
        longest = min(
            self._tuning.backoff_cap_s, self._tuning.backoff_base_s * 2**self._failures
        )
        self._failures = min(self._failures + 1, 32)
        return random.uniform(0, longest)  # noqa: S311  # Spreads nodes, hides nothing.

    async def _serve(self) -> None:
        """Serve from one connection until it breaks; that is raised."""
        probe_channel = await self._prepare()
        self._renew.clear()
        line = self._line = Line(self._address.wire(), self._take, self.channels)
        self._probe_channel = probe_channel
        try:
            async with asyncio.timeout(self._tuning.confirm_s):
                await line.open()
            async with asyncio.TaskGroup() as group:
                group.create_task(line.read())
                group.create_task(line.write())
                group.create_task(self._probe(line))
                group.create_task(self._resume(line))
                group.create_task(self._until_renewed())
        finally:
            self._up = False
            await line.close()

    async def _resume(self, line: Line) -> None:
        """Subscribe to everything; then, and not before, tell what may have been missed."""
        channels = [*line.subscribed, self._probe_channel]
        # One that is unwatched meanwhile comes out as an exception, and is none of ours.
        await asyncio.gather(*map(line.subscribe, channels), return_exceptions=True)
        self._up = True
        self._failures = 0
        self._outage.over()
        missed = {actor_of(channel) for channel in self.channels} - {EVERYBODY}
        if missed:
            self._listener.missed(missed)
        if not self.attempted.done():
            self.attempted.set_result(None)

    async def _probe(self, line: Line) -> None:
        """Raise when the line has been silent for two probes, or the server has forgotten."""
        unanswered, is_marked = 0, False
        while unanswered < 2:
            line.heard = False
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(self._tuning.probe_s):
                    await self._link.send("SPUBLISH", self._probe_channel, b"")
                    was_marked = await self._mark()
                if is_marked and not was_marked:
                    # A FLUSHALL, say. What is gone is gone; holders of sessions are told.
                    raise ConnectionLost("the server has lost its data")
                is_marked = True
            await asyncio.sleep(self._tuning.probe_s)
            unanswered = 0 if line.heard else unanswered + 1
        raise ConnectionLost("two probes were not answered")

    async def _mark(self) -> bool:
        """Leave a mark at the server that goes with its data; return whether it was there."""
        mark, kept_ms = self._probe_channel, round(self._tuning.probe_s * _MARK_PROBES * 1000)
        return await self._link.send("SET", mark, b"", "PX", kept_ms, "GET") is not None

    async def _until_renewed(self) -> None:
        await self._renew.wait()
        raise ConnectionLost("channels came from another server")

    def _take(self, channel: bytes, payload: bytes) -> None:
        if channel == self._probe_channel:
            return
        actor_id = actor_of(channel)
        try:
            event = decode_event(actor_id, payload)
        except ValueError:
            log.warning("what came in on an actor's channel is not an event")
            self._listener.missed([actor_id])
            return
        if actor_id == EVERYBODY:
            if isinstance(event.change, Emitted):
                self._listener.announced_to_all(event.change)
        else:
            self._listener.announced(event)
