"""
What the commands that call a running server have in common.
"""

import argparse
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from keystay_server.cli.arguments import DEFAULT_URL, URL_VARIABLE
from keystay_server.cli.screen import show
from keystay_server.cli.text import Answer

if TYPE_CHECKING:
    from keystay import Control

Command = Callable[["Control", argparse.Namespace], Awaitable[Answer]]


def add_control(parser: argparse.ArgumentParser) -> None:
    """Add `--control`, for a command that calls a running server."""
    parser.add_argument(
        "--control",
        metavar="URL",
        help=f"the server's control port ({URL_VARIABLE}, or {DEFAULT_URL})",
    )


def control_command(run: Command) -> Callable[[argparse.Namespace], int]:
    """Return a command that calls a running server, and shows the result."""

    def command(options: argparse.Namespace) -> int:
        # Imported late, with the SDK and asyncio: help and errors need neither.
        from keystay_server.cli.control import run_with_control

        async def call(control: "Control") -> None:
            show(await run(control, options), as_json=options.json)

        run_with_control(options.control, call)
        return 0

    return command
