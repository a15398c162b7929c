"""
The counts of a node since it started, as plain numbers.

Each has one owner that changes it; all others only read it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from keystay_server.telemetry.durations import Commands, Durations, Operations

UNKNOWN_METHOD = "unknown"
"""The name for all methods that are not in the command table: clients choose those."""


@dataclass(slots=True)
class Counts:
    """The numbers. `*_now` go up and down, the others only up."""

    # The hub's.
    connections_now: int = 0
    connections: int = 0
    bound_now: int = 0
    events: int = 0
    recovered: int = 0
    """Restores that returned `recovered: true`."""
    propagation: Durations = field(default_factory=Durations)
    """From the store's clock when it wrote an event to this node's when it sent it."""

    # The transports'.
    refused: Counter[str] = field(default_factory=Counter)
    """Connections that were refused, by reason."""
    tokens_refused: Counter[str] = field(default_factory=Counter)
    """JWTs that were refused, by cause."""
    slow_clients: int = 0
    outbox_bytes_now: int = 0
    """Looked at twice a second."""

    # The dispatcher's.
    methods: dict[str, Commands] = field(default_factory=dict)
    unknown: Commands = field(default_factory=Commands)

    # The store's, by operation.
    operations: dict[str, Operations] = field(default_factory=dict)

    # The loop's.
    loop_lag: Durations = field(default_factory=Durations)

    # Of `sessions/expiry.py`.
    expiry_late: Durations = field(default_factory=Durations)
    none_overdue_at: float = 0.0
    """When no session was found overdue the last time, or the node started, by `clock`."""

    # The feed's.
    feed_listeners_now: int = 0
    feed_cut_off: int = 0
    """Subscribers that read too slowly."""

    # The webhooks'.
    webhook_lease_until: float = 0.0
    """Until when this node delivers, by `time.monotonic`."""
    webhook_taken_until: float = 0.0
    """No older event than this is known to wait: Unix seconds."""
    webhooks_delivered: int = 0
    webhooks_failed: int = 0

    # Of the other processes of this node: those of this one are in `log_writer.py`.
    log_lines_dropped: int = 0

    # Of `node/workers.py`.
    workers_restarted: int = 0

    is_draining: bool = False

    def know(self, methods: Iterable[str]) -> None:
        """Count each of these methods by itself."""
        for method in methods:
            self.methods.setdefault(method, Commands())

    def each_method(self) -> dict[str, Commands]:
        """Return all commands, by method."""
        return {**self.methods, UNKNOWN_METHOD: self.unknown}
