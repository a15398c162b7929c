"""
Notes what happens in a run, as it happens.
"""

import time
from collections import Counter, deque
from dataclasses import dataclass

from tests.soak.record import Connection, Moment, Record, Request

PAST_KEYS = 16


@dataclass(frozen=True, slots=True)
class Ticket:
    """A key, and what it opens."""

    key: str
    session_id: str
    is_short: bool = False
    """Whether the session lives for seconds only when nobody holds it."""


class Recorder:
    """The record of the run, its counts, and the keys that its clients share."""

    def __init__(self, history_events: int) -> None:
        self.record = Record(history_events)
        self.counts: Counter[str] = Counter()
        self.tickets: dict[str, dict[str, Ticket]] = {}
        self.past: dict[str, deque[Ticket]] = {}
        self._last_order = 0
        self._last_number = 0

    def now(self) -> Moment:
        """This moment, which comes after every earlier one."""
        self._last_order += 1
        return Moment(self._last_order, time.time_ns() // 1_000_000)

    def number(self) -> int:
        """A number that was not given before."""
        self._last_number += 1
        return self._last_number

    def connect(self, actor_id: str) -> Connection:
        """Begin the log of a new connection."""
        connection = Connection(actor_id)
        self.record.connections.append(connection)
        self.counts["connections"] += 1
        return connection

    def add(self, request: Request) -> None:
        """Note a request, answered or not."""
        self.record.requests.append(request)
        answer = request.status if request.answered else "no answer"
        self.counts[f"backend {request.kind}: {answer}"] += 1

    def share(self, actor_id: str, ticket: Ticket) -> None:
        """Let all clients of the actor use the key."""
        self.tickets.setdefault(actor_id, {})[ticket.session_id] = ticket

    def withdraw(self, actor_id: str, session_id: str) -> None:
        """The session is over: from now on its key is used only to see that it is."""
        ticket = self.tickets.get(actor_id, {}).pop(session_id, None)
        if ticket is not None:
            self.past.setdefault(actor_id, deque(maxlen=PAST_KEYS)).append(ticket)
