"""
`keystay broadcast`: sends an event to every open connection.
"""

from argparse import Namespace
from typing import TYPE_CHECKING

from keystay_server.cli.arguments import Parser, add_json, json_value
from keystay_server.cli.control_command import add_control, control_command
from keystay_server.cli.text import Answer, printable

if TYPE_CHECKING:
    from keystay import Control


def build(parser: Parser) -> None:
    """Add the arguments."""
    add_json(parser)
    add_control(parser)
    parser.add_argument("name", metavar="NAME", help="the name of the event")
    parser.add_argument(
        "data", metavar="DATA", nargs="?", type=json_value, help="its data, as JSON (null)"
    )
    parser.set_defaults(run=control_command(broadcast))


async def broadcast(control: "Control", options: Namespace) -> Answer:
    """Send the event: at most once, and never recovered."""
    await control.broadcast(options.name, options.data)
    text = f"{printable(options.name)} is sent to all open connections"
    return Answer({"accepted": True}, text)
