"""
The commands without a reply, in the order in which they were submitted.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from keystay.errors import QueueFull
from keystay_protocol.codec import DEFAULT_LIMITS, encode
from keystay_protocol.commands import CommandName
from keystay_protocol.errors import InvalidParams
from keystay_protocol.frames import MAX_CALLBACK_ID, Command

_SAFE_TO_REPEAT = frozenset(
    {
        CommandName.IS_VALID,
        CommandName.RESTORE,
        CommandName.LIST,
        CommandName.SUBSCRIBE,
        CommandName.UNSUBSCRIBE,
        CommandName.NOW,
    }
)
"""Commands that are idempotent: executing them twice has the effect of once."""


@dataclass(slots=True, eq=False)
class Call:
    """One command and its state. The params may contain a key: the repr omits them."""

    id: int
    method: CommandName
    params: list[Any] = field(repr=False)
    message: bytes = field(repr=False)
    is_internal: bool = False
    """Submitted by the conversation itself to resume it; belongs to one transport."""
    is_sent: bool = False
    is_abandoned: bool = False
    """No caller waits for the reply, but its result is still applied."""


class Calls:
    """The table of calls: first waiting to be sent, then waiting for their reply."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._last_id = 0
        self._internal_unanswered = 0
        self._internal: deque[Call] = deque()
        self._waiting: deque[Call] = deque()
        self._sent: dict[int, Call] = {}

    @property
    def has_internal(self) -> bool:
        """Whether an internal call has no reply yet."""
        return self._internal_unanswered > 0

    @property
    def has_waiting(self) -> bool:
        """Whether a command of the program waits to be sent."""
        return bool(self._waiting)

    @property
    def in_flight(self) -> bool:
        """Whether a caller waits for the reply to a call that was sent."""
        return any(not call.is_abandoned for call in self._sent.values())

    def add(self, method: CommandName, params: list[Any], *, is_internal: bool = False) -> Call:
        """
        Append a command to the queue.

        Raises:
            QueueFull: If `capacity` commands have no reply.
            InvalidParams: If the parameters cannot be encoded, or are too large.
        """
        if not is_internal and len(self._waiting) + len(self._sent) >= self._capacity:
            raise QueueFull
        id_ = self._next_id()
        call = Call(id_, method, params, _encode(Command(id_, method, params)), is_internal)
        if is_internal:
            self._internal_unanswered += 1
            self._internal.append(call)
        else:
            self._waiting.append(call)
        return call

    def next_to_send(self) -> Call | None:
        """Take the next call to send; only internal ones while one of them has no reply."""
        if self._internal:
            call = self._internal.popleft()
        elif self._waiting and not self.has_internal:
            call = self._waiting.popleft()
        else:
            return None
        call.is_sent = True
        self._sent[call.id] = call
        return call

    def find(self, id_: int) -> Call | None:
        """Return the sent call with this id."""
        return self._sent.get(id_)

    def answered(self, call: Call) -> None:
        """Remove a sent call from the table."""
        del self._sent[call.id]
        if call.is_internal:
            self._internal_unanswered -= 1

    def abandon(self, call: Call) -> None:
        """The caller stopped waiting: do not send the call, if it was not sent yet."""
        call.is_abandoned = True
        if call in self._waiting:
            self._waiting.remove(call)

    def transport_lost(self) -> list[Call]:
        """
        Queue the idempotent calls again, before those that were never sent.

        Returns the calls that must fail, because it is unknown whether they were executed.
        """
        unanswered = [
            call
            for call in self._sent.values()
            if not call.is_internal and not call.is_abandoned
        ]
        self._sent.clear()
        self._internal.clear()
        self._internal_unanswered = 0
        again = [call for call in unanswered if call.method in _SAFE_TO_REPEAT]
        self._waiting.extendleft(reversed(again))
        return [call for call in unanswered if call.method not in _SAFE_TO_REPEAT]

    def clear(self) -> list[Call]:
        """Remove the calls that wait to be sent, and return them."""
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting

    def _next_id(self) -> int:
        self._last_id = self._last_id % MAX_CALLBACK_ID + 1
        while self._last_id in self._sent:
            self._last_id = self._last_id % MAX_CALLBACK_ID + 1
        return self._last_id


def is_encodable(method: CommandName, params: list[Any]) -> bool:
    """Return whether a command with these params can be sent."""
    try:
        _encode(Command(MAX_CALLBACK_ID, method, params))
    except InvalidParams:
        return False
    return True


def _encode(command: Command) -> bytes:
    try:
        message = encode(command)
    except (TypeError, ValueError, OverflowError, RecursionError):
        # Not chained: the cause may contain the value that it could not encode.
        raise InvalidParams("the parameters cannot be encoded as MessagePack") from None
    if len(message) > DEFAULT_LIMITS.size:
        # The server would close the connection.
        raise InvalidParams(f"a command is at most {DEFAULT_LIMITS.size} bytes")
    return message
