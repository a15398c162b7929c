"""
The metrics in the Prometheus text format.

Nothing is prepared while the server works: each reading is made from the counts at that
moment, by a collector on a registry of this node alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from time import monotonic, time
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from keystay_server.telemetry.catalogue import METRICS
from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.durations import BOUNDS_S, Durations, clock
from keystay_server.telemetry.log_writer import dropped_lines
from keystay_server.telemetry.merging import add_document, to_document
from keystay_server.telemetry.processes import ProcessesCollector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_FAMILIES = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


@dataclass(frozen=True, slots=True)
class Build:
    """The labels of `keystay_build_info`."""

    version: str
    store: str
    """The scheme of its URL."""


class Processes(Protocol):
    """The other processes of a node."""

    def documents(self) -> Sequence[Mapping[str, Any]]:
        """Return their counts, as `merging.py` writes them."""

    def pids(self) -> Sequence[int]:
        """Return the ids of those that run."""


class Metrics:
    """The metrics of one node: of this process, and of `others`."""

    others: Processes | None = None

    def __init__(self, counts: Counts, build: Build) -> None:
        self._counts = counts
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_CountsCollector(self._total, build))
        self._registry.register(ProcessesCollector(self._pids))

    def exposed(self) -> bytes:
        """Return all metrics now, in the Prometheus text format."""
        return generate_latest(self._registry)

    def _total(self) -> Counts:
        if self.others is None:
            return self._counts
        total = Counts()
        for document in (to_document(self._counts), *self.others.documents()):
            add_document(total, document)
        return total

    def _pids(self) -> Sequence[int]:
        return () if self.others is None else self.others.pids()


class _CountsCollector(Collector):
    def __init__(self, counts: Callable[[], Counts], build: Build) -> None:
        self._counts = counts
        self._build = build

    def collect(self) -> Iterator[Family]:
        counts = self._counts()
        families = {
            metric.name: _FAMILIES[metric.kind](
                metric.name, metric.meaning, labels=metric.labels
            )
            for metric in METRICS
        }
        _collect_build(families, self._build)
        _collect_plain(families, counts)
        _collect_refused(families, counts)
        _collect_commands(families, counts)
        _collect_store(families, counts)
        _collect_webhook(families, counts)
        for name, durations in (
            ("keystay_propagation_seconds", counts.propagation),
            ("keystay_expiry_late_seconds", counts.expiry_late),
            ("keystay_loop_lag_seconds", counts.loop_lag),
        ):
            _add_histogram(families[name], (), durations)
        yield from families.values()


def _collect_build(families: dict[str, Family], build: Build) -> None:
    _add(families["keystay_build_info"], 1, build.version, build.store)


def _collect_plain(families: dict[str, Family], counts: Counts) -> None:
    plain = {
        "keystay_draining": int(counts.is_draining),
        "keystay_connections": counts.connections_now,
        "keystay_bound_connections": counts.bound_now,
        "keystay_connections_opened_total": counts.connections,
        "keystay_slow_clients_total": counts.slow_clients,
        "keystay_outbox_bytes": counts.outbox_bytes_now,
        "keystay_events_sent_total": counts.events,
        "keystay_restores_recovered_total": counts.recovered,
        "keystay_expiry_overdue_seconds": clock() - counts.none_overdue_at,
        "keystay_feed_listeners": counts.feed_listeners_now,
        "keystay_feed_listeners_cut_off_total": counts.feed_cut_off,
        "keystay_workers_restarted_total": counts.workers_restarted,
        "keystay_log_lines_dropped_total": counts.log_lines_dropped + dropped_lines(),
    }
    for name, value in plain.items():
        _add(families[name], value)


def _collect_refused(families: dict[str, Family], counts: Counts) -> None:
    for reason, number in dict(counts.refused).items():
        _add(families["keystay_connections_refused_total"], number, str(reason))
    for cause, number in dict(counts.tokens_refused).items():
        _add(families["keystay_tokens_refused_total"], number, str(cause))


def _collect_commands(families: dict[str, Family], counts: Counts) -> None:
    for method, commands in counts.each_method().items():
        failures = dict(commands.failures)
        _add(
            families["keystay_commands_total"],
            commands.total - sum(failures.values()),
            *(method, "ok"),
        )
        for code, count in failures.items():
            _add(families["keystay_commands_total"], count, method, code)
        _add_histogram(families["keystay_command_seconds"], (method,), commands)


def _collect_store(families: dict[str, Family], counts: Counts) -> None:
    for name, operations in counts.operations.items():
        _add(families["keystay_store_errors_total"], operations.errors, name)
        _add_histogram(families["keystay_store_operation_seconds"], (name,), operations)


def _collect_webhook(families: dict[str, Family], counts: Counts) -> None:
    is_delivering = monotonic() < counts.webhook_lease_until
    behind_s = max(0.0, time() - counts.webhook_taken_until) if is_delivering else 0.0
    _add(families["keystay_webhook_delivering"], int(is_delivering))
    _add(families["keystay_webhook_behind_seconds"], behind_s)
    deliveries = families["keystay_webhook_deliveries_total"]
    _add(deliveries, counts.webhooks_delivered, "delivered")
    _add(deliveries, counts.webhooks_failed, "failed")


def _add(family: Family, value: float, *labels: str) -> None:
    assert isinstance(family, CounterMetricFamily | GaugeMetricFamily)
    family.add_metric(labels, value)


def _add_histogram(family: Family, labels: Sequence[str], durations: Durations) -> None:
    assert isinstance(family, HistogramMetricFamily)
    bounds = [*(f"{bound:g}" for bound in BOUNDS_S), "+Inf"]
    family.add_metric(
        labels, list(zip(bounds, accumulate(durations.counts), strict=True)), durations.seconds
    )
