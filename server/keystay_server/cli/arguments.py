"""
What the parsers of all commands have in common, and how arguments are read.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

from keystay_server.cli.screen import show_json
from keystay_server.settings.suggestions import did_you_mean, nearest

DEFAULT_URL = "http://127.0.0.1:8331"
URL_VARIABLE = "KEYSTAY_CONTROL"


class Refused(Exception):
    """The server refused, or did not respond. The text is one line, for the operator."""


class Parser(argparse.ArgumentParser):
    """
    The parser of one command.

    Args:
        build: Adds the arguments, when the command is used: most are not.
    """

    json_errors = False
    """With `--json`, print errors as JSON too."""
    report: Callable[[str, str | None, Sequence[str]], bool] = staticmethod(lambda *_: False)
    """Called with an error, the nearest word, and all words; True if it wrote the error."""
    _words: Sequence[str] = ()

    def __init__(
        self, *, build: Callable[["Parser"], None] | None = None, **options: Any
    ) -> None:
        # A flag that is a unique abbreviation today may be ambiguous tomorrow.
        super().__init__(**options, allow_abbrev=False)
        self._build = build

    def error(self, message: str) -> NoReturn:
        """Print the error in one line, without the usage."""
        self._fail(message, None)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; refuse unknown arguments here, where similar ones are known."""
        if self._build is not None:
            build, self._build = self._build, None
            build(self)
        self._words = args or ()
        options, rest = super().parse_known_args(args, namespace)
        # Values are not quoted: they may be secrets.
        flag = next((word.partition("=")[0] for word in rest if word.startswith("-")), None)
        if flag is not None:
            flags = {each.lstrip("-"): each for each in self._option_string_actions}
            meant = nearest(flag.lstrip("-"), flags)
            self._refuse(flag, "flag", None if meant is None else flags[meant])
        if rest:
            self.error(f"{len(rest)} {'word' if len(rest) == 1 else 'words'} too many")
        return options, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # argparse would list all commands, without the nearest one.
        if action.choices is not None and value not in action.choices:
            self._refuse(value, "command", nearest(value, action.choices))

    def _refuse(self, name: str, kind: str, meant: str | None) -> NoReturn:
        self._fail(f"{name}: no such {kind}{did_you_mean(meant)}", meant)

    def _fail(self, message: str, meant: str | None) -> NoReturn:
        if self.json_errors and "--json" in self._words:
            unknown = dict.fromkeys(("setting", "source"))
            show_json({"ok": False, "error": message, **unknown, "nearest": meant})
            self.exit(2)
        if self.report(message, meant, self._words):
            self.exit(2)
        self.exit(2, f"{self.prog}: {message}\n")


def commands_of(parser: argparse.ArgumentParser) -> Any:
    """Add commands below the parser's own. Without one, the usage is printed."""
    parser.set_defaults(run=partial(_show_usage, parser))
    return parser.add_subparsers(title="commands", metavar="COMMAND")


def add_command(commands: Any, name: str, help_: str, *former: str) -> Parser:
    """Add a command; `former` are its former names."""
    parser: Parser = commands.add_parser(
        name, help=help_, description=f"{help_[0].upper()}{help_[1:]}.", aliases=former
    )
    add_json(parser)
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def _show_usage(parser: argparse.ArgumentParser, _: argparse.Namespace) -> int:
    parser.print_help(sys.stderr)
    return 2


def json_value(text: str) -> Any:
    """Read any JSON value."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise argparse.ArgumentTypeError("must be JSON") from None


def json_object(text: str) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        value = json_value(text)
    except argparse.ArgumentTypeError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object")
    return value


def seconds(text: str) -> float:
    """Read a number of seconds."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError("must be a number of seconds")
    return number
