"""
`telemetry/logging.py`: the formats of the log, and what gets into it.
"""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

import keystay_server.app  # noqa: F401  # All loggers are as in a server.
from keystay_server.telemetry.logging import ConsoleFormatter, JsonFormatter, configure_logging


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Give the test run its own logging back."""
    root, ours = logging.getLogger(), logging.getLogger("keystay")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    yield
    root.handlers[:], (root.level, ours.level) = handlers, levels
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
    logging.captureWarnings(False)


def record(message: str, **fields: object) -> logging.LogRecord:
    """A line of the log."""
    return logging.makeLogRecord(
        {
            "name": "keystay.test",
            "levelname": "INFO",
            "msg": message,
            "created": 0.5,
            "msecs": 500,
            **fields,
        }
    )


def failure() -> logging.LogRecord:
    """A line of the log about an error."""
    try:
        raise ValueError("what went wrong")
    except ValueError:
        return record("it failed", exc_info=sys.exc_info())


def test_a_json_line_is_one_object() -> None:
    """Time, level, logger, message, and each field under its name."""
    line = JsonFormatter().format(record("connection\nclosed", address="::1", code=1000))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.500Z",
        "level": "info",
        "logger": "keystay.test",
        "message": "connection\nclosed",
        "address": "::1",
        "code": 1000,
    }


def test_a_json_line_holds_the_whole_error() -> None:
    """A traceback does not break the line."""
    line = JsonFormatter().format(failure())
    assert "\n" not in line
    assert "ValueError: what went wrong" in json.loads(line)["exception"]


def test_any_field_can_be_told() -> None:
    """A value that is not JSON is told as text: a log line never fails."""
    line = JsonFormatter().format(record("odd", value={1}))
    assert json.loads(line)["value"] == "{1}"


def test_a_console_line_is_for_people() -> None:
    """Time, level, logger and message, then the fields; the error below."""
    line = ConsoleFormatter().format(record("connection closed", address="::1", code=1000))
    assert line == (
        "1970-01-01T00:00:00.500Z info    keystay.test: connection closed address=::1 code=1000"
    )
    assert ConsoleFormatter().format(failure()).endswith("ValueError: what went wrong")


@pytest.mark.parametrize("as_json", [True, False])
def test_the_log_goes_to_standard_error(
    capfd: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    """Standard output has the ready line alone."""
    writer = configure_logging("info", as_json=as_json)
    logging.getLogger("keystay.test").info("here")
    writer.flush()
    out, err = capfd.readouterr()
    assert (out, "here" in err) == ("", True)


def test_debug_of_ours_is_not_debug_of_libraries(capfd: pytest.CaptureFixture[str]) -> None:
    """At DEBUG a library would log requests, cookies and messages: its own level stays."""
    writer = configure_logging("debug", as_json=False)
    logging.getLogger("keystay.test").debug("ours")
    for library in ("websockets.server", "keystay.websocket.library", "uvicorn", "asyncio"):
        logging.getLogger(library).debug("theirs")
        logging.getLogger(library).info("theirs")
    writer.flush()
    err = capfd.readouterr().err
    assert "ours" in err
    assert "theirs" not in err


PROGRAM = """
import threading, warnings
from keystay_server.telemetry.logging import configure_logging

class Odd:
    def __del__(self):
        raise ValueError("unraisable")

configure_logging("info", as_json={as_json})
warnings.warn("a library warns", RuntimeWarning)
Odd()
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise SystemError("uncaught")
"""


def test_warnings_and_uncaught_errors_are_lines_of_the_log() -> None:
    """In JSON each is one object with the traceback inside, whichever way it was raised."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(as_json=True)],
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=20,
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert (done.returncode, done.stdout) == (1, "")
    assert [(line["level"], line["logger"]) for line in lines] == [
        ("warning", "py.warnings"),
        ("error", "keystay"),
        ("critical", "keystay"),
        ("critical", "keystay"),
    ]
    assert "a library warns" in lines[0]["message"]
    assert "unraisable" in lines[1]["exception"]
    assert "ZeroDivisionError" in lines[2]["exception"]
    assert "uncaught" in lines[3]["exception"]
