"""
What a program keeps of its session between two runs, and where.
"""

from dataclasses import dataclass, field
from typing import Protocol

from keystay_protocol.frames import MAX_CURSOR


@dataclass(frozen=True, slots=True)
class StoredSession:
    """
    What takes a session up where it was left.

    `key` is the secret, and stays out of the repr; `cursor` is the greatest that came
    with an event or a restore, None if the server gave none.

    Raises:
        ValueError: If it is not a string, or not a cursor.
    """

    key: str = field(repr=False)
    cursor: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.key, str):
            raise ValueError("a key is a string")
        if self.cursor is not None and not is_cursor(self.cursor):
            raise ValueError("a cursor is an unsigned integer below 2^53")


class SessionStore(Protocol):
    """
    Keeps one session; whoever can read it is the actor.

    A client calls it from other threads, one call at a time, and logs what it
    raises. Two clients that run at once need two stores.
    """

    def load(self) -> StoredSession | None:
        """Return what was saved last; None after `clear`, and if there is nothing of use."""

    def save(self, session: StoredSession) -> None:
        """Keep this, and only this; when it returns, it is kept."""

    def clear(self) -> None:
        """Keep nothing; do nothing if nothing is kept."""


def is_cursor(value: object) -> bool:
    """Tell whether this may be a cursor (SPEC section 2.1)."""
    return type(value) is int and 0 <= value <= MAX_CURSOR
