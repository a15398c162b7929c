"""
`admin/screen.py`: how answers are shown.
"""

import io
import sys

import pytest

from keystay_server.cli.screen import MANY_ROWS, show
from keystay_server.cli.text import Answer, Table


class Terminal(io.StringIO):
    """What a person looks at."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize(("rows", "is_plain"), [(3, False), (MANY_ROWS, True)])
def test_a_table_that_takes_long_to_lay_out_is_plain_text(
    monkeypatch: pytest.MonkeyPatch, rows: int, is_plain: bool
) -> None:
    """A terminal shows a table, unless it has very many rows."""
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stdout", terminal)
    table = Table(("ID", "META"), [(f"id-{number}", "{}") for number in range(rows)])
    answer = Answer.in_table({}, table)
    show(answer, as_json=False)
    said = terminal.getvalue()
    assert (said == f"{answer.text}\n") is is_plain
    assert ("\x1b" in said) is not is_plain
    assert all(row[0] in said for row in table.rows)
