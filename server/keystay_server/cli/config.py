"""
`keystay config ...`: what a server would run with, and whether it could.
"""

from argparse import Namespace
from dataclasses import fields
from typing import Any

from keystay_server.cli.arguments import (
    add_command,
    add_settings,
    commands_of,
    settings_of,
    validation_command,
)
from keystay_server.cli.screen import show
from keystay_server.cli.text import Answer, Table, printable
from keystay_server.settings.config import Config
from keystay_server.settings.masking import shown
from keystay_server.settings.sources import Sourced, configured, sourced

DEFAULT = "default"


def add_to(commands: Any) -> None:
    """Add the commands to the command line."""
    help_ = "show and check the settings of a server"
    subcommands = commands_of(
        commands.add_parser("config", help=help_, description=f"{help_.capitalize()}.")
    )
    showing = add_command(
        subcommands,
        "show",
        "show each setting that a server would run with here, and where its value comes from",
    )
    add_settings(showing)
    validation_command(showing, show_config)
    checking = add_command(
        subcommands, "check", "tell whether a file has settings a server can run with"
    )
    checking.description = (
        f"{checking.description} It does not look at the files and servers that settings "
        "name: keystay doctor --config FILE does."
    )
    checking.add_argument("file", metavar="FILE", help="a TOML file with settings")
    validation_command(checking, check_config)


def show_config(options: Namespace) -> int:
    """Show every setting; secrets are masked."""
    flags, file = settings_of(options)
    values = sourced(flags, file)
    configured(values)
    document = [
        {"name": name, "value": shown(name, each.value), "source": each.source}
        for name, each in _all(values).items()
    ]
    rows = [
        (each["name"], _text(each["value"]), printable(each["source"])) for each in document
    ]
    columns = ("SETTING", "VALUE", "FROM")
    table = Table(columns, rows, styles={DEFAULT: "dim"})
    show(Answer.in_table({"settings": document}, table), as_json=options.json)
    return 0


def check_config(options: Namespace) -> int:
    """Read a file as a server would, with nothing beside it; what is wrong is an error."""
    values = sourced({}, options.file, {})
    configured(values)
    text = f"{printable(options.file)} is fine: {len(values)} settings"
    document = {"file": options.file, "settings": len(values), "ok": True}
    show(Answer(document, text), as_json=options.json)
    return 0


def _all(values: dict[str, Sourced]) -> dict[str, Sourced]:
    """Every setting, in the order of the schema."""
    return {
        setting.name: values.get(setting.name) or Sourced(setting.default, DEFAULT)
        for setting in fields(Config)
    }


def _text(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case list() | tuple():
            return printable(", ".join(value)) or "-"
        case float():
            return f"{value:.15g}"
    return printable(value) or "-"
