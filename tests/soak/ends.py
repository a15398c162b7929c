"""
Why each session ended: somebody asked for it, or its time was over.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.soak.absences import Absences
from tests.soak.bindings import Binding, Bindings
from tests.soak.record import Command, Event, Moment, Record, Reply, Request
from tests.soak.truth import Life, Truth
from tests.soak.violations import Kind, Violation

CLOSING_MS = 1000
"""For how long a client may take a connection for open that the server has lost."""


@dataclass(frozen=True, slots=True)
class Logout:
    """A client's request to end sessions of its actor, and when it was granted."""

    command: Command
    granted: Moment | None

    def names(self, life: Life) -> bool:
        """Whether it would end this session."""
        if self.command.scope == "others":
            return life.id != self.command.session_id
        return self.command.scope == "all" or life.id == self.command.session_id

    def was_under_way(self, ms: int) -> bool:
        """Whether it may have been carried out at that time."""
        return self.command.at.ms <= ms and (self.granted is None or ms <= self.granted.ms)


def logouts_of(record: Record) -> dict[str, list[Logout]]:
    """Every logout that may have been carried out, by actor."""
    found: defaultdict[str, list[Logout]] = defaultdict(list)
    for connection in record.connections:
        replies = {id(item.command): item for item in connection.log if isinstance(item, Reply)}
        for item in connection.log:
            if isinstance(item, Command) and item.method == "session.logout":
                reply = replies.get(id(item))
                granted = reply.at if reply is not None and reply.error is None else None
                found[item.actor_id].append(Logout(item, granted))
    return found


def check_ends(
    record: Record, truth: Truth, connections: Sequence[Bindings], absences: Absences
) -> Iterator[Violation]:
    """Find sessions that ended though nobody ended them and their time was not over."""
    logouts = logouts_of(record)
    requests = {request.reason: request for request in record.requests if request.reason}
    reassigned = {
        (request.actor_id, request.session_id)
        for request in record.requests
        if request.kind == "reassign"
    }
    bindings = _by_session(connections)
    deadlines = _deadlines(record)
    for life in truth.lives.values():
        if life.unset is None:
            continue
        at = life.unset.ms
        match life.unset.reason:
            case "loggedOut":
                is_explained = any(
                    logout.names(life) and logout.was_under_way(at)
                    for logout in logouts.get(life.actor_id, ())
                )
            case "expired":
                created = life.sets[0].ms if life.sets else 0
                was_due = max(deadlines.get(life.id, 0), created + life.ttl_ms) <= at
                is_explained = was_due and (
                    not any(_held(binding, life, absences) for binding in bindings[life.id])
                    or _was_ended_with_all(record, logouts, life)
                )
            case "replaced":
                continue  # `policies` looks at these.
            case "reassigned":
                is_explained = (life.actor_id, life.id) in reassigned
            case reason:
                is_explained = _asked_for(requests.get(reason), life)
        if not is_explained:
            yield Violation(Kind.NOBODY_ENDED, f"{life.id}: {life.unset}")


def _by_session(connections: Sequence[Bindings]) -> defaultdict[str, list[Binding]]:
    found: defaultdict[str, list[Binding]] = defaultdict(list)
    for bindings in connections:
        for binding in bindings.all:
            found[binding.session_id].append(binding)
    return found


def _deadlines(record: Record) -> dict[str, int]:
    """The latest deadline that any client was sent, by session."""
    latest: dict[str, int] = {}
    for connection in record.connections:
        for item in connection.log:
            if isinstance(item, Reply | Event):
                latest[item.session_id] = max(latest.get(item.session_id, 0), item.expires_at)
    return latest


def _held(binding: Binding, life: Life, absences: Absences) -> bool:
    """Whether a connection on a live node held the session when it expired."""
    opened = binding.opened
    if opened is None or life.unset is None or opened.at.ms >= life.unset.ms:
        return False
    at = life.unset.ms
    is_there = binding.closed is None or binding.closed.ms > at + CLOSING_MS
    if not is_there and (binding.unset is None or binding.unset.at.ms < at):
        return False
    # It lives for its ttl from its last extension on: what was before does not matter.
    since = max(opened.at.ms, at - life.ttl_ms)
    return not absences.was_dead(binding.connection.node, since, at)


def _was_ended_with_all(record: Record, logouts: dict[str, list[Logout]], life: Life) -> bool:
    """Whether it was overdue, not extended yet, and ended with all of its actor's sessions."""
    assert life.unset is not None
    at = life.unset.ms
    by_logout = any(
        logout.names(life) and logout.command.scope != "this" and logout.was_under_way(at)
        for logout in logouts.get(life.actor_id, ())
    )
    return by_logout or any(
        request.kind == "endAll"
        and request.actor_id == life.actor_id
        and request.was_under_way(at)
        for request in record.requests
    )


def _asked_for(request: Request | None, life: Life) -> bool:
    if request is None or request.actor_id != life.actor_id:
        return False
    return request.kind == "endAll" or request.session_id == life.id
