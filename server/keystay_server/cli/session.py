"""
`keystay session ...`: creates, reads and ends sessions.
"""

from argparse import Namespace
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from keystay_server.cli.arguments import (
    Parser,
    add_command,
    commands_of,
    json_object,
    seconds,
)
from keystay_server.cli.control_command import Command, add_control, control_command
from keystay_server.cli.screen import progress
from keystay_server.cli.text import Answer, Table, aligned, printable, timestamp

if TYPE_CHECKING:
    from keystay import Control, ControlSession

_COLUMNS = ("ID", "CREATED", "EXPIRES", "LANGUAGE", "VERSION", "META")
_PROGRESS_EVERY = 100


def build(parser: Parser) -> None:
    """Add the commands."""
    commands = commands_of(parser)

    def add(name: str, run: Command, help_: str, *former: str) -> Parser:
        command = add_command(commands, name, help_, *former)
        add_control(command)
        command.set_defaults(run=control_command(run))
        return command

    _add_create(add("create", create, "create a session, and show its key this once"))
    reading = add("get", get, "show a live session", "show")
    reading.add_argument("id", metavar="ID", help="the session")
    listing = add("list", list_, "list the live sessions of an actor, oldest first")
    listing.add_argument("actor", metavar="ACTOR", help="the actor")
    _add_update(add("update", update, "replace the meta or the language of a session"))
    moving = add("reassign", reassign, "create a session for another actor, and end this one")
    moving.add_argument("id", metavar="ID", help="the session")
    moving.add_argument("actor", metavar="ACTOR", help="the new actor")
    ending = add("revoke", revoke, "end a session, or all sessions of an actor", "end")
    which = ending.add_mutually_exclusive_group(required=True)
    which.add_argument("id", metavar="ID", nargs="?", help="the session")
    which.add_argument("--actor", metavar="ACTOR", help="all sessions of this actor")
    ending.add_argument(
        "--reason", metavar="WORD", help="the reason sent to its connections (revoked)"
    )


def _add_create(parser: Parser) -> None:
    parser.add_argument("actor", metavar="ACTOR", help="the actor")
    parser.add_argument("--meta", metavar="JSON", type=json_object, help="public variables")
    parser.add_argument(
        "--ttl", metavar="S", type=seconds, help="the lifetime without activity"
    )
    parser.add_argument("--max-age", metavar="S", type=seconds, help="the maximum lifetime")


def _add_update(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="the session")
    parser.add_argument("--meta", metavar="JSON", type=json_object, help="public variables")
    parser.add_argument("--language", metavar="TAG", help="a BCP 47 tag")
    parser.add_argument(
        "--revision", metavar="N", type=int, help="refuse unless the session has this revision"
    )


async def create(control: "Control", options: Namespace) -> Answer:
    """Create a session; the only answer that shows its key."""
    session = await control.create_session(
        options.actor, meta=options.meta, ttl_s=options.ttl, max_age_s=options.max_age
    )
    return _answer(session)


async def get(control: "Control", options: Namespace) -> Answer:
    """Show one session."""
    return _answer(await control.get_session(options.id))


async def list_(control: "Control", options: Namespace) -> Answer:
    """List the actor's live sessions, oldest first."""
    sessions = [_document(session) async for session in _listed(control, options.actor)]
    if not sessions:
        return Answer({"sessions": []}, f"{printable(options.actor)} has no session")
    return Answer.in_table({"sessions": sessions}, Table(_COLUMNS, list(map(_row, sessions))))


async def update(control: "Control", options: Namespace) -> Answer:
    """Replace the meta, the language, or both."""
    session = await control.update_session(
        options.id, meta=options.meta, language=options.language, revision=options.revision
    )
    return _answer(session)


async def reassign(control: "Control", options: Namespace) -> Answer:
    """Create a session for another actor in place of this one."""
    return _answer(await control.reassign_session(options.id, options.actor))


async def revoke(control: "Control", options: Namespace) -> Answer:
    """End one session, or all of an actor."""
    if options.id is not None:
        await control.revoke_session(options.id, reason=options.reason)
        document = {"id": options.id, "ended": True}
        return Answer(document, f"{printable(options.id)} has ended")
    ended = await control.revoke_sessions(options.actor, reason=options.reason)
    return Answer(
        {"ended": ended}, f"{ended} sessions of {printable(options.actor)} have ended"
    )


async def _listed(control: "Control", actor: str) -> AsyncIterator["ControlSession"]:
    count = 0
    with progress("reading the sessions") as report:
        async for session in control.list_sessions(actor):
            count += 1
            if count % _PROGRESS_EVERY == 0:
                report(f"{count} so far")
            yield session


def _document(session: "ControlSession") -> dict[str, Any]:
    return {**session.to_wire(), "revision": session.revision}


def _answer(session: "ControlSession") -> Answer:
    document = _document(session)
    return Answer(document, _details(document))


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
