"""
One client, from its messages to its replies, independent of the transport.

Invariant: the commands of a connection run one after another, and
their replies leave in the order the commands came.
"""

from asyncio import Task
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from keystay_protocol.codec import DEFAULT_LIMITS, Limits, decode_command
from keystay_protocol.commands import CommandName
from keystay_protocol.errors import CloseCode, MalformedFrame
from keystay_server.delivery.bindings import Peer
from keystay_server.delivery.outbox import MAX_OUTBOX_BYTES, Outbox
from keystay_server.gateway.context import Context, Services
from keystay_server.gateway.dispatch import Dispatcher
from keystay_server.telemetry.counts import Counts


@dataclass(frozen=True, slots=True)
class Node:
    """
    What all connections of this server process share.

    `frame` encodes a message for an outbox; `on_activity` is called with the first command of a
    connection after its session was extended; `max_in_flight` bounds the commands of one
    connection under way, `max_outbox_bytes` what may wait for a slow client.
    """

    services: Services
    dispatcher: Dispatcher
    frame: Callable[[bytes], bytes]
    limits: Limits = DEFAULT_LIMITS
    max_in_flight: int = 32
    max_outbox_bytes: int = MAX_OUTBOX_BYTES
    on_activity: Callable[[Peer], None] = lambda peer: None
    counts: Counts = field(default_factory=Counts)


class Transport(Protocol):
    """Sends and receives the bytes of a connection."""

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and end the connection."""

    def resume(self) -> None:
        """Deliver the messages that were held back: there is room again."""


class Connection:
    """
    One client's commands.

    The transport calls `receive` with one whole message at a time, holds messages back while
    `is_full`, and calls `lost` at the end.
    """

    __slots__ = (
        "_backlog",
        "_backlog_bytes",
        "_context",
        "_is_lost",
        "_node",
        "_task",
        "_transport",
    )

    def __init__(
        self, node: Node, transport: Transport, outbox: Outbox, address: str = ""
    ) -> None:
        self._node = node
        self._transport = transport
        self._context = Context(node.services, Peer(outbox, address))
        self._task: Task[bytes] | None = None
        # Not decoded before its turn: 64 KiB of empty maps are 5 MB of objects.
        # Most connections never need one.
        self._backlog: deque[bytes | bytearray] | None = None
        self._backlog_bytes = 0
        self._is_lost = False
        node.services.hub.enter(self.peer)

    @property
    def peer(self) -> Peer:
        """This connection as the hub knows it."""
        return self._context.peer

    @property
    def is_full(self) -> bool:
        """Whether the limit of commands under way, or of their bytes, is reached."""
        if self._task is None:
            return False
        waiting = 0 if self._backlog is None else len(self._backlog)
        return (
            1 + waiting >= self._node.max_in_flight
            or self._backlog_bytes >= self._node.limits.size
        )

    def receive(self, message: bytes | bytearray) -> None:
        """Run the command in the message, now or after those before it."""
        if self._task is not None:
            if self._backlog is None:
                self._backlog = deque()
            self._backlog.append(message)
            self._backlog_bytes += len(message)
            return
        self._run(message)

    def lost(self) -> None:
        """The client is gone. Its command under way is finished nevertheless."""
        self._is_lost = True
        self._backlog = None
        self._node.services.hub.leave(self.peer)

    def _run(self, message: bytes | bytearray) -> None:
        try:
            command = decode_command(message, self._node.limits)
        except MalformedFrame as error:
            self._backlog = None
            self._transport.close(CloseCode.MALFORMED_FRAME, str(error))
            return
        node, context, peer = self._node, self._context, self._context.peer
        # `time.now` is the ping of clients that have none.
        if not peer.has_sent and command.method != CommandName.NOW:
            peer.has_sent = True
            node.on_activity(peer)
        reply = node.dispatcher.run(context, command)
        if isinstance(reply, bytes):
            peer.outbox.send(node.frame(reply))
        else:
            self._task = reply
            reply.add_done_callback(self._replied)

    def _replied(self, task: Task[bytes]) -> None:
        was_full = self.is_full
        self._task = None
        if self._is_lost:
            # A restore that was under way may have bound the connection meanwhile.
            self._node.services.hub.leave(self.peer)
        elif not task.cancelled():
            self.peer.outbox.send(self._node.frame(task.result()))
            while self._backlog and self._task is None:
                message = self._backlog.popleft()
                self._backlog_bytes -= len(message)
                self._run(message)
            if was_full and not self.is_full:
                self._transport.resume()
