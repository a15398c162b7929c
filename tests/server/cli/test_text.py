"""
`admin/text.py`: how answers look.
"""

from typing import Any

import pytest

from keystay_server.cli.text import aligned, printable, timestamp


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Zoë", "Zoë"),
        (None, "-"),
        ({"name": "Zoë"}, '{"name": "Zoë"}'),
        ("two\nlines", '"two\\nlines"'),
        ("\x1b[2Jgone", '"\\u001b[2Jgone"'),
        ("\x9b2J", '"\\u009b2J"'),
        ("\u202eright to left", '"\\u202eright to left"'),
    ],
)
def test_a_value_cannot_write_on_the_screen(value: Any, text: str) -> None:
    """A value is one line, and what a terminal would act on is escaped."""
    assert printable(value) == text


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    """Rows are aligned, with nothing left over at the end of a line."""
    assert aligned([("ID", "META"), ("alice", "{}"), ("b", "")]) == "ID     META\nalice  {}\nb"


def test_a_time_is_utc() -> None:
    """A time is written in UTC, whatever the time zone of the machine; none is `-`."""
    assert timestamp(1_760_000_000_999) == "2025-10-09 08:53:20Z"
    assert timestamp(None) == "-"
