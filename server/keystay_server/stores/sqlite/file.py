"""
The database file, as others can change it while it is open.

SQLite goes on writing to a file that was deleted or moved, and to a write-ahead log that was:
all of it is lost at the next start.
"""

import os
from dataclasses import dataclass

LOG = "-wal"
"""What SQLite adds to the name of the file for its write-ahead log."""


@dataclass(frozen=True, slots=True)
class _Identity:
    device: int
    inode: int


class DatabaseFile:
    """A file that is open, and its write-ahead log; `:memory:` is none."""

    def __init__(self, path: str) -> None:
        self._paths = [] if path == ":memory:" else [path, path + LOG]
        self._opened: list[_Identity] = []
        self._size = 0

    def opened(self) -> None:
        """Remember which files they are: they were opened just now."""
        self._opened = [_identity(path) for path in self._paths]

    def problem(self) -> str | None:
        """Return what has happened to them since; None: nothing."""
        for path, opened in zip(self._paths, self._opened, strict=True):
            try:
                status = os.stat(path)  # noqa: PTH116 - called for each transaction
            except OSError as error:
                return f"{path} is gone ({error.strerror})"
            if opened != _Identity(status.st_dev, status.st_ino):
                return f"{path} was replaced by another file"
            if path == self._paths[0]:
                # SQLite makes it smaller only when it is asked to.
                if status.st_size < self._size:
                    return f"{path} was truncated"
                self._size = status.st_size
        return None


def _identity(path: str) -> _Identity:
    status = os.stat(path)  # noqa: PTH116
    return _Identity(status.st_dev, status.st_ino)
