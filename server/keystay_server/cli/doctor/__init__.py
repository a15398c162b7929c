"""
`keystay doctor`: checks what a server with these settings would use here.

It checks the store, this machine and the files that the settings name. It calls no running
server, and changes nothing.
"""

import os
from argparse import Namespace

from keystay_server.cli.arguments import Parser, add_json
from keystay_server.cli.doctor.certificates import check_certificates
from keystay_server.cli.doctor.findings import Finding
from keystay_server.cli.doctor.machine import (
    check_database,
    check_key_file,
    check_keys,
    check_open_files,
    check_secrets,
    check_settings,
)
from keystay_server.cli.doctor.store import judge
from keystay_server.cli.screen import BAD, GOOD, WORSE, progress, show
from keystay_server.cli.settings_flags import (
    add_settings,
    settings_of,
    validation_command,
)
from keystay_server.cli.text import Answer, Table, printable
from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.sources import load
from keystay_server.stores import EMBEDDED, diagnose, open_store
from keystay_server.stores.errors import StoreError
from keystay_server.stores.retention import Retention

_STYLES = {"good": GOOD, "doubtful": WORSE, "bad": BAD}


def build(parser: Parser) -> None:
    """Add the flags: one for each setting."""
    add_json(parser)
    add_settings(parser)
    validation_command(parser, run)


def run(options: Namespace) -> int:
    """Show the findings; return 1 if one is bad."""
    config = load(*settings_of(options))
    with progress("checking the store and this machine"):
        findings = examine(config, dict(os.environ))
    is_well = all(finding.level != "bad" for finding in findings)
    document = {"ok": is_well, "findings": [each.to_document() for each in findings]}
    rows = [
        (each.level, each.about, printable(each.found), printable(each.advice) or "-")
        for each in findings
    ]
    table = Table(("", "ABOUT", "FOUND", "WHAT TO DO"), rows, styles=_STYLES)
    show(Answer.in_table(document, table), as_json=options.json)
    return 0 if is_well else 1


def examine(config: Config, environment: dict[str, str]) -> list[Finding]:
    """
    Return all findings.

    Raises:
        ConfigError: If the store's URL is wrong.
    """
    key_file = check_key_file(config)
    return [
        *_check_store(config),
        check_open_files(config),
        *check_certificates(config),
        *([] if key_file is None else [key_file]),
        *check_keys(config, environment),
        *check_secrets(config),
        *check_settings(config),
    ]


def _check_store(config: Config) -> list[Finding]:
    try:
        open_store(config.store, Retention())  # Reports a wrong URL as the server does.
        if config.store.partition(":")[0] in EMBEDDED:
            return check_database(config)
        import asyncio  # Imported late: an embedded store does not need it.

        servers = asyncio.run(diagnose(config.store))
    except StoreError as error:
        raise ConfigError("store", str(error)) from error
    return [finding for server in servers for finding in judge(server)]
