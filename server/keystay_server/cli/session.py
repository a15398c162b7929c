"""
`keystay session ...`: each command is one request.
"""

from argparse import ArgumentParser, Namespace
from typing import Any

from keystay_server.cli.arguments import (
    Command,
    add_control_command,
    commands_of,
    control_command,
    json_object,
    seconds,
)
from keystay_server.cli.client import ControlClient, quoted
from keystay_server.cli.screen import waiting
from keystay_server.cli.text import Answer, Table, aligned, printable, timestamp

_COLUMNS = ("ID", "CREATED", "EXPIRES", "LANGUAGE", "VERSION", "META")


def add_to(commands: Any) -> None:
    """Add the commands to the command line."""
    about = "Open, list, show and end sessions, through the control plane of a running server."
    help_ = "open, list, show and end sessions"
    subcommands = commands_of(commands.add_parser("session", help=help_, description=about))

    def add(name: str, run: Command, help_: str) -> ArgumentParser:
        parser = add_control_command(subcommands, name, help_)
        parser.set_defaults(run=control_command(run))
        return parser

    opening = add("create", create, "open a session, and show its key this once")
    opening.add_argument("actor", metavar="ACTOR", help="whose session it is to be")
    opening.add_argument(
        "--meta", metavar="JSON", type=json_object, help="its public variables"
    )
    opening.add_argument(
        "--ttl", metavar="S", type=seconds, help="how long it lives without activity"
    )
    opening.add_argument(
        "--max-age", metavar="S", type=seconds, help="how long it lives at most"
    )
    listing = add("list", list_, "list the live sessions of an actor, oldest first")
    listing.add_argument("actor", metavar="ACTOR", help="whose sessions")
    showing = add("show", show, "show a live session")
    showing.add_argument("id", metavar="ID", help="the session's id")
    ending = add("end", end, "end a session: its key opens nothing any more")
    ending.add_argument("id", metavar="ID", help="the session's id")
    ending.add_argument(
        "--reason", metavar="WORD", help="the word its holders are told (revoked)"
    )


def create(control: ControlClient, options: Namespace) -> Answer:
    """Open a session for the actor; the one answer that shows its key."""
    fields = {
        "actorId": options.actor,
        "meta": options.meta,
        "ttl": options.ttl,
        "maxAge": options.max_age,
    }
    session = control.ask("POST", "/v1/sessions", fields)
    return Answer(session, _details(session))


def list_(control: ControlClient, options: Namespace) -> Answer:
    """List the actor's live sessions, oldest first."""
    document = {"sessions": _all_of(control, options.actor)}
    rows = [_row(session) for session in document["sessions"]]
    if not rows:
        return Answer(document, f"{printable(options.actor)} has no session")
    return Answer.in_table(document, Table(_COLUMNS, rows))


def show(control: ControlClient, options: Namespace) -> Answer:
    """Show one session."""
    session = control.ask("GET", f"/v1/sessions/{quoted(options.id)}")
    return Answer(session, _details(session))


def end(control: ControlClient, options: Namespace) -> Answer:
    """End one session."""
    path = f"/v1/sessions/{quoted(options.id)}"
    if options.reason is not None:
        path += f"?reason={quoted(options.reason)}"
    control.ask("DELETE", path)
    return Answer({"id": options.id, "ended": True}, f"{printable(options.id)} has ended")


def _all_of(control: ControlClient, actor: str) -> list[dict[str, Any]]:
    """The actor's sessions, asked for page by page."""
    path = f"/v1/actors/{quoted(actor)}/sessions?limit=200"
    page = control.ask("GET", path)
    sessions: list[dict[str, Any]] = page["sessions"]
    if page["next"] is None:
        return sessions
    with waiting("asking for the sessions") as tell:
        while page["next"] is not None:
            tell(f"{len(sessions)} so far")
            page = control.ask("GET", f"{path}&after={quoted(page['next'])}")
            sessions += page["sessions"]
    return sessions


def _details(session: dict[str, Any]) -> str:
    lines = [
        ("id", session["id"]),
        ("actor", session["actorId"]),
        ("created", timestamp(session["createdAt"])),
        ("expires", timestamp(session["expiresAt"])),
        ("ends", timestamp(session["endsAt"])),
        ("language", session["language"]),
        ("version", session["version"]),
        ("meta", session["meta"]),
    ]
    if "key" in session:
        lines.append(("key", session["key"]))
    return aligned([(name, printable(value)) for name, value in lines])


def _row(session: dict[str, Any]) -> tuple[str, ...]:
    return (
        printable(session["id"]),
        timestamp(session["createdAt"]),
        timestamp(session["expiresAt"]),
        printable(session["language"]),
        printable(session["version"]),
        printable(session["meta"]),
    )
