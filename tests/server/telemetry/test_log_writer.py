"""
`telemetry/log_writer.py`: the log is written from a thread of its own.
"""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest

from keystay_server.telemetry.log_writer import LogWriter, dropped_lines
from keystay_server.telemetry.logging import ConsoleFormatter

PIPE_BYTES = 4096
MAX_BYTES = 16 * 1024


class Pipe:
    """A small pipe, and a log that is written into it."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.log = LogWriter(self.writer, MAX_BYTES)
        self.log.setFormatter(ConsoleFormatter())

    def read_until(self, text: bytes) -> bytes:
        """Read until this has come."""
        data = b""
        while text not in data:
            data += os.read(self.reader, 65536)
        return data


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe that is read in the end: the thread that writes into it must not stay behind."""
    made = Pipe()
    yield made
    done = threading.Event()

    def drain() -> None:
        while not done.is_set() and os.read(made.reader, 65536):
            pass

    drainer = threading.Thread(target=drain, daemon=True)
    drainer.start()
    made.log.flush()
    done.set()
    made.log.write("the last line")
    drainer.join(5)


def log_line(log: LogWriter, text: str, *args: object) -> None:
    """Write a line of the log."""
    log.handle(logging.LogRecord("keystay.test", logging.INFO, "", 0, text, args, None))


def test_lines_are_written_in_their_order(pipe: Pipe) -> None:
    """Each is complete, and nothing but lines is written."""
    for number in range(50):
        log_line(pipe.log, "line %d of the log", number)
    lines = pipe.read_until(b"line 49 of the log\n").decode().splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == [
        f"line {number} of the log" for number in range(50)
    ]
    pipe.log.flush()
    assert pipe.log.dropped == 0


def test_a_stalled_reader_holds_up_nobody(pipe: Pipe) -> None:
    """What is beyond the bound is dropped at once and counted; the log tells how many."""
    started = time.monotonic()
    for _ in range(2000):
        log_line(pipe.log, "x" * 100)
    assert time.monotonic() - started < 1.0
    dropped = pipe.log.dropped
    kept = 2000 - dropped
    assert 0 < kept * 100 <= MAX_BYTES + PIPE_BYTES
    text = pipe.read_until(b"was not read fast enough\n")
    assert text.count(b"xxxx\n") == kept
    assert f"warning keystay.log: {dropped} lines were dropped".encode() in text
    log_line(pipe.log, "afterwards")
    assert pipe.read_until(b"afterwards\n").count(b"\n") == 1


def test_flushing_does_not_wait_for_ever(pipe: Pipe) -> None:
    """The end of a process does not depend on the reader of its log."""
    for _ in range(100):
        log_line(pipe.log, "x" * 100)
    started = time.monotonic()
    pipe.log.flush()
    assert 0.5 < time.monotonic() - started < 3.0


def test_a_reader_that_is_gone_costs_lines_only() -> None:
    """They are counted, and logging goes on."""
    pipe = Pipe()
    os.close(pipe.reader)
    for _ in range(10):
        log_line(pipe.log, "into nothing")
        pipe.log.flush()
    assert pipe.log.dropped == 10


def test_a_pipe_that_does_not_block_is_written_all_the_same(pipe: Pipe) -> None:
    """Another process that has the same pipe may have set O_NONBLOCK."""
    os.set_blocking(pipe.writer, False)
    for number in range(100):
        log_line(pipe.log, "%s %d", "x" * 100, number)
    assert pipe.read_until(b" 99\n").count(b"\n") == 100


def test_a_line_that_cannot_be_formatted_is_named(pipe: Pipe) -> None:
    """A mistake in a log call stops neither the caller nor the log."""
    log_line(pipe.log, "%d", "no number")
    assert b"a line of keystay.test could not be formatted: '%d'\n" in pipe.read_until(b"\n")


def test_dropped_lines_are_those_of_the_root_logger(pipe: Pipe) -> None:
    """For the metric."""
    before = dropped_lines()
    logging.getLogger().addHandler(pipe.log)
    try:
        pipe.log.dropped += 3
        assert dropped_lines() == before + 3
    finally:
        logging.getLogger().removeHandler(pipe.log)
