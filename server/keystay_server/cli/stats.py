"""
`keystay stats`: the nodes, and what they do.
"""

import time
from argparse import Namespace
from contextlib import suppress
from typing import Any

from keystay_server.cli.arguments import add_control_command
from keystay_server.cli.client import ControlClient
from keystay_server.cli.screen import console, is_terminal, rich_table, show
from keystay_server.cli.text import Answer, Table, printable

EVERY_S = 1.0

_NUMBERS = (
    *("UP", "CONNECTIONS", "BOUND", "COMMANDS", "FAILED", "EVENTS", "RECOVERED", "SLOW"),
    *("P50 ms", "P99 ms"),
)
_RATES = ("COMMANDS/s", "EVENTS/s")
_COLUMNS = ("NODE", "LISTENS ON", "VERSION", "STATE", *_NUMBERS)
_STYLES = {"serving": "green", "draining": "yellow"}


def add_to(commands: Any) -> None:
    """Add the command to the command line."""
    parser = add_control_command(commands, "stats", "show the nodes, and what they do")
    parser.add_argument(
        "--watch", action="store_true", help="again every second, with rates, until Ctrl-C"
    )
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Show the nodes, once or again and again."""
    control = ControlClient.from_environment(options.control)
    if not options.watch:
        show(stats(control), as_json=options.json)
        return 0
    with suppress(KeyboardInterrupt):
        _watch(control, as_json=options.json)
    return 0


def stats(control: ControlClient, before: dict[str, Any] | None = None) -> Answer:
    """The nodes; with rates, if it is told what they said before."""
    document = control.ask("GET", "/v1/stats")
    earlier = {node["id"]: node for node in (before or {"nodes": []})["nodes"]}
    rows = [_row(node, document["node"]) for node in document["nodes"]]
    if before is None:
        return Answer.in_table(document, Table(_COLUMNS, rows, _NUMBERS, _STYLES))
    for row, node in zip(rows, document["nodes"], strict=True):
        row += [_rate(node, earlier.get(node["id"]), name) for name in ("commands", "events")]
    numbers = (*_NUMBERS, *_RATES)
    return Answer.in_table(document, Table((*_COLUMNS, *_RATES), rows, numbers, _STYLES))


def _watch(control: ControlClient, *, as_json: bool) -> None:
    answer = stats(control)
    if as_json or not is_terminal():
        while True:
            show(answer, as_json=as_json)
            time.sleep(EVERY_S)
            answer = stats(control, answer.document)
    from rich.live import Live

    assert answer.table is not None
    with Live(rich_table(answer.table), console=console(), auto_refresh=False) as live:
        while True:
            time.sleep(EVERY_S)
            answer = stats(control, answer.document)
            assert answer.table is not None
            live.update(rich_table(answer.table), refresh=True)


def _row(node: dict[str, Any], asked: str) -> list[str]:
    is_asked = node["id"] == asked
    return [
        printable(node["id"]) + ("*" if is_asked else ""),
        printable(node["listen"]),
        printable(node["version"]),
        "draining" if node["draining"] else "serving",
        _span(node["seenAt"] - node["startedAt"]),
        *(str(node[name]) for name in ("connections", "bound", "commands", "commandsFailed")),
        *(str(node[name]) for name in ("events", "recovered", "slowClients")),
        *(_ms(node[name]) for name in ("p50Ms", "p99Ms")),
    ]


def _rate(node: dict[str, Any], before: dict[str, Any] | None, name: str) -> str:
    passed_ms = node["seenAt"] - before["seenAt"] if before else 0
    if before is None or passed_ms <= 0:
        return "-"
    return f"{(node[name] - before[name]) * 1000 / passed_ms:.1f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _span(ms: int) -> str:
    """A duration in its two greatest units, the first of which is not 0."""
    seconds = max(0, ms // 1000)
    for unit, below, size, size_below in (("d", "h", 86400, 3600), ("h", "m", 3600, 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}{seconds % size // size_below}{below}"
    return f"{seconds // 60}m{seconds % 60}s" if seconds >= 60 else f"{seconds}s"
