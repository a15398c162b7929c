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


_WRITE = ("clock", "session", "events", "write")

CHECK = _script("check", "clock", "session")
SESSIONS = _script("sessions", "clock", "session")
HISTORY = _script("history", "clock", "session", "events")
CREATE = _script("create", *_WRITE, "once")
RESTORE = _script("restore", *_WRITE)
TOUCH = _script("touch", *_WRITE)
EXPIRE = _script("expire", *_WRITE)
END = _script("end", *_WRITE)
CHANGE = _script("change", *_WRITE)
EMIT = _script("emit", *_WRITE, "once")
BROADCAST = _script("broadcast", *_WRITE)

REPORT = _script("report", "clock")
REPORTS = _script("reports", "clock")

DUE_ADD = _script("due_add", "clock", "due")
DUE_LEASE = _script("due_lease", "clock", "due")
DUE_RELEASE = _script("due_release", "clock", "due")

FEED_MARK = _script("feed_mark")
FEED_APPEND = _script("feed_append", "clock", "feed")
FEED_STALE = _script("feed_stale", "clock", "feed")
FEED_READ = _script("feed_read", "clock", "feed")

LEASE = _script("lease", "clock")
LEASE_SAVE = _script("lease_save", "clock")
LEASE_SAVED = _script("lease_saved")

ALL = (
    *(CHECK, SESSIONS, HISTORY, CREATE, RESTORE, TOUCH, EXPIRE, END, CHANGE, EMIT, BROADCAST),
    *(REPORT, REPORTS),
    *(DUE_ADD, DUE_LEASE, DUE_RELEASE),
    *(FEED_MARK, FEED_APPEND, FEED_STALE, FEED_READ),
    *(LEASE, LEASE_SAVE, LEASE_SAVED),
)
