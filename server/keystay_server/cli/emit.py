"""
`keystay emit`: sends an event to an actor or to one session.
"""

from argparse import ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, Any

from keystay_server.cli.arguments import Parser, add_json, json_value
from keystay_server.cli.broadcast import broadcast
from keystay_server.cli.control_command import add_control, control_command
from keystay_server.cli.text import Answer, printable

if TYPE_CHECKING:
    from keystay import Control


def build(parser: Parser) -> None:
    """Add the arguments."""
    add_json(parser)
    add_control(parser)
    parser.usage = (
        "keystay emit ACTOR NAME [DATA]\n       keystay emit --session ID NAME [DATA]"
    )
    parser.add_argument(
        "words",
        metavar="ACTOR NAME [DATA]",
        nargs="+",
        help="the actor, unless it is for a session; the name of the event; its data, as JSON",
    )
    to = parser.add_mutually_exclusive_group()
    to.add_argument("--session", metavar="ID", help="to the connections of one session")
    to.add_argument("--all", action="store_true", help="the former name of keystay broadcast")

    def run(options: Namespace) -> int:
        words = list(options.words)
        actor = None if options.all or options.session is not None else words.pop(0)
        if not 1 <= len(words) <= 2:
            parser.error("give " + ("NAME [DATA]" if actor is None else "ACTOR NAME [DATA]"))
        options.actor, options.name = actor, words[0]
        options.data = data_in(parser, words[1]) if len(words) > 1 else None
        return control_command(broadcast if options.all else emit)(options)

    parser.set_defaults(run=run)


async def emit(control: "Control", options: Namespace) -> Answer:
    """Send the event; show its cursor."""
    if options.session is not None:
        cursor = await control.emit_to_session(options.session, options.name, options.data)
        to = options.session
    else:
        cursor = await control.emit_to_actor(options.actor, options.name, options.data)
        to = options.actor
    text = f"{printable(options.name)} is sent to {printable(to)}, with the cursor {cursor}"
    return Answer({"cursor": cursor}, text)


def data_in(parser: Parser, text: str) -> Any:
    """Read the data of an event; exit if it is not JSON."""
    try:
        return json_value(text)
    except ArgumentTypeError:
        parser.error("DATA must be JSON: write text in quotation marks, as '\"text\"'")
