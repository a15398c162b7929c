"""
Notes what happens in a run, as it happens.
"""

import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from keystay_server.stores.records import Policy
from tests.soak.record import Absence, Connection, Moment, Record, Request

PAST_KEYS = 16


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A key, and what it opens."""

    key: str
    session_id: str
    actor_id: str
    is_short: bool = False
    """Whether the session lives for seconds only when nobody holds it."""


class Recorder:
    """The record of the run, its counts, and the keys that its clients share."""

    def __init__(self, history_events: int, policy: Policy) -> None:
        self.record = Record(history_events, policy)
        self.counts: Counter[str] = Counter()
        self._keys: dict[str, dict[str, SharedKey]] = {}
        self._actors: dict[str, str] = {}
        self._past: dict[str, deque[SharedKey]] = {}
        self._last_order = 0
        self._last_number = 0

    def now(self) -> Moment:
        """This moment, which comes after every earlier one."""
        self._last_order += 1
        return Moment(self._last_order, now_ms())

    def number(self) -> int:
        """A number that was not given before."""
        self._last_number += 1
        return self._last_number

    def connect(self, node: int) -> Connection:
        """Begin the log of a new connection."""
        connection = Connection(node)
        self.record.connections.append(connection)
        self.counts["connections"] += 1
        return connection

    def add(self, request: Request) -> None:
        """Note a request, answered or not."""
        self.record.requests.append(request)
        answer = request.status if request.answered else "no answer"
        self.counts[f"backend {request.kind}: {answer}"] += 1

    @contextmanager
    def absent(self, what: str, node: int = 0) -> Iterator[None]:
        """Note that something is away inside of the block."""
        since = now_ms()
        try:
            yield
        finally:
            self.record.absences.append(Absence(what, since, now_ms(), node))

    def share(self, key: SharedKey) -> None:
        """Let all clients of the actor use the key."""
        self._keys.setdefault(key.actor_id, {})[key.session_id] = key
        self.note(key.session_id, key.actor_id)

    def note(self, session_id: str, actor_id: str) -> None:
        """Remember whose session it is."""
        self._actors[session_id] = actor_id

    def withdraw(self, session_id: str) -> None:
        """The session is over: from now on its key is used only to see that it is."""
        actor_id = self.actor_of(session_id)
        key = self._keys.get(actor_id, {}).pop(session_id, None)
        if key is not None:
            self._past.setdefault(actor_id, deque(maxlen=PAST_KEYS)).append(key)

    def actor_of(self, session_id: str) -> str:
        """Whose session it is; empty if that was never noted."""
        return self._actors.get(session_id, "")

    def keys_of(self, actor_id: str) -> list[SharedKey]:
        """The keys that the actor's clients may use."""
        return list(self._keys.get(actor_id, {}).values())

    def past_keys_of(self, actor_id: str) -> list[SharedKey]:
        """The keys of sessions that are over, the latest ones."""
        return list(self._past.get(actor_id, ()))

    def is_shared(self, key: SharedKey) -> bool:
        """Whether the session is not known to be over."""
        return key.session_id in self._keys.get(key.actor_id, {})

    def short_keys(self) -> Iterator[SharedKey]:
        """The keys of all sessions that live for seconds only."""
        for keys in self._keys.values():
            yield from (key for key in keys.values() if key.is_short)


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def state_of(number: object, language: str) -> str:
    """What is compared of a session: the number in its meta, and its language."""
    return f"{number or 0} {language}"
