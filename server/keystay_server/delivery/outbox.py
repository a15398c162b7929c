"""
The way out to one client, bounded.

Invariant: nobody ever waits for a slow client. What it does not
take is held up to a bound in bytes here, and in time by whoever keeps the
transport's clock; then it is cut off, and told so.
"""

from typing import Protocol

MAX_OUTBOX_BYTES = 1024 * 1024

HELD_BYTES = 16 * 1024
"""How much is held, at most, to be written together."""


class Wire(Protocol):
    """What an outbox writes to: a socket's transport, or a list in a test."""

    def write(self, data: bytes, /) -> None:
        """Take the bytes; never block."""

    def get_write_buffer_size(self) -> int:
        """How many bytes were taken but not yet passed on."""


class Owner(Protocol):
    """Whose client it is that takes too little."""

    def too_slow(self) -> None:
        """The bound was passed: cut this client off."""


class Outbox:
    """
    Sends finished WebSocket frames to one client.

    After `shut` everything is dropped: the client is being told goodbye, or is
    gone, and comes back with a cursor.
    """

    __slots__ = ("_held", "_max_bytes", "_owner", "_wire", "shut")

    def __init__(self, wire: Wire, owner: Owner, max_bytes: int = MAX_OUTBOX_BYTES) -> None:
        self._wire = wire
        self._owner = owner
        self._max_bytes = max_bytes
        self._held: bytearray | None = None
        self.shut = False

    def send(self, data: bytes) -> None:
        """Send, or cut the client off if too much is waiting for it already."""
        if self.shut:
            return
        if self._held is not None:
            self._held += data
            if len(self._held) < HELD_BYTES:
                return
            data, self._held = bytes(self._held), bytearray()
        self._wire.write(data)
        if self._wire.get_write_buffer_size() > self._max_bytes:
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
