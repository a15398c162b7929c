"""
The three frames of the protocol (SPEC section 2).

A frame is one MessagePack-RPC message in one binary WebSocket message.

Params, results and data may contain a key or a token: the repr omits them, so that a frame can
be logged.
"""

from dataclasses import dataclass, field
from typing import Any

MAX_CALLBACK_ID = 2**32 - 1
MAX_CURSOR = 2**53 - 1
"""Exact also in a language whose numbers are doubles."""


# Not frozen: that takes as long as decoding the bytes, for every command of a server.
@dataclass(slots=True)
class Command:
    """`[0, id, method, params]`: a command of a client; the reply has the same `id`."""

    id: int
    method: str
    params: list[Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """
    `[1, id, error, result]`: the reply to a command.

    `error` is None or a code of SPEC section 6; `result` is then None or a map with
    `message` and `retryAfter` (seconds).
    """

    id: int
    error: str | None
    result: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """
    `[2, name, [data, cursor]]`: an event of the server.

    `cursor` is the position among the events of the actor, or None for an event without a
    position (SPEC section 5.2).
    """

    name: str
    data: Any = field(repr=False)
    cursor: int | None


Frame = Command | Reply | Event
