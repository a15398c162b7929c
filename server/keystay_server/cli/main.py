"""
The command line: `keystay serve`, and what an operator does with a running server.

Each group of commands is a module in `admin`, which adds its own.
"""

import argparse
import gc
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from keystay_protocol import __version__
from keystay_server.cli import config, doctor, emit, session, stats, watch
from keystay_server.cli.arguments import Parser, add_settings, commands_of, settings_of
from keystay_server.cli.client import Refused
from keystay_server.node.systemd import notify
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.sources import load
from keystay_server.telemetry.logging import configure_logging


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code: 0 done, 1 refused, 2 misused or misconfigured."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except Refused as error:
        print(f"keystay: {error}", file=sys.stderr)
        return 1
    except ConfigError as error:
        print(f"keystay: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT  # As a shell has it.
    except BrokenPipeError:
        # Whoever read it has seen enough. Nothing more is to be written, not even at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="keystay",
        description="A session authority that pushes every change to its holders.",
    )
    parser.add_argument("--version", action="version", version=f"keystay {__version__}")
    commands = commands_of(parser)
    _add_serve(commands)
    for group in (session, emit, watch, stats, config, doctor):
        group.add_to(commands)
    return parser


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve",
        help="run the server",
        description="Run the server. A setting can also stand in the --config file under its "
        "name, or in the environment as KEYSTAY_ and its name in capitals.",
    )
    serve.set_defaults(run=_serve)
    add_settings(serve)


def _serve(options: argparse.Namespace) -> int:
    if hasattr(signal, "SIGHUP"):
        # It would end a server that still starts: it is held back until there is a handler.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    flags, file = settings_of(options)
    # Imported late: whoever administers a server, or asks for help, waits for none of this.
    import asyncio

    # What is imported stays: the collector need look at it neither now nor later.
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
        runner.run(App(settings).run(_tell_ready))
    return 0


def _tell_ready(ready: dict[str, Any]) -> None:
    print(json.dumps(ready), flush=True)
    notify("READY=1")


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main())
