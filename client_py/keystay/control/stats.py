"""
The nodes of the server, and their connections.
"""

from dataclasses import dataclass
from typing import Any

from keystay.control._answer import field_of


@dataclass(frozen=True, slots=True)
class NodeStats:
    """
    One node, as reported about a second ago.

    Counters start at 0 with the node: a rate is the difference of two answers. Times are
    Unix milliseconds. `p50_ms` and `p99_ms` are the latency of commands in the last 10
    seconds, None if there were none.
    """

    id: str
    version: str
    listen: str
    started_at: int
    seen_at: int
    draining: bool
    connections: int
    bound: int
    commands: int
    commands_failed: int
    events: int
    recovered: int
    slow_clients: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Stats:
    """All nodes; `node` is the id of the node that answered."""

    node: str
    nodes: tuple[NodeStats, ...]

    @classmethod
    def from_json(cls, document: Any) -> "Stats":
        """
        Parse the answer of `GET /v1/stats`.

        Raises:
            MalformedFrame: If a field is missing or of the wrong type.
        """
        nodes = field_of(document, "nodes", list)
        return cls(field_of(document, "node", str), tuple(_node(entry) for entry in nodes))


@dataclass(frozen=True, slots=True)
class BoundConnection:
    """A connection bound to a session: its node, its address, when it was bound (Unix ms)."""

    node: str
    session_id: str
    address: str
    since: int

    @classmethod
    def from_json(cls, document: Any) -> "BoundConnection":
        """
        Parse one connection of `GET /v1/actors/{actorId}/connections`.

        Raises:
            MalformedFrame: If a field is missing or of the wrong type.
        """
        return cls(
            field_of(document, "node", str),
            field_of(document, "sessionId", str),
            field_of(document, "address", str),
            field_of(document, "since", int),
        )


def _node(document: Any) -> NodeStats:
    return NodeStats(
        id=field_of(document, "id", str),
        version=field_of(document, "version", str),
        listen=field_of(document, "listen", str),
        started_at=field_of(document, "startedAt", int),
        seen_at=field_of(document, "seenAt", int),
        draining=field_of(document, "draining", bool),
        connections=field_of(document, "connections", int),
        bound=field_of(document, "bound", int),
        commands=field_of(document, "commands", int),
        commands_failed=field_of(document, "commandsFailed", int),
        events=field_of(document, "events", int),
        recovered=field_of(document, "recovered", int),
        slow_clients=field_of(document, "slowClients", int),
        p50_ms=_latency(document, "p50Ms"),
        p99_ms=_latency(document, "p99Ms"),
    )


def _latency(document: dict[str, Any], name: str) -> float | None:
    value = document.get(name)
    return float(value) if type(value) is int or type(value) is float else None
