"""
One connection that announcements come in on.

Redis answers in order, so the n-th confirmation of a channel belongs to the
n-th SSUBSCRIBE sent for it. That is what makes watch, unwatch and watch again
in quick succession come out right.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from redis.exceptions import ConnectionError as ConnectionLost

from keystay_server.stores.base import out_of_reach
from keystay_server.stores.redis.wire import Wire, close, pack, send

_COMMANDS_PER_WRITE = 1000


class Line:
    """
    Subscriptions over one connection, which the line owns.

    Whoever makes it opens it, runs `read` and `write` until one of them
    raises, and closes it.

    Args:
        take: Called with channel and payload of each message on a subscribed channel.
        subscribed: Channels whose messages are wanted from the start; they still
            have to be asked for with `subscribe`.
    """

    def __init__(
        self, wire: Wire, take: Callable[[bytes, bytes], None], subscribed: Iterable[bytes] = ()
    ) -> None:
        self.subscribed = set(subscribed)
        self.heard = False
        """Set with everything that comes in; cleared by whoever wants to know."""
        self._wire = wire
        self._take = take
        self._asked: dict[bytes, deque[asyncio.Future[None]]] = {}
        # Bounded by what is watched: a write that takes too long breaks the line.
        self._outgoing: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._open = False

    async def open(self) -> None:
        """Connect."""
        await self._wire.connect()
        self._open = True

    async def close(self) -> None:
        """Disconnect. What was asked for and not confirmed is Unavailable."""
        self._open = False
        for asked in self._asked.values():
            _fail(asked)
        self._asked.clear()
        await close(self._wire)

    def subscribe(self, channel: bytes) -> asyncio.Future[None]:
        """Ask for a channel; done when the server has confirmed, Unavailable if it cannot."""
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(channel, deque()).append(confirmed)
        if self._open:
            self._send(b"SSUBSCRIBE", channel)
        else:
            _fail(self._asked.pop(channel))
        return confirmed

    def unsubscribe(self, channel: bytes) -> None:
        """Want no more of a channel."""
        self.forget(channel)
        if self._open:
            self._send(b"SUNSUBSCRIBE", channel)

    def forget(self, channel: bytes) -> None:
        """Take no more from a channel, and give up asking for it."""
        self.subscribed.discard(channel)
        _fail(self._asked.get(channel, ()))

    async def write(self) -> None:
        """Send what is asked for, until the connection breaks."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outgoing:
                packed = list(islice(self._outgoing, _COMMANDS_PER_WRITE))
                for _ in packed:
                    self._outgoing.popleft()
                await send(self._wire, packed)

    async def read(self) -> None:
        """Take in confirmations and messages, until the connection breaks."""
        while True:
            came = await self._wire.read_response(disable_decoding=True, timeout=math.inf)
            self.heard = True
            match came:
                case [b"smessage", bytes(channel), bytes(payload)]:
                    if channel in self.subscribed:
                        self._take(channel, payload)
                case [b"ssubscribe", bytes(channel), _]:
                    self._confirmed(channel)
                case [b"sunsubscribe", bytes(channel), _] if channel in self.subscribed:
                    # Nobody asked for that, unless it was to subscribe again right after.
                    if channel not in self._asked:
                        raise ConnectionLost("the channel has moved to another server")

    def _send(self, *words: bytes) -> None:
        self._outgoing.append(pack(*words))
        self._wake.set()

    def _confirmed(self, channel: bytes) -> None:
        asked = self._asked[channel]
        confirmed = asked.popleft()
        if not asked:
            del self._asked[channel]
        if not confirmed.done():
            self.subscribed.add(channel)
            confirmed.set_result(None)
        elif not asked and channel not in self.subscribed:
            # Whoever asked has gone away meanwhile.
            self._send(b"SUNSUBSCRIBE", channel)


def _fail(asked: Iterable[asyncio.Future[None]]) -> None:
    for confirmed in asked:
        if not confirmed.done():
            confirmed.set_exception(out_of_reach("the store does not answer"))
