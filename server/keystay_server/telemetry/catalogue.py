"""
THE TABLE OF METRICS: their names, kinds and meanings. docs/operations.md has it too.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. The name is as a query has it: a counter ends in `_total`."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()


METRICS = (
    Metric(
        "keystay_build_info",
        "gauge",
        "always 1; its labels say what runs",
        ("version", "store"),
    ),
    Metric("keystay_draining", "gauge", "1 while the node is going away, else 0"),
    Metric("keystay_connections", "gauge", "open connections"),
    Metric("keystay_bound_connections", "gauge", "those of them that hold a session"),
    Metric("keystay_connections_opened_total", "counter", "connections that were let in"),
    Metric(
        "keystay_connections_refused_total",
        "counter",
        "connections that were refused while they shook hands: no room, or a wrong request",
    ),
    Metric(
        "keystay_slow_clients_total",
        "counter",
        "clients that were cut off because they did not take what was sent",
    ),
    Metric(
        "keystay_outbox_bytes",
        "gauge",
        "what waits for clients that are slow to take it, looked at twice a second",
    ),
    Metric(
        "keystay_commands_total",
        "counter",
        "commands that were answered; `result` is `ok` or the code of the error",
        ("method", "result"),
    ),
    Metric(
        "keystay_command_seconds",
        "histogram",
        "from a command's turn to its reply, as the server sees it",
        ("method",),
    ),
    Metric("keystay_events_sent_total", "counter", "events that were sent to connections"),
    Metric(
        "keystay_restores_recovered_total",
        "counter",
        "restores with a cursor that brought all that was missed",
    ),
    Metric(
        "keystay_propagation_seconds",
        "histogram",
        "from the store's clock when it wrote an event to this node's when it relayed it: "
        "exact to a millisecond, and to what the two clocks differ by",
    ),
    Metric(
        "keystay_store_operation_seconds",
        "histogram",
        "how long the store took to answer; what it answers from memory is not counted",
        ("operation",),
    ),
    Metric(
        "keystay_store_errors_total",
        "counter",
        "calls that found the store out of reach",
        ("operation",),
    ),
    Metric(
        "keystay_expiry_late_seconds",
        "histogram",
        "how late, by the store's clock, each session was ended that this node found past its "
        "deadline",
    ),
    Metric(
        "keystay_expiry_overdue_seconds",
        "gauge",
        "since this node last found no session overdue: it grows while none can be ended",
    ),
    Metric("keystay_feed_listeners", "gauge", "those who listen to the feed at this node"),
    Metric(
        "keystay_feed_listeners_cut_off_total",
        "counter",
        "listeners to the feed that were cut off because they did not take what was sent",
    ),
    Metric(
        "keystay_webhook_delivering",
        "gauge",
        "1 on the node that delivers webhooks, else 0",
    ),
    Metric(
        "keystay_webhook_behind_seconds",
        "gauge",
        "how old the oldest event can be that the webhook has not taken: "
        "under 1 while it keeps up, 0 on a node that does not deliver",
    ),
    Metric(
        "keystay_webhook_deliveries_total",
        "counter",
        "POSTs to the webhook, of up to 100 events each; `result` is `delivered` or `failed`",
        ("result",),
    ),
    Metric(
        "keystay_loop_lag_seconds",
        "histogram",
        "how late the event loop was, looked at ten times a second",
    ),
)
