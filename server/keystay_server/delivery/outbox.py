"""
The bounded queue of what is sent to one client.

Invariant: nothing waits for a slow client. What it does not read is held up to a bound
in bytes here, and a bound in time in `gateway/deadlines.py`; then its connection is
closed with a code that says so.
"""

from typing import Protocol

MAX_OUTBOX_BYTES = 1024 * 1024

HELD_BYTES = 16 * 1024
"""How much is held, at most, to be written together."""


class Transport(Protocol):
    """What an outbox writes to: a socket's transport, or a list in a test."""

    def write(self, data: bytes, /) -> None:
        """Take the bytes; never block."""

    def get_write_buffer_size(self) -> int:
        """Return how many bytes were written but not yet sent."""


class Owner(Protocol):
    """The owner of the connection."""

    def too_slow(self) -> None:
        """The bound was passed: close the connection."""


class Outbox:
    """
    Sends finished WebSocket frames to one client.

    After `shut` everything is dropped: the connection is closing or closed, and the
    client comes back with a cursor.
    """

    __slots__ = ("_held", "_max_bytes", "_owner", "_transport", "shut")

    def __init__(
        self, transport: Transport, owner: Owner, max_bytes: int = MAX_OUTBOX_BYTES
    ) -> None:
        self._transport = transport
        self._owner = owner
        self._max_bytes = max_bytes
        self._held: bytearray | None = None
        self.shut = False

    def send(self, data: bytes) -> None:
        """Send, or close the connection if too much is waiting already."""
        if self.shut:
            return
        if self._held is not None:
            self._held += data
            if len(self._held) < HELD_BYTES:
                return
            data, self._held = bytes(self._held), bytearray()
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > self._max_bytes:
            self._owner.too_slow()

    @property
    def is_holding(self) -> bool:
        """Whether what is sent is kept until `release`."""
        return self._held is not None

    def hold(self) -> None:
        """Keep what is sent until `release`, to be written together."""
        if self._held is None:
            self._held = bytearray()

    def release(self) -> None:
        """Write what was kept."""
        held, self._held = self._held, None
        if held:
            self.send(bytes(held))
