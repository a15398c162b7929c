"""
The commands that have no answer yet, in the order in which they were given.
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
"""Carried out twice, these leave everything as carried out once."""


@dataclass(slots=True, eq=False)
class Call:
    """One command on its way. Its params may hold a key: they stay out of the repr."""

    id: int
    method: CommandName
    params: list[Any] = field(repr=False)
    message: bytes = field(repr=False)
    is_own: bool = False
    """Given by the link itself, to take a conversation up again; belongs to one line."""
    is_sent: bool = False
    is_abandoned: bool = False
    """Nobody waits for the answer any more, but what it says still counts."""


class Calls:
    """The table of calls: waiting to be sent, then waiting for their reply."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._last_id = 0
        self._own_unanswered = 0
        self._own: deque[Call] = deque()
        self._waiting: deque[Call] = deque()
        self._sent: dict[int, Call] = {}

    @property
    def has_own(self) -> bool:
        """Whether the link itself waits for an answer."""
        return self._own_unanswered > 0

    @property
    def has_waiting(self) -> bool:
        """Whether a command of the program waits to be sent."""
        return bool(self._waiting)

    @property
    def in_flight(self) -> bool:
        """Whether a reply is due that somebody waits for."""
        return any(not call.is_abandoned for call in self._sent.values())

    def add(self, method: CommandName, params: list[Any], *, is_own: bool = False) -> Call:
        """
        Put a command in line.

        Raises:
            QueueFull: If as many as allowed are unanswered.
            InvalidParams: If the parameters cannot be written, or are too big.
        """
        if not is_own and len(self._waiting) + len(self._sent) >= self._capacity:
            raise QueueFull
        id_ = self._next_id()
        call = Call(id_, method, params, _encode(Command(id_, method, params)), is_own)
        if is_own:
            self._own_unanswered += 1
            self._own.append(call)
        else:
            self._waiting.append(call)
        return call

    def next_to_send(self) -> Call | None:
        """Take the next call for the line: while the link has calls of its own, only those."""
        if self._own:
            call = self._own.popleft()
        elif self._waiting and not self.has_own:
            call = self._waiting.popleft()
        else:
            return None
        call.is_sent = True
        self._sent[call.id] = call
        return call

    def find(self, id_: int) -> Call | None:
        """Return the sent call that a reply with this id belongs to."""
        return self._sent.get(id_)

    def answered(self, call: Call) -> None:
        """Take a sent call out of the table."""
        del self._sent[call.id]
        if call.is_own:
            self._own_unanswered -= 1

    def abandon(self, call: Call) -> None:
        """Nobody waits for this call any more: do not send it; if it is sent, so be it."""
        call.is_abandoned = True
        if call in self._waiting:
            self._waiting.remove(call)

    def line_lost(self) -> list[Call]:
        """
        Put what is safe to repeat in line again, before what was never sent.

        Returns the calls that must fail, because nobody knows whether they were
        carried out.
        """
        unanswered = [
            call for call in self._sent.values() if not call.is_own and not call.is_abandoned
        ]
        self._sent.clear()
        self._own.clear()
        self._own_unanswered = 0
        again = [call for call in unanswered if call.method in _SAFE_TO_REPEAT]
        self._waiting.extendleft(reversed(again))
        return [call for call in unanswered if call.method not in _SAFE_TO_REPEAT]

    def clear(self) -> list[Call]:
        """Empty the table of what waits to be sent, and return it."""
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting

    def _next_id(self) -> int:
        self._last_id = self._last_id % MAX_CALLBACK_ID + 1
        while self._last_id in self._sent:
            self._last_id = self._last_id % MAX_CALLBACK_ID + 1
        return self._last_id


def can_be_sent(method: CommandName, params: list[Any]) -> bool:
    """Tell whether the command may have these params."""
    try:
        _encode(Command(MAX_CALLBACK_ID, method, params))
    except InvalidParams:
        return False
    return True


def _encode(command: Command) -> bytes:
    try:
        message = encode(command)
    except (TypeError, ValueError, OverflowError, RecursionError):
        # Cut, not chained: the cause may hold what it could not encode.
        raise InvalidParams("the parameters cannot be written as MessagePack") from None
    if len(message) > DEFAULT_LIMITS.size:
        # The server would close the connection on it.
        raise InvalidParams(f"a command is at most {DEFAULT_LIMITS.size} bytes")
    return message
