"""
The instruments of a node: what is counted, and what stands around its store and commands.
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
from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.loop_lag import LoopLag
from keystay_server.telemetry.metrics import Build, Metrics
from keystay_server.telemetry.operations import around, metered, operations_of

log = logging.getLogger("keystay")


@dataclass(frozen=True, slots=True)
class Instruments:
    """What one node is observed with; `commands` and `store` are to be used in their stead."""

    counts: Counts
    metrics: Metrics
    loop_lag: LoopLag
    commands: Mapping[str, Row]
    store: Store


def instruments_for(config: Config, store: Store) -> Instruments:
    """
    Put instruments around a store and the command table, as far as the settings say.

    Raises:
        ConfigError: If there are to be traces, and OpenTelemetry is not installed.
    """
    counts, kind = Counts(), urlsplit(config.store).scheme
    commands, operations = COMMANDS, set(operations_of(Store))
    if config.traces:
        commands, store = _traced(store, operations)
    if kind in EMBEDDED:
        # They are answered from memory: to look at the clock would take about as long.
        operations -= {"check", "restore"}
    return Instruments(
        counts,
        Metrics(counts, Build(__version__, kind)),
        LoopLag(counts.loop_lag),
        commands,
        around(store, operations, metered(counts.operations)),
    )


def _traced(store: Store, operations: set[str]) -> tuple[Mapping[str, Row], Store]:
    try:
        from keystay_server.gateway.traced_commands import traced_table
        from keystay_server.telemetry.tracing import is_provided, traced, tracer
    except ModuleNotFoundError as error:
        missing = "OpenTelemetry is not installed: pip install 'keystay[otel]'"
        raise ConfigError("traces", missing) from error
    if not is_provided():
        log.warning("there are no traces: this program has set up no OpenTelemetry provider")
        return COMMANDS, store
    return traced_table(COMMANDS, tracer()), around(store, operations, traced(tracer()))
