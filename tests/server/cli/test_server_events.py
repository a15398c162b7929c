"""
`admin/server_events.py`: a stream of lines as events.
"""

import pytest

from keystay_server.cli.server_events import EventReader, ServerEvent


def read(reader: EventReader, text: str) -> list[ServerEvent]:
    """The events in the text."""
    found = [reader.read(line) for line in text.split("\n")]
    return [event for event in found if event is not None]


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("id: 7\nevent: a\ndata: {}\n\n", ServerEvent("a", "{}", "7")),
        ("data:x\n\n", ServerEvent("message", "x", "")),
        ("data:  x\n\n", ServerEvent("message", " x", "")),
        ("data: a\ndata: b\n\n", ServerEvent("message", "a\nb", "")),
        ("data\n\n", ServerEvent("message", "", "")),
        (": alive\n\ndata: x\n\n", ServerEvent("message", "x", "")),
        ("retry: 5\nwhat: ever\ndata: x\n\n", ServerEvent("message", "x", "")),
        ("id: 1\nid: 2\0\ndata: x\n\n", ServerEvent("message", "x", "1")),
        ("event: a\n\ndata: x\n\n", ServerEvent("message", "x", "")),
    ],
)
def test_an_event_is_read_as_the_standard_says(text: str, event: ServerEvent) -> None:
    """Fields with or without a space, several lines of data, comments, unknown fields."""
    assert read(EventReader(), text) == [event]


def test_a_position_stays_until_there_is_another() -> None:
    """An event without an id has the position of the one before, also on another stream."""
    reader = EventReader()
    first, second = read(reader, "id: 7\ndata: a\n\ndata: b\n\n")
    assert (first.position, second.position) == ("7", "7")
    reader.read("event: half")
    reader.read("data: read")
    reader.restart()
    assert read(reader, "data: c\n\n") == [ServerEvent("message", "c", "7")]


def test_an_id_alone_is_a_position_too() -> None:
    """A server may move a reader on without an event."""
    reader = EventReader()
    assert read(reader, "id: 9\n\n") == []
    assert reader.position == "9"
