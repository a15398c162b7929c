"""
What a run leaves behind for the checker: all that was said, heard and answered.

Each item carries the moment at which the client or the backend saw it. The
history is the store's own, and the only thing here that no client can know.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


class Moment(NamedTuple):
    """When something was seen: its place among all moments of the run, and Unix ms."""

    order: int
    ms: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A client sent a command. `session_id` is what it is about, as far as the client knows."""

    at: Moment
    method: str
    session_id: str = ""
    scope: str = ""
    after: int | None = None
    """The cursor that a restore was given."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The reply to a command: refused with `error`, or done."""

    at: Moment
    asked: Asked
    error: str | None = None
    session_id: str = ""
    """The session that was opened or restored."""
    cursor: int | None = None
    recovered: bool = False
    listed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """A client was sent an event."""

    at: Moment
    name: str
    cursor: int | None
    session_id: str = ""
    """The session that a `session.` event tells of."""
    reason: str = ""
    number: int | None = None
    """What tells the application's events from each other."""


Item = Asked | Answered | Heard


@dataclass(slots=True)
class Connection:
    """What one connection said and heard, in order."""

    actor_id: str
    hears_app: bool = False
    """Whether it subscribed to the application's events before anything else."""
    log: list[Item] = field(default_factory=list)
    closed: Moment | None = None
    """When the client saw its end; None: it was there to the last."""


@dataclass(frozen=True, slots=True)
class Request:
    """
    What a backend asked for: `open`, `end`, `endAll`, `emit` or `emitAll`.

    No `answered` means that it is unknown what became of it. Each request has a
    `reason` or a `number` that no other has.
    """

    kind: str
    actor_id: str
    at: Moment
    session_id: str = ""
    reason: str = ""
    number: int | None = None
    answered: Moment | None = None
    status: int = 0
    ended: int = 0
    cursor: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in the store's history. `kind` is `set`, `unset` or `app`."""

    cursor: int
    previous: int
    kind: str
    session_id: str = ""
    reason: str = ""
    ttl_ms: int = 0

    @property
    def ms(self) -> int:
        """The store's clock when it was written."""
        return self.cursor // 1024


@dataclass(slots=True)
class Record:
    """All of it."""

    history_events: int
    """How many events of an actor the servers remember."""
    connections: list[Connection] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    history: dict[str, list[Entry]] = field(default_factory=dict)
    live: dict[str, frozenset[str]] = field(default_factory=dict)
    """The sessions that were live when all was quiet, by actor."""
    read: Moment | None = None
    """When that was."""
