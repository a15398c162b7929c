"""
`keystay serve`: runs the server.
"""

import asyncio
import gc
import json
import logging
import os
import signal
import threading
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keystay_server.cli.arguments import Parser
from keystay_server.cli.settings_flags import add_settings, settings_of
from keystay_server.node.systemd import notify
from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.sources import load, read_one
from keystay_server.telemetry.logging import configure_logging

if TYPE_CHECKING:
    from keystay_server.app import App

STANDARD_OUTPUT = 1

log = logging.getLogger("keystay")


def build(parser: Parser) -> None:
    """Add the flags: one for each setting."""
    parser.description = (
        "Run the server. A setting can also be in the --config file under its name, or in the "
        "environment as KEYSTAY_ and its name in capitals."
    )
    parser.set_defaults(run=serve)
    parser.report = _report_usage
    add_settings(parser)


def serve(options: Namespace) -> int:
    """Run the server until it is stopped."""
    if hasattr(signal, "SIGHUP"):
        # It would end a server that starts: it is blocked until there is a handler.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    flags, file = settings_of(options)
    is_json = read_one("log_format", flags, file) == "json"
    configure_logging("info", as_json=is_json)
    try:
        settings, app = _configured(flags, file)
        is_json = settings.log_format == "json"
        configure_logging(settings.log_level, as_json=is_json)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(app(settings).run(_print_ready))
    except ConfigError as error:
        fields = error.to_document()
        del fields["error"]
        _report(str(error), fields, as_json=is_json)
        return error.exit_code
    return 0


def _configured(
    flags: Mapping[str, Any], file: str | None
) -> "tuple[Config, Callable[[Config], App]]":
    """Read the settings, and import what a server needs."""
    # Modules are never freed: the collector need not visit them, now or later.
    gc.disable()
    try:
        settings = load(flags, file)
        from keystay_server.app import App
    except ModuleNotFoundError as error:
        missing = f"{error.name} is not installed: pip install 'keystay[server]'"
        raise ConfigError("serve", missing) from error
    finally:
        gc.enable()
    gc.freeze()
    return settings, App


def _print_ready(ready: dict[str, Any]) -> None:
    # From a thread, and past Python's buffers: the reader of a full pipe may never come.
    data = f"{json.dumps(ready)}\n".encode()
    threading.Thread(target=_print, args=(data,), name="keystay-ready", daemon=True).start()
    notify("READY=1")


def _print(data: bytes) -> None:
    try:
        os.write(STANDARD_OUTPUT, data)
    except OSError as error:
        log.warning("the ready line could not be printed: %s", error.strerror)


def _report_usage(message: str, meant: str | None, words: Sequence[str]) -> bool:
    given = _value_of("--log-format", words)
    flags = {} if given is None else {"log_format": given}
    is_json: bool = read_one("log_format", flags, _value_of("--config", words)) == "json"
    if is_json:
        _report(message, {"nearest": meant}, as_json=True)
    return is_json


def _value_of(flag: str, words: Sequence[str]) -> str | None:
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word == flag:
            return following
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return None


def _report(message: str, fields: dict[str, Any], *, as_json: bool) -> None:
    """Write why the server does not start: one line, in the format of the log."""
    writer = configure_logging("info", as_json=as_json)
    if as_json:
        log.error("%s", message, extra=fields)
    else:
        writer.write(f"keystay: {message}")


def loop_factory() -> Any:
    """Return what makes the event loop; None: the one of asyncio."""
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        return None
    return uvloop.new_event_loop
