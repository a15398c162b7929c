"""
Writes the log from a thread of its own.

Invariant: logging never waits for the reader of the log. What is not read is held up to a
bound; lines beyond it are dropped and counted, and the log says how many.
"""

import logging
import os
import select
import threading
from collections import deque

MAX_WAITING_BYTES = 1024 * 1024
FLUSH_S = 1.0
"""How long the end of the process waits for the reader of the log."""

_CHUNK_BYTES = 64 * 1024


class LogWriter(logging.Handler):
    """
    A handler that writes to a file descriptor.

    `dropped` is how many lines were not written: the reader was too slow, or is gone.
    """

    def __init__(self, descriptor: int, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        super().__init__()
        self.dropped = 0
        self._descriptor = descriptor
        self._max_waiting_bytes = max_waiting_bytes
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._unreported = 0
        self._changed = threading.Condition()
        # A daemon: a write that never returns does not keep the process from its end.
        threading.Thread(target=self._run, name="keystay-log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Format the record, and queue it to be written."""
        try:
            line = self.format(record)
        except Exception:
            # `handleError` would write to standard error, and wait for its reader.
            line = f"a line of {record.name} could not be formatted: {record.msg!r}"
        self.write(line)

    def write(self, line: str) -> None:
        """Queue a line to be written as it is."""
        data = f"{line}\n".encode(errors="backslashreplace")
        with self._changed:
            if self._waiting_bytes + len(data) > self._max_waiting_bytes:
                self.dropped += 1
                self._unreported += 1
                return
            self._lines.append(data)
            self._waiting_bytes += len(data)
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all is written; not for long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting_bytes, FLUSH_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                chunk = self._take()
            lost = self._write(chunk)
            with self._changed:
                self._waiting_bytes -= len(chunk)
                self.dropped += lost
                # The reader is gone.
                unreported, self._unreported = (0, 0) if lost else (self._unreported, 0)
                self._changed.notify_all()
            if unreported:
                self._report(unreported)

    def _take(self) -> bytes:
        chunk = bytearray()
        while self._lines and len(chunk) < _CHUNK_BYTES:
            chunk += self._lines.popleft()
        return bytes(chunk)

    def _write(self, chunk: bytes) -> int:
        """Write all of it, however long that takes; return how many lines failed."""
        left = memoryview(chunk)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # Another process has made the pipe non-blocking.
                select.select([], [self._descriptor], [])
            except OSError:
                return bytes(left).count(b"\n")
        return 0

    def _report(self, dropped: int) -> None:
        lines = "1 line was" if dropped == 1 else f"{dropped} lines were"
        text = f"{lines} dropped: the log was not read fast enough"
        self.emit(logging.LogRecord("keystay.log", logging.WARNING, "", 0, text, None, None))


def dropped_lines() -> int:
    """Return how many lines of the log were dropped since the process started."""
    writers = [each for each in logging.getLogger().handlers if isinstance(each, LogWriter)]
    return sum(writer.dropped for writer in writers)
