"""
Formats answers as text: aligned, and without control characters.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """
    Rows and columns.

    `numbers` are the columns of numbers; `styles` maps cells to their style on a terminal.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Collection[str] = ()
    styles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """The output of a command: a document for programs, and text or a table for people."""

    document: Any
    text: str
    table: Table | None = None

    @classmethod
    def in_table(cls, document: Any, table: Table) -> "Answer":
        """Return an answer whose text is the table, aligned."""
        return cls(document, aligned([table.columns, *table.rows]), table)


def printable(value: Any) -> str:
    """
    Return the value in one line.

    Text with unprintable characters is escaped: a name must not be able to rewrite the
    operator's screen.
    """
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(text)


def timestamp(unix_ms: int | None) -> str:
    """Return a time in UTC, to the second; `-` for None."""
    if unix_ms is None:
        return "-"
    return datetime.fromtimestamp(unix_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
