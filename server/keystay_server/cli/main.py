"""
The command line: the table of its commands.
"""

import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module

from keystay_protocol import __version__
from keystay_server.cli.arguments import Parser, Refused, commands_of
from keystay_server.cli.standard_streams import open_standard_streams
from keystay_server.settings.errors import ConfigError

_COMMANDS = {
    "serve": "run the server",
    "session": "create, get, list, update, reassign and revoke sessions",
    "emit": "send an event to an actor or to one session",
    "broadcast": "send an event to every open connection",
    "feed": "show changes of sessions as they happen, until Ctrl-C",
    "stats": "show the nodes and their statistics",
    "config": "show and check the settings of a server",
    "doctor": "check the store, the machine and the files that a server would use",
    "bench": "measure a server from the clients' side, for a bounded time",
}
"""Each command is a module of this package, with a function `build`."""

_ALIASES = {"feed": ["watch"]}
"""Former names."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code: 0, 1 refused, 2 misused, 75 try again later."""
    open_standard_streams()
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except Refused as error:
        print(f"keystay: {error}", file=sys.stderr)
        return 1
    except ConfigError as error:
        print(f"keystay: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT  # The convention of shells.
    except BrokenPipeError:
        # The reader of the output has left. Write nothing more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser() -> Parser:
    parser = Parser(
        prog="keystay",
        description="A session server that sends every change to the connections of a session.",
    )
    parser.add_argument("--version", action="version", version=f"keystay {__version__}")
    commands = commands_of(parser)
    for name, help_ in _COMMANDS.items():
        commands.add_parser(
            name,
            aliases=_ALIASES.get(name, []),
            help=help_,
            description=f"{help_[0].upper()}{help_[1:]}.",
            build=partial(_build, name),
        )
    return parser


def _build(name: str, parser: Parser) -> None:
    import_module(f"keystay_server.cli.{name}").build(parser)


if __name__ == "__main__":
    sys.exit(main())
