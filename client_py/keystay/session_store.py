"""
What a program keeps of its session between two runs, and where.
"""

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
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


class FileSessionStore:
    """
    Keeps one session in the file at `path`, whose folder must exist.

    The file has mode 0600 and is replaced as a whole: whoever reads it, after a
    crash too, finds what was saved last or what was saved before. A file that
    holds nothing of use counts as none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # Absolute, for a program that changes its directory later.
        self._path = Path(path).absolute()

    def __repr__(self) -> str:
        return f"FileSessionStore({str(self._path)!r})"

    def load(self) -> StoredSession | None:
        """
        Return the session in the file, None if there is none.

        Raises:
            OSError: If there is a file, and it cannot be read.
        """
        try:
            match json.loads(self._path.read_bytes()):
                case {"key": key, "cursor": cursor}:
                    return StoredSession(key, cursor)
        except (FileNotFoundError, ValueError, RecursionError):
            pass
        return None

    def save(self, session: StoredSession) -> None:
        """
        Replace the file.

        Raises:
            OSError: If that is not possible; the file is then as it was.
        """
        content = json.dumps({"key": session.key, "cursor": session.cursor})
        # Made with mode 0600, under a name that nobody else has.
        descriptor, new = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                # Else the name may be on disk before what is in the file.
                os.fsync(file.fileno())
            Path(new).replace(self._path)
        except BaseException:
            Path(new).unlink()
            raise

    def clear(self) -> None:
        """
        Remove the file.

        Raises:
            OSError: If that is not possible.
        """
        self._path.unlink(missing_ok=True)


def is_cursor(value: object) -> bool:
    """Tell whether this may be a cursor (SPEC section 2.1)."""
    return type(value) is int and 0 <= value <= MAX_CURSOR
