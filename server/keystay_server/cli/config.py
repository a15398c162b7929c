"""
`keystay config ...`: shows and checks settings.
"""

from argparse import Namespace
from dataclasses import fields
from typing import Any

from keystay_server.cli.arguments import Parser, add_command, commands_of
from keystay_server.cli.screen import show
from keystay_server.cli.settings_flags import (
    add_settings,
    settings_of,
    validation_command,
)
from keystay_server.cli.text import Answer, Table, printable
from keystay_server.settings.config import Config
from keystay_server.settings.masking import shown
from keystay_server.settings.sources import Sourced, configured, sourced

DEFAULT = "default"


def build(parser: Parser) -> None:
    """Add the commands."""
    commands = commands_of(parser)
    showing = add_command(
        commands, "show", "show each setting that a server would use here, and its source"
    )
    add_settings(showing)
    validation_command(showing, show_config)
    checking = add_command(commands, "check", "check whether a file has valid settings")
    checking.description = (
        f"{checking.description} It does not check the files and servers that settings "
        "name: keystay doctor --config FILE does."
    )
    checking.add_argument("file", metavar="FILE", help="a TOML file with settings")
    validation_command(checking, check_config)


def show_config(options: Namespace) -> int:
    """Show every setting, with secrets masked."""
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
    """Read a file as a server would, without flags and environment."""
    values = sourced({}, options.file, {})
    configured(values)
    text = f"{printable(options.file)} is valid: {len(values)} settings"
    document = {"file": options.file, "settings": len(values), "ok": True}
    show(Answer(document, text), as_json=options.json)
    return 0


def _all(values: dict[str, Sourced]) -> dict[str, Sourced]:
    """Return every setting, in the order of the schema."""
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
