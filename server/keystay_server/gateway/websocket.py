"""
Clients over WebSocket (RFC 6455): websockets' Sans-I/O layer, driven by an `asyncio.Protocol`.

Invariant: whatever a peer sends, or does not read, costs a bounded amount of memory, and the
connection ends a bounded time later. There is no task and no timer per connection: data comes
by callback, and the listener calls `check` on every connection twice a second.
"""

import asyncio
import logging
import struct
from typing import Protocol, cast

from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, State
from websockets.protocol import Protocol as Frames

try:
    from websockets.speedups import apply_mask
except ImportError:  # no C compiler, no wheel
    from websockets.utils import apply_mask

from keystay_protocol.errors import CloseCode
from keystay_server.delivery.outbox import Outbox
from keystay_server.gateway.connection import Connection, Node
from keystay_server.gateway.deadlines import Deadlines, Due

# Parsed at once: bounds the objects in memory when a peer packs thousands of tiny WebSocket
# frames into one segment.
SLICE_BYTES = 4096
# Read from one connection before others have their turn.
TURN_BYTES = 16 * 1024
MAX_FRAGMENTS = 4096
HIGH_WATER_BYTES = 64 * 1024
MAX_CLOSE_REASON_BYTES = 123  # RFC 6455, 5.5: a control frame holds 125, two are the code.

log = logging.getLogger("keystay.websocket")

# At DEBUG the library logs requests, cookies and messages; at INFO, a line per connection,
# which this module writes already.
_library_log = logging.getLogger("keystay.websocket.library")
_library_log.setLevel(logging.WARNING)


class Listener(Protocol):
    """Accepted the connection, and checks its deadlines."""

    node: Node

    def closed(self, websocket: "WebSocket") -> None:
        """Forget it."""


def frame(payload: bytes) -> bytes:
    """Encode a message as a binary WebSocket frame of a server (RFC 6455, 5.2)."""
    length = len(payload)
    if length < 126:
        return bytes((0x82, length)) + payload
    if length < 65536:
        return struct.pack("!BBH", 0x82, 126, length) + payload
    return struct.pack("!BBQ", 0x82, 127, length) + payload


class KeystayFrames(Frames):
    """
    The library's parser of WebSocket frames, of an open connection.

    `is_between_frames`: whether the data received so far ended with a frame.
    """

    is_between_frames = True

    def receive_data(self, data: bytes | bytearray) -> None:
        """Take data from the network."""
        self.is_between_frames = False
        super().receive_data(data)

    def recv_frame(self, frame: Frame) -> None:
        """Called with each frame that was read."""
        # Only now: later, an empty buffer may also mean that half a frame was read from it.
        self.is_between_frames = not self.reader.buffer
        super().recv_frame(frame)


class WebSocket(asyncio.Protocol):
    """One client's WebSocket: the transport of one `Connection`."""

    __slots__ = (
        "_deadlines",
        "_fragments",
        "_frames",
        "_has_received",
        "_is_blocked",
        "_listener",
        "_loop",
        "_message",
        "_outbox",
        "_transport",
        "_unread",
        "address",
        "connection",
        "is_draining",
    )

    def __init__(
        self,
        listener: Listener,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        deadlines: Deadlines,
        address: str,
    ) -> None:
        node = listener.node
        self._listener = listener
        self._loop = loop
        self._transport = transport
        self._deadlines = deadlines
        self._frames = KeystayFrames(SERVER, max_size=node.limits.size, logger=_library_log)
        self._has_received = False
        self._is_blocked = False
        # A message whose fragments are still coming, and how many came.
        self._message: bytearray | None = None
        self._fragments = 0
        # Data that came while the connection was full.
        self._unread = b""
        # The node is stopping: commands under way are finished, nothing new is read.
        self.is_draining = False
        self.address = address
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._outbox = Outbox(transport, self, node.max_outbox_bytes)
        self.connection = Connection(node, self, self._outbox, address)
        log.info("connection opened", extra={"address": address})

    # What asyncio calls.

    def data_received(self, data: bytes) -> None:
        self._has_received = True
        self._read(self._unread + data if self._unread else data)

    def eof_received(self) -> None:
        self._unread = b""
        self._frames.receive_eof()
        self._flush()
        self._leave(is_end=False)  # The transport closes once its buffer was sent.

    def connection_lost(self, exc: Exception | None) -> None:
        self._outbox.shut = True
        self._unread = b""
        self._listener.closed(self)
        self.connection.lost()
        close = self._frames.close_sent or self._frames.close_rcvd
        log.info(
            "connection closed",
            extra={"address": self.address, "code": close.code if close else 1006},
        )

    def pause_writing(self) -> None:
        self._is_blocked = True

    def resume_writing(self) -> None:
        self._is_blocked = False
        self.resume()

    # What the connection, its outbox and the listener call.

    def too_slow(self) -> None:
        """Close: the client does not read its events."""
        self._listener.node.counts.slow_clients += 1
        self.close(CloseCode.TOO_SLOW, "too slow")

    def close(self, code: int, reason: str) -> None:
        """Send a close frame; whatever the peer does, the connection ends soon after."""
        self._outbox.release()
        if self._frames.state is State.OPEN:
            short = reason.encode()[:MAX_CLOSE_REASON_BYTES].decode(errors="ignore")
            self._frames.send_close(code, short)
        self._flush()
        self.resume()  # The answer to the close frame is behind what was held back.

    def abort(self) -> None:
        """Drop the connection at once."""
        self._transport.abort()

    def resume(self) -> None:
        """Read what was held back while the connection was full."""
        if self._unread:
            self._read(self._unread)

    def check(self, now: float) -> None:
        """Do what is due. `now` is the loop's time."""
        has_received, self._has_received = self._has_received, False
        due = self._deadlines.due(
            now,
            has_received=has_received or bool(self._unread),
            is_bound=self.connection.peer.was_bound,
            is_blocked=self._is_blocked,
        )
        if due is None:
            return
        if due is Due.PING:
            self._frames.send_ping(b"")
            self._flush()
        elif due is Due.NO_SESSION:
            self.close(CloseCode.NO_SESSION_IN_TIME, "no session within the deadline")
        elif due is Due.TOO_SLOW:
            self.too_slow()
        else:
            self.abort()

    @property
    def waiting_bytes(self) -> int:
        """How much the client has not read yet."""
        return self._transport.get_write_buffer_size()

    # Reading.

    @property
    def _is_held_back(self) -> bool:
        # Nothing more is read from a client that does not read its replies. After a close frame
        # was sent, the rest is read: the client's close frame is at its end.
        if self._is_blocked or self._outbox.shut:
            return self._is_blocked
        return self.is_draining or self.connection.is_full

    def _read(self, data: bytes) -> None:
        """Process received data, up to the limits of the connection and of one turn."""
        was_held_back, self._unread = bool(self._unread), b""
        start, size = self._receive_whole(data, 0), len(data)
        if start == size and not was_held_back:
            return  # Nearly always.
        while start < min(size, TURN_BYTES) and not self._is_held_back:
            start = self._receive_whole(data, start)
            if start < size:
                self._parse(data[start : start + SLICE_BYTES])
                start += SLICE_BYTES
        if start < size:
            self._unread = data[start:]
            self._transport.pause_reading()
            if not self._is_held_back:
                self._loop.call_soon(self.resume)  # Others first.
        elif was_held_back and not self._transport.is_closing():
            self._transport.resume_reading()

    def _receive_whole(self, data: bytes, start: int) -> int:
        """
        Receive messages that are one small WebSocket frame each; return where they end.

        Nearly every command is one; this takes a fifth of the library's time. The library
        continues at the first byte of anything else.
        """
        connection, frames, size = self.connection, self._frames, len(data)
        outbox = self._outbox
        if self._message is not None or not frames.is_between_frames:
            return start  # The library is in the middle of a message.
        end = size - 5 if size < TURN_BYTES else TURN_BYTES
        while start < end:
            # RFC 6455, 5.2: FIN and binary; masked, with a length of one byte; the mask.
            length = data[start + 1] ^ 0x80
            stop = start + 6 + length
            if data[start] != 0x82 or length > 125 or stop > size:
                break
            if outbox.shut or self._is_blocked or self.is_draining or connection.is_full:
                break
            if stop < end:
                # The replies to 16 commands in one write take half the time of 16 writes.
                outbox.hold()
            connection.receive(apply_mask(data[start + 6 : stop], data[start + 2 : start + 6]))
            start = stop
        if outbox.is_holding:
            outbox.release()
        return start

    def _parse(self, data: bytes) -> None:
        self._frames.receive_data(data)
        for event in self._frames.events_received():
            # The library may already have answered a close frame that came after it.
            if not self._outbox.shut:
                self._receive(cast("Frame", event))
        self._flush()

    def _receive(self, received: Frame) -> None:
        if received.opcode is Opcode.BINARY and received.fin:
            self.connection.receive(cast("bytes", received.data))
        elif received.opcode is Opcode.TEXT:
            self.close(CloseCode.UNSUPPORTED_DATA, "binary messages only")
        elif received.opcode is Opcode.BINARY or received.opcode is Opcode.CONT:
            self._receive_fragment(received)

    def _receive_fragment(self, received: Frame) -> None:
        if self._message is None:
            self._message = bytearray()
        self._message += received.data
        self._fragments += 1
        if self._fragments > MAX_FRAGMENTS:
            # As for a message of too many bytes: nothing after it is read.
            self._frames.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self._flush()
        elif received.fin:
            message, self._message, self._fragments = self._message, None, 0
            self.connection.receive(message)

    def _flush(self) -> None:
        """Send the library's output: pongs, close frames and the end."""
        data = self._frames.data_to_send()
        if data:
            self._transport.write(b"".join(data))
            if self._frames.state is not State.OPEN and self._frames.close_expected():
                self._leave(is_end=not data[-1])

    def _leave(self, *, is_end: bool) -> None:
        if not self._outbox.shut:
            self._outbox.shut = True
            self._deadlines.closing(self._loop.time())
        if is_end:
            # Half-closed, so that the peer reads our close frame, whatever it still sends.
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()
