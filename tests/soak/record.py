"""
What a run leaves behind for the checker: all that was sent, received and answered.

Each item carries the moment at which the client or the backend saw it. The
history is the store's own, and the only thing here that no client can know.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from keystay_server.stores.records import UNLIMITED, Policy


class Moment(NamedTuple):
    """When something was seen: its place among all moments of the run, and Unix ms."""

    order: int
    ms: int


@dataclass(frozen=True, slots=True)
class Command:
    """A client sent a command. `session_id` is what it is about, as far as the client knows."""

    at: Moment
    method: str
    actor_id: str = ""
    session_id: str = ""
    scope: str = ""
    after: int | None = None
    """The cursor that a restore was given."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to a command: refused with `error`, or done."""

    at: Moment
    command: Command
    error: str | None = None
    session_id: str = ""
    """The session that was opened or restored."""
    cursor: int | None = None
    recovered: bool = False
    state: str = ""
    """What its meta and language are."""
    expires_at: int = 0
    listed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """A client received an event."""

    at: Moment
    name: str
    cursor: int | None
    actor_id: str = ""
    session_id: str = ""
    """The session that a `session.` event is about."""
    reason: str = ""
    number: int | None = None
    """What distinguishes the application's events."""
    state: str = ""
    expires_at: int = 0


Item = Command | Reply | Event


@dataclass(slots=True)
class Connection:
    """What one connection sent and received, in order."""

    node: int = 0
    hears_app: bool = False
    """Whether it subscribed to the application's events before anything else."""
    log: list[Item] = field(default_factory=list)
    closed: Moment | None = None
    """When the client saw its end; None: it was there to the last."""


@dataclass(frozen=True, slots=True)
class Request:
    """
    What a backend asked for.

    `open`, `end`, `endAll`, `emit`, `emitAll`, `change` or `reassign`. No `answered`
    means that it is unknown whether it was carried out. Each request has a
    `reason` or a `number` that no other has.
    """

    kind: str
    actor_id: str
    at: Moment
    session_id: str = ""
    reason: str = ""
    number: int | None = None
    revision: int | None = None
    """The revision that a change was meant for."""
    target: str = ""
    """The actor that a session was to be given to."""
    answered: Moment | None = None
    status: int = 0
    ended: int = 0
    cursor: int | None = None
    opened_id: str = ""
    """The session that was opened."""
    new_revision: int = 0
    state: str = ""

    def was_under_way(self, ms: int) -> bool:
        """Whether it may have been carried out at that time."""
        is_refused = self.answered is not None and self.status >= 500
        until = None if self.answered is None or is_refused else self.answered.ms
        return self.at.ms <= ms and (until is None or ms <= until)


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in the store's history. `kind` is `set`, `unset` or `app`."""

    cursor: int
    previous: int
    kind: str
    session_id: str = ""
    reason: str = ""
    ttl_ms: int = 0
    revision: int = 1
    state: str = ""
    by: str = ""
    """The session that took the place of one that was replaced."""

    @property
    def ms(self) -> int:
        """The store's clock when it was written."""
        return self.cursor // 1024


@dataclass(frozen=True, slots=True)
class Absence:
    """
    Something was away from one time to another, in Unix ms.

    A node that was `stopped` (SIGSTOP) or `down` (killed, or drained); or the
    `store`, which did not answer or refused writes.
    """

    what: str
    since: int
    until: int
    node: int = 0


@dataclass(frozen=True, slots=True)
class FeedItem:
    """One entry of the feed, as it was received."""

    actor_id: str
    cursor: int
    session_id: str


@dataclass(slots=True)
class Record:
    """All of it."""

    history_events: int
    """How many events of an actor the servers remember."""
    policy: Policy = UNLIMITED
    connections: list[Connection] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    history: dict[str, list[Entry]] = field(default_factory=dict)
    absences: list[Absence] = field(default_factory=list)
    feeds: list[list[FeedItem]] = field(default_factory=list)
    """What each reader of the feed received, from the beginning of the run on."""
    feeds_lost: int = 0
    """How often one of them was told that entries are missing."""
    live: dict[str, frozenset[str]] = field(default_factory=dict)
    """The sessions that were live when all was quiet, by actor."""
    read: Moment | None = None
    """When that was."""
