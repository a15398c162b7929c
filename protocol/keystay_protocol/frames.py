"""
The three frames of the protocol (SPEC section 2).

A frame is one MessagePack-RPC message, carried by one binary WebSocket
message. There is nothing else on the wire.

What a frame carries may be a key or a token, and is the peer's to choose: it
is not part of the repr, so that a frame can be logged.
"""

from dataclasses import dataclass, field
from typing import Any

MAX_CALLBACK_ID = 2**32 - 1
MAX_CURSOR = 2**53 - 1
"""So cursors stay exact in a language whose numbers are doubles."""


# Not frozen: that took as long as decoding the bytes, and a server makes one for all it hears.
@dataclass(slots=True)
class Command:
    """`[0, id, method, params]`: a client asks; `id` comes back with the reply."""

    id: int
    method: str
    params: list[Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """
    `[1, id, error, result]`: the one answer to a command.

    `error` is None or a code from SPEC section 6; `result` is then None or a
    map with `message` and `retryAfter` (seconds).
    """

    id: int
    error: str | None
    result: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """
    `[2, name, [data, cursor]]`: the server tells.

    `cursor` is the event's position among its actor's events, or None for an
    event that belongs to no actor.
    """

    name: str
    data: Any = field(repr=False)
    cursor: int | None


Frame = Command | Reply | Event
