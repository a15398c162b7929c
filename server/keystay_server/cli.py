"""
The command line: `keystay serve`, and what an operator does with a running server.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, NoReturn

from keystay_protocol import __version__
from keystay_server.admin import session
from keystay_server.admin.client import DEFAULT_URL, URL_VARIABLE, ControlClient, Refused
from keystay_server.admin.text import Answer
from keystay_server.config import Config, ConfigError, load
from keystay_server.telemetry import configure_logging

Command = Callable[[ControlClient, argparse.Namespace], Answer]


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
    return code


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        # What abbreviates one flag today may abbreviate two tomorrow.
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Say in one line what was wrong: usage is for those who ask for `--help`."""
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="keystay",
        description="A session authority that pushes every change to its holders.",
    )
    parser.add_argument("--version", action="version", version=f"keystay {__version__}")
    commands = _commands(parser)
    _add_serve(commands)
    _add_session(commands)
    return parser


def _commands(parser: argparse.ArgumentParser) -> Any:
    """Commands below the parser's own; whoever names none is shown which there are."""
    parser.set_defaults(run=partial(_show_usage, parser))
    return parser.add_subparsers(title="commands", metavar="COMMAND")


def _show_usage(parser: argparse.ArgumentParser, _: argparse.Namespace) -> int:
    parser.print_help(sys.stderr)
    return 2


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve",
        help="run the server",
        description="Run the server. A setting can also stand in the --config file under its "
        "name, or in the environment as KEYSTAY_ and its name in capitals.",
        argument_default=argparse.SUPPRESS,
    )
    serve.set_defaults(run=_serve)
    serve.add_argument("--config", metavar="FILE", help="a TOML file with settings")
    for setting in fields(Config):
        _add_flag(serve, setting.name, setting.default, setting.metadata["help"])


def _add_flag(parser: argparse.ArgumentParser, name: str, default: Any, help_: str) -> None:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(default, bool):
        parser.add_argument(flag, action="store_true", help=help_)
        return
    shown = ",".join(default) if isinstance(default, tuple) else default
    suffix = f" ({shown})" if shown != "" else ""
    metavar = "S" if name.endswith("_s") else "N" if isinstance(default, int) else "VALUE"
    parser.add_argument(flag, metavar=metavar, help=help_ + suffix.replace("%", "%%"))


def _add_session(commands: Any) -> None:
    about = "Open, list, show and end sessions, through the control plane of a running server."
    subcommands = _commands(
        commands.add_parser(
            "session", help="open, list, show and end sessions", description=about
        )
    )

    def add(name: str, run: Command, help_: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = subcommands.add_parser(
            name, help=help_, description=f"{help_[0].upper()}{help_[1:]}."
        )
        parser.set_defaults(run=partial(_administer, run))
        parser.add_argument(
            "--control",
            metavar="URL",
            help=f"the server's control plane ({URL_VARIABLE}, or {DEFAULT_URL})",
        )
        parser.add_argument("--json", action="store_true", help="print JSON, for programs")
        return parser

    create = add("create", session.create, "open a session, and show its key this once")
    create.add_argument("actor", metavar="ACTOR", help="whose session it is to be")
    create.add_argument(
        "--meta", metavar="JSON", type=_json_object, help="its public variables"
    )
    create.add_argument(
        "--ttl", metavar="S", type=_seconds, help="how long it lives without activity"
    )
    create.add_argument(
        "--max-age", metavar="S", type=_seconds, help="how long it lives at most"
    )
    list_ = add("list", session.list_, "list the live sessions of an actor, oldest first")
    list_.add_argument("actor", metavar="ACTOR", help="whose sessions")
    show = add("show", session.show, "show a live session")
    show.add_argument("id", metavar="ID", help="the session's id")
    end = add("end", session.end, "end a session: its key opens nothing any more")
    end.add_argument("id", metavar="ID", help="the session's id")
    end.add_argument("--reason", metavar="WORD", help="the word its holders are told (revoked)")


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object")
    return value


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise argparse.ArgumentTypeError("must be a number of seconds")
    return seconds


def _serve(options: argparse.Namespace) -> int:
    flags = dict(vars(options))
    del flags["run"]
    config = load(flags, file=flags.pop("config", None))
    # Imported late: whoever administers a server, or asks for help, waits for none of this.
    import asyncio

    try:
        from keystay_server.app import App
    except ModuleNotFoundError as error:
        missing = f"serve: {error.name} is not installed: pip install 'keystay[server]'"
        raise ConfigError(missing) from error

    configure_logging(config.log_level, as_json=config.log_format == "json")
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(App(config).run(_print_ready))
    return 0


def _print_ready(ready: dict[str, Any]) -> None:
    print(json.dumps(ready), flush=True)


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        return None
    return uvloop.new_event_loop


def _administer(run: Command, options: argparse.Namespace) -> int:
    answer = run(ControlClient.from_environment(options.control), options)
    print(json.dumps(answer.document) if options.json else answer.text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
