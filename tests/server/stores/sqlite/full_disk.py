"""
A disk that takes nothing more, without filling one.

The system refuses each write of a process to a file beyond its limit on file
sizes (setrlimit(2), RLIMIT_FSIZE). With a limit of 0, that is each write.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def full_disk(pid: int | None = None) -> Iterator[None]:
    """Let no file grow in a process: this one, or the one with the id."""
    pid = os.getpid() if pid is None else pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
