"""
`keystay emit`: says something to clients.
"""

from argparse import ArgumentTypeError, Namespace
from typing import Any

from keystay_server.cli.arguments import add_control_command, control_command, json_value
from keystay_server.cli.client import ControlClient, quoted
from keystay_server.cli.text import Answer, printable


def add_to(commands: Any) -> None:
    """Add the command to the command line."""
    parser = add_control_command(
        commands, "emit", "send an event to an actor, to one session, or to everybody"
    )
    parser.usage = (
        "keystay emit ACTOR NAME [DATA]\n"
        "       keystay emit --session ID NAME [DATA]\n"
        "       keystay emit --all NAME [DATA]"
    )
    parser.add_argument(
        "words",
        metavar="ACTOR NAME [DATA]",
        nargs="+",
        help="the actor, unless it is for others; the event's name; its data, as JSON (null)",
    )
    to = parser.add_mutually_exclusive_group()
    to.add_argument("--session", metavar="ID", help="to the connections of one session")
    to.add_argument(
        "--all", action="store_true", help="to everybody who is connected now, once at most"
    )

    def run(options: Namespace) -> int:
        words = list(options.words)
        actor = None if options.all or options.session is not None else words.pop(0)
        if not 1 <= len(words) <= 2:
            parser.error("give " + ("NAME [DATA]" if actor is None else "ACTOR NAME [DATA]"))
        options.actor, options.name = actor, words[0]
        try:
            options.data = json_value(words[1]) if len(words) > 1 else None
        except ArgumentTypeError:
            parser.error("DATA must be JSON: text stands in quotation marks, as '\"text\"'")
        return control_command(emit)(options)

    parser.set_defaults(run=run)


def emit(control: ControlClient, options: Namespace) -> Answer:
    """Send the event; show its cursor, where it has one."""
    if options.all:
        path, to = "/v1/events", "everybody who is connected"
    elif options.session is not None:
        path, to = f"/v1/sessions/{quoted(options.session)}/events", options.session
    else:
        path, to = f"/v1/actors/{quoted(options.actor)}/events", options.actor
    document = control.ask("POST", path, {"name": options.name, "data": options.data})
    text = f"{printable(options.name)} is on its way to {printable(to)}"
    if document is None:
        return Answer({"accepted": True}, text)
    return Answer(document, f"{text}, with the cursor {document['cursor']}")
