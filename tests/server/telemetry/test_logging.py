"""
What the server tells its operator, and never tells anybody.
"""

import json
import logging
import sys
from collections.abc import Iterator

import pytest

import keystay_server.app  # noqa: F401  # All loggers are as in a server.
from keystay_server.telemetry.logging import ConsoleFormatter, JsonFormatter, configure_logging


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Give the test run its own logging back."""
    root, ours = logging.getLogger(), logging.getLogger("keystay")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, ours.level = before


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
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    """Standard output is for the ready line alone."""
    configure_logging("info", as_json=as_json)
    logging.getLogger("keystay.test").info("here")
    out, err = capsys.readouterr()
    assert (out, "here" in err) == ("", True)


def test_debug_of_ours_is_not_debug_of_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    """At DEBUG a library would log requests, cookies and messages: its own level stays."""
    configure_logging("debug", as_json=False)
    logging.getLogger("keystay.test").debug("ours")
    for library in ("websockets.server", "keystay.websocket.library", "uvicorn", "asyncio"):
        logging.getLogger(library).debug("theirs")
        logging.getLogger(library).info("theirs")
    err = capsys.readouterr().err
    assert "ours" in err
    assert "theirs" not in err
