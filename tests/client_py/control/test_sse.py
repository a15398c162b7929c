"""Server-sent events, taken apart as the HTML standard says."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystay.control._sse import MAX_MESSAGE_BYTES, Message, Messages
from keystay_protocol.errors import MalformedFrame

STREAM = (
    b"\xef\xbb\xbf: hello\n"
    b"id: 1\n\n"
    b"id: 2\nevent: session.set\ndata: {\ndata:}\n\n"
    b": alive\n"
    b"event: nothing\n\n"
    b'data: {"name": "Zo\xc3\xab"}\r\n\r\n'
    b"id: 3\rdata:  two spaces\r\r"
    b"retry: 1500\nunknown: field\ndata\n\n"
    b"id: 4\ndata: unfinished\n"
)
MESSAGES = [
    Message("session.set", "{\n}", "2"),
    Message("message", '{"name": "Zoë"}', "2"),
    Message("message", " two spaces", "3"),
    Message("message", "", "3"),
]


def read(*chunks: bytes) -> tuple[list[Message], Messages]:
    messages = Messages()
    return [message for chunk in chunks for message in messages.receive(chunk)], messages


def test_a_stream() -> None:
    """Comments, ids, fields of several lines, all three line ends, a byte order mark."""
    received, messages = read(STREAM)
    assert received == MESSAGES
    assert (messages.last_id, messages.retry_s) == ("3", 1.5)


@given(st.lists(st.integers(0, len(STREAM))))
def test_however_it_is_cut(cuts: list[int]) -> None:
    """The network may hand it over in any pieces."""
    ends = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(ends)]
    assert read(*pieces)[0] == MESSAGES


def test_byte_by_byte() -> None:
    """A message is there as soon as its last line is."""
    assert read(*(bytes([byte]) for byte in STREAM))[0] == MESSAGES


def test_an_id_without_a_message_counts() -> None:
    """A server says where a feed begins before anything happens."""
    assert read(b"id: 7\n\n")[1].last_id == "7"


def test_an_id_without_its_end_does_not() -> None:
    """What broke off is not known to be complete."""
    assert read(b"id: 7\ndata: x\n")[1].last_id is None


@pytest.mark.parametrize("id_", [b"a\0b", b"\xc3\xab", b"a\tb"])
def test_an_id_that_could_not_be_sent_back(id_: bytes) -> None:
    """It is passed over."""
    assert read(b"id: 1\n\nid: " + id_ + b"\ndata: x\n\n")[0] == [Message("message", "x", "1")]


@pytest.mark.parametrize(
    "endless", [b"data: " + b"x" * MAX_MESSAGE_BYTES, b"data: xxxxxxxx\n" * MAX_MESSAGE_BYTES]
)
def test_a_message_without_end(endless: bytes) -> None:
    """It cannot fill the memory."""
    with pytest.raises(MalformedFrame, match="too long"):
        read(*(endless[at : at + 65536] for at in range(0, len(endless), 65536)))


def test_comments_may_come_for_hours() -> None:
    """What only keeps the line alive does not add up."""
    line = b": alive and well\n"
    received, messages = read(line * (2 * MAX_MESSAGE_BYTES // len(line)))
    assert received == []
    assert messages.receive(b"data: x\n\n") == [Message("message", "x", None)]


def test_what_is_not_utf_8() -> None:
    """The stream is no feed."""
    with pytest.raises(MalformedFrame, match="UTF-8"):
        read(b"data: \xff\n\n")
