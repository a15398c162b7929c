"""
The command line: `keystay serve`, and what an operator does with a running server.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NoReturn

from keystay_protocol import __version__
from keystay_server.app import App
from keystay_server.config import Config, ConfigError, load
from keystay_server.telemetry import configure_logging


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code: 0 done, 2 wrong usage or configuration."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except ConfigError as error:
        print(f"keystay: {error}", file=sys.stderr)
        return 2
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say in one line what was wrong: usage is for those who ask for `--help`."""
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="keystay",
        description="A session authority that pushes every change to its holders.",
    )
    parser.add_argument("--version", action="version", version=f"keystay {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
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
    return parser


def _add_flag(parser: argparse.ArgumentParser, name: str, default: Any, help_: str) -> None:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(default, bool):
        parser.add_argument(flag, action="store_true", help=help_)
        return
    shown = ",".join(default) if isinstance(default, tuple) else default
    suffix = f" ({shown})" if shown != "" else ""
    metavar = "S" if name.endswith("_s") else "N" if isinstance(default, int) else "VALUE"
    parser.add_argument(flag, metavar=metavar, help=help_ + suffix.replace("%", "%%"))


def _serve(options: argparse.Namespace) -> int:
    flags = dict(vars(options))
    del flags["run"]
    config = load(flags, file=flags.pop("config", None))
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


if __name__ == "__main__":
    sys.exit(main())
