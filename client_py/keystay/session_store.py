"""
Where a program keeps its session between two runs.
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
    The key and the cursor, from which a session is resumed.

    `key` is the secret, which the repr omits. `cursor` is the greatest received with an
    event or a restore, None if there was none.

    Raises:
        ValueError: If the key is not a string, or the cursor not a cursor.
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
    Stores one session. Whoever can read it can act as the actor.

    A client calls it in other threads, one call at a time, and logs exceptions. Two clients
    that run at the same time need two stores.
    """

    def load(self) -> StoredSession | None:
        """Return the session that was saved last; None after `clear`, or if it is unusable."""

    def save(self, session: StoredSession) -> None:
        """Replace the stored session; it is durable when this returns."""

    def clear(self) -> None:
        """Remove the stored session, if there is one."""


class FileSessionStore:
    """
    Stores one session in the file at `path`, whose folder must exist.

    The file has mode 0600 and is replaced atomically: also after a crash it has the session
    saved last, or the one saved before. A file that cannot be parsed counts as none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # Absolute, because the program may change its directory.
        self._path = Path(path).absolute()

    def __repr__(self) -> str:
        return f"FileSessionStore({str(self._path)!r})"

    def load(self) -> StoredSession | None:
        """
        Return the session in the file; None if there is none.

        Raises:
            OSError: If the file cannot be read.
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
            OSError: If that fails; the file is then unchanged.
        """
        content = json.dumps({"key": session.key, "cursor": session.cursor})
        # Has mode 0600 and a unique name.
        descriptor, new = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                # Otherwise the rename may be on disk before the content.
                os.fsync(file.fileno())
            Path(new).replace(self._path)
        except BaseException:
            Path(new).unlink()
            raise

    def clear(self) -> None:
        """
        Remove the file.

        Raises:
            OSError: If that fails.
        """
        self._path.unlink(missing_ok=True)


def is_cursor(value: object) -> bool:
    """Return whether the value is a cursor (SPEC section 2.1)."""
    return type(value) is int and 0 <= value <= MAX_CURSOR
