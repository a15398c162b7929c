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


_READ = ("clock", "session")
_WRITE = (*_READ, "write")

CHECK = _script("check", *_READ)
SESSION = _script("session", *_READ)
SESSIONS = _script("sessions", *_READ)
HISTORY = _script("history", "clock", "history")
FEED = _script("feed", "clock")
PROBE = _script("probe", "clock")
SWEEP = _script("sweep", "clock", "sweep")

RIGHTS = _script("rights", "clock", "rights")
READY = _script("ready", "clock", "rights")

RESTORE = _script("restore", *_READ, "extend", "history", "restore")
RESTORE_ONLY = _script("restore_only", *_READ, "history", "restore")
TOUCH = _script("touch", *_READ, "extend")

CREATE = _script("create", *_WRITE, "overdue", "idempotency")
EXPIRE = _script("expire", *_WRITE, "sweep", "overdue")
END = _script("end", *_WRITE)
CHANGE = _script("change", *_WRITE)
EMIT = _script("emit", *_WRITE, "idempotency")
BROADCAST = _script("broadcast", *_WRITE)

REPORT = _script("report", "clock")
REPORTS = _script("reports", "clock")
LEASE = _script("lease", "clock")
LEASE_SAVE = _script("lease_save", "clock")
LEASE_SAVED = _script("lease_saved")

ALL = (
    *(CHECK, SESSION, SESSIONS, HISTORY, FEED, PROBE, SWEEP),
    *(RIGHTS, READY, RESTORE, RESTORE_ONLY, TOUCH),
    *(CREATE, EXPIRE, END, CHANGE, EMIT, BROADCAST),
    *(REPORT, REPORTS, LEASE, LEASE_SAVE, LEASE_SAVED),
)
