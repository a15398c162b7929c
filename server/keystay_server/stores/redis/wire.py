"""
One connection to a server, as far as redis-py's is used here.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Protocol

from hiredis import pack_command
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

Word = bytes | str | int


class Wire(Protocol):
    """What is used of redis-py's connection."""

    @property
    def is_connected(self) -> bool:
        """Tell whether there is a socket; its other end may be gone."""

    async def connect(self) -> None:
        """Connect, authenticate and choose the database, unless that is done."""

    async def disconnect(self, nowait: bool = False) -> None:
        """Close the socket; `nowait` does not wait until it is closed."""

    async def can_read(self) -> bool:
        """Tell whether something came in unasked, or the other end has closed."""

    async def send_packed_command(self, command: Iterable[bytes]) -> None:
        """Write commands; on any error, or if cancelled, the socket is closed."""

    async def read_response(self, *, disable_decoding: bool, timeout: float) -> Any:  # noqa: ASYNC109
        """Read one answer; on any error but a refusal, or if cancelled, the socket closes."""


def pack(*words: Word) -> bytes:
    """A command, as it goes over the wire."""
    packed: bytes = pack_command(words)  # type: ignore[arg-type]  # Typed as a tuple of one word.
    return packed


async def send(wire: Wire, packed: Iterable[bytes]) -> None:
    """Write commands."""
    try:
        await wire.send_packed_command(packed)
    except RuntimeError as error:
        # uvloop's word for a socket that was closed a moment ago.
        raise ConnectionLost("the connection is closed") from error


async def close(wire: Wire, *, nowait: bool = False) -> None:
    """Close the socket, whatever the other end makes of it."""
    with suppress(RedisError, OSError):
        await wire.disconnect(nowait=nowait)
