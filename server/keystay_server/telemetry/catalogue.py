"""
The table of metrics: names, kinds and meanings. docs/reference/metrics.md has the same table.
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
    Metric("keystay_draining", "gauge", "1 while the node drains, else 0"),
    Metric("keystay_connections", "gauge", "open connections"),
    Metric("keystay_bound_connections", "gauge", "connections that are bound to a session"),
    Metric("keystay_connections_opened_total", "counter", "connections that were accepted"),
    Metric(
        "keystay_connections_refused_total",
        "counter",
        "connections that were refused in the handshake, by `reason`, such as `nodeFull`, "
        "`origin` or `malformed`",
        ("reason",),
    ),
    Metric(
        "keystay_tokens_refused_total",
        "counter",
        "JWTs that were refused, by `cause`, such as `expired`, `notYetValid` or `signature`",
        ("cause",),
    ),
    Metric(
        "keystay_slow_clients_total",
        "counter",
        "clients that were cut off because they read too slowly",
    ),
    Metric(
        "keystay_outbox_bytes",
        "gauge",
        "bytes that wait for slow clients, read twice a second",
    ),
    Metric(
        "keystay_commands_total",
        "counter",
        "commands that were answered; `result` is `ok` or the error code, `ended` for a "
        "reason of a backend's own",
        ("method", "result"),
    ),
    Metric(
        "keystay_command_seconds",
        "histogram",
        "from the start of a command to its reply, in the server",
        ("method",),
    ),
    Metric("keystay_events_sent_total", "counter", "events that were sent to connections"),
    Metric(
        "keystay_restores_recovered_total",
        "counter",
        "restores with a cursor that were answered `recovered: true`",
    ),
    Metric(
        "keystay_propagation_seconds",
        "histogram",
        "from the store's clock when it wrote an event to this node's when it sent it: exact "
        "to a millisecond and to the difference of the two clocks",
    ),
    Metric(
        "keystay_store_operation_seconds",
        "histogram",
        "how long the store took to answer; answers from memory are not counted",
        ("operation",),
    ),
    Metric(
        "keystay_store_errors_total",
        "counter",
        "calls that failed because the store was out of reach",
        ("operation",),
    ),
    Metric(
        "keystay_expiry_late_seconds",
        "histogram",
        "how late, by the store's clock, this node ended sessions at their deadline",
    ),
    Metric(
        "keystay_expiry_overdue_seconds",
        "gauge",
        "time since this node last found no session overdue: it grows while none can be ended",
    ),
    Metric("keystay_feed_listeners", "gauge", "subscribers of the feed at this node"),
    Metric(
        "keystay_feed_listeners_cut_off_total",
        "counter",
        "subscribers of the feed that were cut off because they read too slowly",
    ),
    Metric(
        "keystay_webhook_delivering",
        "gauge",
        "1 on the node that delivers webhooks, else 0",
    ),
    Metric(
        "keystay_webhook_behind_seconds",
        "gauge",
        "the greatest possible age of the oldest event that the webhook has not accepted: "
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
        "how late the event loop was, measured ten times a second",
    ),
    Metric(
        "keystay_workers_restarted_total",
        "counter",
        "processes of `workers` that had ended and were started again",
    ),
    Metric(
        "keystay_log_lines_dropped_total",
        "counter",
        "lines of the log that were dropped because the log was not read fast enough",
    ),
)
