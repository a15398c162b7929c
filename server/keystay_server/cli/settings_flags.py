"""
Flags for the settings of a server, and commands that validate them.
"""

import argparse
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from keystay_server.cli.arguments import Parser
from keystay_server.cli.screen import show_json
from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError


def validation_command(parser: Parser, run: Callable[[argparse.Namespace], int]) -> None:
    """Run a command about settings. With `--json`, errors are printed as JSON too."""

    def command(options: argparse.Namespace) -> int:
        try:
            return run(options)
        except ConfigError as error:
            if not options.json:
                raise
            show_json({"ok": False, **error.to_document()})
            return 2

    parser.json_errors = True
    parser.set_defaults(run=command)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add `--config`, and a flag for each setting; none has a default."""
    parser.add_argument(
        *("--config",),
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="a TOML file with settings",
    )
    for setting in fields(Config):
        _add_setting(parser, setting.name, setting.default, setting.metadata["help"])


def settings_of(options: argparse.Namespace) -> tuple[dict[str, Any], str | None]:
    """Return the settings given as flags, and the file that was named."""
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
