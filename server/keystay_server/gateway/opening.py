"""
A connection before it is a WebSocket: reads the request, answers it, and hands the bytes over.
"""

import asyncio
from http import HTTPStatus
from typing import Protocol, cast

from keystay_server.gateway.deadlines import Deadlines, Timings
from keystay_server.gateway.handshake import (
    Upgrade,
    encode_refusal,
    refusal_of_limit,
    respond,
)
from keystay_server.gateway.http_head import HeadReader, RequestHead
from keystay_server.gateway.limits import Full
from keystay_server.gateway.origin_policy import OriginPolicy
from keystay_server.gateway.refusals import Reason, Refusal, RefusalRecorder, Refused


class Listener(Protocol):
    """Accepted the connection, and checks its deadline."""

    timings: Timings
    origins: OriginPolicy
    refusals: RefusalRecorder

    def connected(self, opening: "Opening", descriptor: int) -> Full | None:
        """Count it; return the limit that is reached, if one is."""

    def upgraded(
        self, opening: "Opening", transport: asyncio.Transport, deadlines: Deadlines
    ) -> asyncio.Protocol:
        """Return the WebSocket that takes its place."""

    def disconnected(self, opening: "Opening") -> None:
        """Forget it."""


class Opening(asyncio.Protocol):
    """One client in the opening handshake."""

    __slots__ = (
        "_deadlines",
        "_full",
        "_head",
        "_listener",
        "_loop",
        "_transport",
        "address",
        "is_draining",
    )

    _transport: asyncio.Transport

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._loop = loop
        self._deadlines = Deadlines(listener.timings, loop.time())
        # None once the request was answered.
        self._head: HeadReader | None = HeadReader()
        self._full: Full | None = None
        self.address = ""
        self.is_draining = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.address = _address(transport)
        self._full = self._listener.connected(self, _descriptor(transport))
        if self._full is Full.DESCRIPTORS:
            # At once: until it is closed it takes one of those that are kept back.
            self._refuse(refusal_of_limit(self._full))
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._head is None:
            return  # What comes after the answer is discarded.
        try:
            read = self._head.feed(data)
            if read is not None:
                self._answer(*read)
        except Refused as refused:
            self._refuse(refused.refusal)

    def eof_received(self) -> None:
        if self._head is not None and self._head.has_begun:
            text = "the client closed its side within the head of a request"
            self._refuse(Refusal(Reason.MALFORMED, HTTPStatus.BAD_REQUEST, text))

    def connection_lost(self, exc: Exception | None) -> None:
        self._head = None
        self._listener.disconnected(self)

    # What the listener calls.

    @property
    def is_counted(self) -> bool:
        """Whether it counts for the limits; one that is beyond them does not."""
        return self._full is None

    def check(self, now: float) -> None:
        """Drop the connection at its deadline. `now` is the loop's time."""
        if not self._deadlines.due(now, has_received=True, is_bound=False, is_blocked=False):
            return
        if self._head is not None and self._head.has_begun:
            text = "the handshake was not complete in time"
            self._listener.refusals.record(Refusal(Reason.TIMEOUT, None, text), self.address)
        self.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._transport.abort()

    def _answer(self, head: RequestHead, rest: bytes) -> None:
        full = Full.DRAINING if self.is_draining else self._full
        limit = None if full is None else refusal_of_limit(full)
        answer = respond(head, self._listener.origins, limit)
        self._transport.write(answer.encode())
        if not isinstance(answer, Upgrade):
            self._end()
            return
        self._head = None
        self._deadlines.handshake_complete(self._loop.time())
        websocket = self._listener.upgraded(self, self._transport, self._deadlines)
        self._transport.set_protocol(websocket)
        if rest:
            websocket.data_received(rest)

    def _refuse(self, refusal: Refusal) -> None:
        self._listener.refusals.record(refusal, self.address)
        if refusal.status is None:
            self.abort()
        else:
            self._transport.write(encode_refusal(refusal, refusal.status))
            self._end()

    def _end(self) -> None:
        self._head = None
        self._deadlines.closing(self._loop.time())
        # Half-closed, so that the client reads the answer, whatever it still sends.
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()


def _address(transport: asyncio.BaseTransport) -> str:
    peername = transport.get_extra_info("peername")
    address = str(peername[0]) if peername else ""
    # An IPv4 client of a dual-stack socket.
    return address.removeprefix("::ffff:") if "." in address else address


def _descriptor(transport: asyncio.BaseTransport) -> int:
    accepted = transport.get_extra_info("socket")
    return 0 if accepted is None else int(accepted.fileno())
