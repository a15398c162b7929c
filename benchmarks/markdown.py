"""
The tables of a run, and the pages that have them.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.document import Document, Measured
from benchmarks.excerpts import capacity, readme, readme_head
from benchmarks.goals import goals
from benchmarks.names import label

_BLOCK = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

# In a table a reader compares few figures: the JSON has all of them.
SHOWN = {
    "commands": ("command", "server", "in_flight", "cpu_us", "ratio"),
    "events": ("server", "to", "cpu_us", "ratio"),
    "handshakes": ("server", "first", "cpu_us", "ratio"),
    "growth": ("server", "connections", "asking", "cpu_us", "ratio", "bytes_each"),
}


def page_of(document: Document) -> str:
    """All results as one page."""
    parts = ["# Results", *_machine(document)]
    if goal_lines := _goals(document):
        parts += ["## Goals", *goal_lines]
    for name, measured in document.reports.items():
        parts += [f"## {measured.title}", *_table_of(name, measured)]
    return "\n".join(_spaced(parts)) + "\n"


def with_measured(text: str, document: Document) -> str:
    """A page, with its blocks as the results have them."""

    def block(found: re.Match[str]) -> str:
        lines = "".join(f"{line}\n" for line in _lines(found[2], document))
        return f"{found[1]}\n{lines}\n{found[3]}"

    return _BLOCK.sub(block, text)


def _lines(block: str, document: Document) -> list[str]:
    if make := BLOCKS.get(block):
        return make(document)
    return _table_of(block, document.reports[block])


def _machine(document: Document) -> list[str]:
    dates = sorted(measured.date for measured in document.reports.values())
    loads = [measured.load for measured in document.reports.values()]
    rows = [[name, value] for name, value in document.machine.items()]
    rows += [["measured", f"{dates[0]} to {dates[-1]} UTC"]] if dates else []
    if loads:
        rows.append(["load average before each", f"{min(loads):.1f} to {max(loads):.1f}"])
    return _table(["", ""], rows)


def _goals(document: Document) -> list[str]:
    rows = []
    for goal in goals():
        figure = goal.figure(document)
        measured = "-" if figure is None else f"{_number(figure)} {goal.unit}"
        met = "-" if figure is None else ("yes" if goal.is_met(figure) else "**no**")
        rows.append([goal.work, goal.beside or "-", goal.goal(), measured, met])
    return _table(["work", "compared with", "goal", "measured", "met"], rows)


def _table_of(name: str, measured: Measured) -> list[str]:
    shown = SHOWN.get(name, tuple(measured.columns))
    rows = [
        [_cell(column, result[column], measured.columns[column]) for column in shown]
        for result in measured.results
    ]
    return _table([column.replace("_", " ") for column in shown], rows)


def _cell(column: str, value: Any, form: str) -> str:
    if value is None:
        return "-"
    return label(value) if column == "server" else format(value, form)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    body = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *body]


def _spaced(parts: Sequence[str]) -> list[str]:
    """With an empty line around each heading."""
    lines: list[str] = []
    for part in parts:
        lines += ["", part, ""] if part.startswith("#") else [part]
    return lines[1:]


BLOCKS: dict[str, Callable[[Document], list[str]]] = {
    "machine": _machine,
    "goals": _goals,
    "readme": lambda document: _table([readme_head(document), ""], readme(document)),
    "capacity": lambda document: _table(["", "", "command"], capacity(document)),
}
