"""
A session in a file that only its user can read.
"""

import json
import os
import tempfile
from pathlib import Path

from keystay.session_store import StoredSession


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
