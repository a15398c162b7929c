"""
A position in the feed, and its text.

A feed is one or more logs, each with growing numbers. A position is the number
of the newest entry that was read of each log. Its text is opaque: visible
ASCII, fit for a URL and a header.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode

from keystay_protocol.codec import pack, unpack
from keystay_protocol.errors import MalformedFrame

Position = tuple[int, ...]

MAX_PARTITIONS = 256
"""Logs of a store, and numbers of a position, at most."""
_MAX_TEXT = 16 + MAX_PARTITIONS * 12
"""A number takes at most nine bytes, which are twelve characters."""


def write_position(position: Position) -> str:
    """
    The text for a position.

    Most numbers are times, and close to each other: only the greatest is written in full.
    """
    newest = max(position)
    packed = pack([newest, *(newest - number for number in position)])
    return urlsafe_b64encode(packed).decode().rstrip("=")


def read_position(text: str) -> Position | None:
    """The position of a text; None if the text is not one."""
    if len(text) > _MAX_TEXT:
        return None
    try:
        value = unpack(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
    except (ValueError, MalformedFrame):  # binascii.Error is a ValueError.
        return None
    if not isinstance(value, list) or len(value) < 2 or any(type(n) is not int for n in value):
        return None
    newest, *back = value
    position = tuple(newest - number for number in back)
    return position if all(0 <= number < 2**53 for number in position) else None


def has_read(position: Position, log: int, number: int) -> bool:
    """Whether the entry of the log is not beyond the position."""
    return position[log] >= number


def moved_to(position: Position, log: int, number: int) -> Position:
    """The position once the entry of the log is read too."""
    return (*position[:log], max(position[log], number), *position[log + 1 :])
