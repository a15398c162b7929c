"""
`keystay serve`: runs the server.
"""

import asyncio
import gc
import json
import signal
from argparse import Namespace
from typing import Any

from keystay_server.cli.arguments import Parser
from keystay_server.cli.settings_flags import add_settings, settings_of
from keystay_server.node.systemd import notify
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.sources import load
from keystay_server.telemetry.logging import configure_logging


def build(parser: Parser) -> None:
    """Add the flags: one for each setting."""
    parser.description = (
        "Run the server. A setting can also be in the --config file under its name, or in the "
        "environment as KEYSTAY_ and its name in capitals."
    )
    parser.set_defaults(run=serve)
    add_settings(parser)


def serve(options: Namespace) -> int:
    """Run the server until it is stopped."""
    if hasattr(signal, "SIGHUP"):
        # It would end a server that starts: it is blocked until there is a handler.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    flags, file = settings_of(options)
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

    configure_logging(settings.log_level, as_json=settings.log_format == "json")
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(App(settings).run(_print_ready))
    return 0


def _print_ready(ready: dict[str, Any]) -> None:
    print(json.dumps(ready), flush=True)
    notify("READY=1")


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        return None
    return uvloop.new_event_loop
