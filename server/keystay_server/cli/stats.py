"""
`keystay stats`: shows the nodes and their statistics.
"""

import asyncio
import re
from argparse import Namespace
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from keystay_server.cli.arguments import Parser, add_json
from keystay_server.cli.control_command import add_control, control_command
from keystay_server.cli.screen import console, is_terminal, rich_table, show
from keystay_server.cli.text import Answer, Table, printable

if TYPE_CHECKING:
    from keystay import Control

EVERY_S = 1.0

_NUMBERS = (
    *("UP", "CONNECTIONS", "BOUND", "COMMANDS", "FAILED", "EVENTS", "RECOVERED", "SLOW"),
    *("P50 ms", "P99 ms"),
)
_RATES = ("COMMANDS/s", "EVENTS/s")
_COLUMNS = ("NODE", "LISTENS ON", "VERSION", "STATE", *_NUMBERS)
_STYLES = {"serving": "green", "draining": "yellow"}


def build(parser: Parser) -> None:
    """Add the arguments."""
    add_json(parser)
    add_control(parser)
    parser.add_argument(
        "--watch", action="store_true", help="again every second, with rates, until Ctrl-C"
    )
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Show the nodes, once or again and again."""
    if not options.watch:
        return control_command(show_once)(options)
    from keystay_server.cli.control import run_with_control

    async def watch(control: "Control") -> None:
        await _watch(control, as_json=options.json)

    with suppress(KeyboardInterrupt):
        run_with_control(options.control, watch)
    return 0


async def show_once(control: "Control", _: Namespace) -> Answer:
    """Show the nodes once."""
    return await _stats(control)


async def _stats(control: "Control", before: dict[str, Any] | None = None) -> Answer:
    """The nodes; with rates, if there is an earlier document."""
    document = _document(asdict(await control.stats()))
    earlier = {node["id"]: node for node in (before or {"nodes": []})["nodes"]}
    rows = [_row(node, document["node"]) for node in document["nodes"]]
    if before is None:
        return Answer.in_table(document, Table(_COLUMNS, rows, _NUMBERS, _STYLES))
    for row, node in zip(rows, document["nodes"], strict=True):
        row += [_rate(node, earlier.get(node["id"]), name) for name in ("commands", "events")]
    numbers = (*_NUMBERS, *_RATES)
    return Answer.in_table(document, Table((*_COLUMNS, *_RATES), rows, numbers, _STYLES))


def _document(value: Any) -> Any:
    """The statistics in the form of the API: names in camel case."""
    match value:
        case dict():
            return {
                re.sub("_(.)", lambda found: found[1].upper(), name): _document(each)
                for name, each in value.items()
            }
        case list() | tuple():
            return [_document(each) for each in value]
    return value


async def _watch(control: "Control", *, as_json: bool) -> None:
    answer = await _stats(control)
    if as_json or not is_terminal():
        while True:
            show(answer, as_json=as_json)
            await asyncio.sleep(EVERY_S)
            answer = await _stats(control, answer.document)
    from rich.live import Live

    assert answer.table is not None
    with Live(rich_table(answer.table), console=console(), auto_refresh=False) as live:
        while True:
            await asyncio.sleep(EVERY_S)
            answer = await _stats(control, answer.document)
            assert answer.table is not None
            live.update(rich_table(answer.table), refresh=True)


def _row(node: dict[str, Any], answering: str) -> list[str]:
    is_answering = node["id"] == answering
    return [
        printable(node["id"]) + ("*" if is_answering else ""),
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
    """A duration in its two greatest units."""
    seconds = max(0, ms // 1000)
    for unit, below, size, size_below in (("d", "h", 86400, 3600), ("h", "m", 3600, 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}{seconds % size // size_below}{below}"
    return f"{seconds // 60}m{seconds % 60}s" if seconds >= 60 else f"{seconds}s"
