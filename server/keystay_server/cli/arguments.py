"""
What the commands of the command line are made of: parsers, flags, and how words are read.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, NoReturn

from keystay_server.cli.client import DEFAULT_URL, URL_VARIABLE, ControlClient
from keystay_server.cli.screen import show, show_json
from keystay_server.cli.text import Answer
from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.suggestions import did_you_mean, nearest

Command = Callable[[ControlClient, argparse.Namespace], Answer]


class Parser(argparse.ArgumentParser):
    """One command's."""

    json_errors = False
    """Whether to programs, which say `--json`, what is wrong is an answer too."""
    _words: Sequence[str] = ()

    def __init__(self, **options: Any) -> None:
        # What abbreviates one flag today may abbreviate two tomorrow.
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Say in one line what was wrong: usage is for those who ask for `--help`."""
        self._fail(message, None)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Read the words; refuse here what is left, where it is known what was meant."""
        self._words = args or ()
        options, rest = super().parse_known_args(args, namespace)
        # No value is repeated: it may be a secret.
        flag = next((word.partition("=")[0] for word in rest if word.startswith("-")), None)
        if flag is not None:
            flags = {each.lstrip("-"): each for each in self._option_string_actions}
            meant = nearest(flag.lstrip("-"), flags)
            self._refuse(flag, "flag", None if meant is None else flags[meant])
        if rest:
            self.error(f"{len(rest)} {'word' if len(rest) == 1 else 'words'} too many")
        return options, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # argparse would list all commands, without saying which is like it.
        if action.choices is not None and value not in action.choices:
            self._refuse(value, "command", nearest(value, action.choices))

    def _refuse(self, name: str, kind: str, meant: str | None) -> NoReturn:
        self._fail(f"{name}: no such {kind}{did_you_mean(meant)}", meant)

    def _fail(self, message: str, meant: str | None) -> NoReturn:
        if self.json_errors and "--json" in self._words:
            unknown = dict.fromkeys(("setting", "source"))
            show_json({"ok": False, "error": message, **unknown, "nearest": meant})
            self.exit(2)
        self.exit(2, f"{self.prog}: {message}\n")


def commands_of(parser: argparse.ArgumentParser) -> Any:
    """Commands below the parser's own; whoever names none is shown which there are."""
    parser.set_defaults(run=partial(_show_usage, parser))
    return parser.add_subparsers(title="commands", metavar="COMMAND")


def add_command(commands: Any, name: str, help_: str) -> Parser:
    """Add one, whose description is what its help says."""
    parser: Parser = commands.add_parser(
        name, help=help_, description=f"{help_[0].upper()}{help_[1:]}."
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    return parser


def add_control_command(commands: Any, name: str, help_: str) -> argparse.ArgumentParser:
    """Add one that goes through the control plane of a running server."""
    parser = add_command(commands, name, help_)
    parser.add_argument(
        "--control",
        metavar="URL",
        help=f"the server's control plane ({URL_VARIABLE}, or {DEFAULT_URL})",
    )
    return parser


def control_command(run: Command) -> Callable[[argparse.Namespace], int]:
    """What runs a command that asks the server, and shows the answer."""

    def asked(options: argparse.Namespace) -> int:
        control = ControlClient.from_environment(options.control)
        show(run(control, options), as_json=options.json)
        return 0

    return asked


def validation_command(parser: Parser, run: Callable[[argparse.Namespace], int]) -> None:
    """Have it run a command about settings: to programs, a wrong one is an answer too."""

    def judged(options: argparse.Namespace) -> int:
        try:
            return run(options)
        except ConfigError as error:
            if not options.json:
                raise
            show_json({"ok": False, **error.to_document()})
            return 2

    parser.json_errors = True
    parser.set_defaults(run=judged)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add `--config`, and a flag for each of the server's settings; none has a default."""
    parser.add_argument(
        *("--config",),
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="a TOML file with settings",
    )
    for setting in fields(Config):
        _add_setting(parser, setting.name, setting.default, setting.metadata["help"])


def settings_of(options: argparse.Namespace) -> tuple[dict[str, Any], str | None]:
    """The settings that were given as flags, and the file that was named."""
    given = vars(options)
    names = {setting.name for setting in fields(Config)}
    flags = {name: value for name, value in given.items() if name in names}
    return flags, given.get("config")


def _add_setting(parser: argparse.ArgumentParser, name: str, default: Any, help_: str) -> None:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(default, bool):
        parser.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=help_)
        return
    shown = ",".join(default) if isinstance(default, tuple) else default
    suffix = f" ({shown})" if shown != "" else ""
    metavar = "S" if name.endswith("_s") else "N" if isinstance(default, int) else "VALUE"
    parser.add_argument(
        flag,
        metavar=metavar,
        default=argparse.SUPPRESS,
        help=help_ + suffix.replace("%", "%%"),
    )


def _show_usage(parser: argparse.ArgumentParser, _: argparse.Namespace) -> int:
    parser.print_help(sys.stderr)
    return 2


def json_value(text: str) -> Any:
    """Any JSON value."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise argparse.ArgumentTypeError("must be JSON") from None


def json_object(text: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        value = json_value(text)
    except argparse.ArgumentTypeError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object")
    return value


def seconds(text: str) -> float:
    """A number of seconds."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError("must be a number of seconds")
    return number
