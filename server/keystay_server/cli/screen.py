"""
Prints answers: a table on a terminal, plain text elsewhere, JSON for programs.

rich is imported only for a terminal. All text has been made `printable` before, and is never
parsed as markup.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from keystay_server.cli.text import Answer, Table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

GOOD, WORSE, BAD = "green", "yellow", "red"
QUIET = "dim"
MANY_ROWS = 1000
"""rich needs half a second to lay out so many: they are printed as plain text."""


def is_terminal() -> bool:
    """Tell whether the output is a terminal."""
    return sys.stdout.isatty()


def show(answer: Answer, *, as_json: bool) -> None:
    """Print an answer."""
    if as_json:
        show_json(answer.document)
    elif answer.table is not None and len(answer.table.rows) < MANY_ROWS and is_terminal():
        console().print(rich_table(answer.table))
    else:
        print(answer.text, flush=True)


def show_json(document: Any) -> None:
    """Print a document in one line."""
    print(json.dumps(document), flush=True)


def show_line(parts: Sequence[tuple[str, str]]) -> None:
    """Print a line of parts, each with its style on a terminal."""
    if not is_terminal():
        print("  ".join(text for text, _ in parts).rstrip(), flush=True)
        return
    from rich.text import Text

    line = Text("  ").join(Text(text, style) for text, style in parts)
    console().print(line, soft_wrap=True)


def console() -> "Console":
    """Return the terminal."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def rich_table(table: Table) -> "RichTable":
    """Return the table for a terminal."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=box.SIMPLE_HEAD, header_style="bold")
    for column in table.columns:
        # A truncated id would be useless, so ids fold.
        justify: Any = "right" if column in table.numbers else "left"
        shown.add_column(Text(column), overflow="fold", justify=justify)
    for row in table.rows:
        shown.add_row(*(Text(cell, table.styles.get(cell, "")) for cell in row))
    return shown


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that work goes on; yield a function that reports progress."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{what} ...") as status:
        yield lambda done: status.update(f"{what}, {done} ...")
