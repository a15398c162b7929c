"""
The Lua scripts: one for each operation, atomic because Redis runs one at a time.

A file whose name starts with an underscore is a part that several operations
share. It is put in after the first line, which is for Redis.
"""

import hashlib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """A script as Redis gets it, and the name Redis knows it by."""

    text: bytes
    sha: bytes


def _script(name: str, *parts: str) -> Script:
    """Put a script together."""
    folder = files(__name__)
    flags, _, body = folder.joinpath(f"{name}.lua").read_bytes().partition(b"\n")
    shared = [folder.joinpath(f"_{part}.lua").read_bytes() for part in parts]
    text = b"\n".join([flags, *shared, body])
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


CHECK = _script("check", "session")
SESSIONS = _script("sessions", "session")
HISTORY = _script("history", "session", "events")
CREATE = _script("create", "session", "events", "write")
RESTORE = _script("restore", "session", "events", "write")
END = _script("end", "session", "events", "write")

ALL = (CHECK, SESSIONS, HISTORY, CREATE, RESTORE, END)
