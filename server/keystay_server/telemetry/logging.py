"""
The log, on standard error.

Fields are passed as `extra`; there is never a key or a token among them.
"""

import json
import logging
import sys
import threading
import time
from types import TracebackType
from typing import Any

from keystay_server.telemetry.log_writer import LogWriter

# What every record has; whatever else it carries was passed as `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


STANDARD_ERROR = 2

log = logging.getLogger("keystay")


def configure_logging(level: str, *, as_json: bool) -> LogWriter:
    """
    Send all logs, warnings and uncaught errors to standard error; return what writes them.

    It can be called again, with another level or format.
    """
    root = logging.getLogger()
    existing = [handler for handler in root.handlers if isinstance(handler, LogWriter)]
    writer = existing[0] if existing else LogWriter(STANDARD_ERROR)
    writer.setFormatter(JsonFormatter() if as_json else ConsoleFormatter())
    root.handlers[:] = [writer]
    root.setLevel(logging.WARNING)
    log.setLevel(level.upper())
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_uncaught_in_thread
    return writer


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    log.critical("an uncaught error", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and args.exc_type is not SystemExit:
        log.critical("an uncaught error in a thread", exc_info=args.exc_value)


def _log_unraisable(args: "sys.UnraisableHookArgs") -> None:
    log.error("an error that could not be raised: %s", args.err_msg, exc_info=args.exc_value)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class ConsoleFormatter(logging.Formatter):
    """A line for people: time, level, logger, message, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = (
            f"{_timestamp(record)} {record.levelname.lower():<7} "
            f"{record.name}: {record.getMessage()}{fields}"
        )
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _timestamp(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"
