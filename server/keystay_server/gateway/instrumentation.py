"""
The counts and metrics of a node, and its store and commands instrumented with them.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from keystay_protocol import __version__
from keystay_server.gateway.commands import COMMANDS
from keystay_server.gateway.commands.signature import Row
from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError
from keystay_server.stores import EMBEDDED
from keystay_server.stores.base import Store
from keystay_server.stores.observed import observed
from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.loop_lag import LoopLag
from keystay_server.telemetry.metrics import Build, Metrics
from keystay_server.telemetry.operations import Meter

log = logging.getLogger("keystay")


@dataclass(frozen=True, slots=True)
class Instrumentation:
    """The metrics of one node; `commands` and `store` are the instrumented ones."""

    counts: Counts
    metrics: Metrics
    loop_lag: LoopLag
    commands: Mapping[str, Row]
    store: Store


def instrument(config: Config, store: Store) -> Instrumentation:
    """
    Instrument a store and the command table, as the settings say.

    Raises:
        ConfigError: If `traces` is set and OpenTelemetry is not installed.
    """
    counts, kind = Counts(), urlsplit(config.store).scheme
    commands = COMMANDS
    if config.traces:
        commands, store = _traced(store)
    # They are answered from memory: reading the clock would take about as long.
    uncounted = {"check", "restore"} if kind in EMBEDDED else ()
    return Instrumentation(
        counts,
        Metrics(counts, Build(__version__, kind)),
        LoopLag(counts.loop_lag),
        commands,
        observed(store, Meter(counts.operations, uncounted)),
    )


def _traced(store: Store) -> tuple[Mapping[str, Row], Store]:
    try:
        from keystay_server.gateway.traced_commands import traced_table
        from keystay_server.telemetry.tracing import is_provided, traced, tracer
    except ModuleNotFoundError as error:
        missing = "OpenTelemetry is not installed: pip install 'keystay[otel]'"
        raise ConfigError("traces", missing) from error
    if not is_provided():
        log.warning("there are no traces: this program has set up no OpenTelemetry provider")
        return COMMANDS, store
    return traced_table(COMMANDS, tracer()), observed(store, traced(tracer()))
