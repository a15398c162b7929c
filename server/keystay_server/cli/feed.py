"""
`keystay feed`: shows changes of sessions as they happen.

A connection that breaks is opened again, and resumes where it broke. Missing events are
reported, if the server's history does not reach back far enough.
"""

import logging
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from keystay.control.events import FEED_LOST, FeedEvent, FeedLost, SessionSet, SessionUnset
from keystay_server.cli.arguments import Parser, add_json
from keystay_server.cli.control_command import add_control
from keystay_server.cli.screen import BAD, GOOD, QUIET, WORSE, show_json, show_line
from keystay_server.cli.text import printable, timestamp

if TYPE_CHECKING:
    from keystay import Control


def build(parser: Parser) -> None:
    """Add the arguments."""
    add_json(parser)
    add_control(parser)
    parser.add_argument(
        "--actor",
        action="append",
        default=[],
        metavar="ACTOR",
        help="only this actor's sessions; can be repeated",
    )
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Show each event in a line, until Ctrl-C."""
    from keystay_server.cli.control import run_with_control

    async def show_all(control: "Control") -> None:
        async with control.feed(actors=options.actor) as feed:
            async for event in feed:
                _show(event, as_json=options.json)

    log = logging.getLogger("keystay.control")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("keystay: %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        run_with_control(options.control, show_all)
    except KeyboardInterrupt:
        return 0
    finally:
        log.removeHandler(handler)
    return 0


def _show(event: FeedEvent, *, as_json: bool) -> None:
    if isinstance(event, FeedLost):
        if as_json:
            show_json({"event": FEED_LOST, "position": event.position, "data": {}})
        else:
            show_line([("events are missing: the history does not reach back so far", WORSE)])
        return
    name = "session.set" if isinstance(event, SessionSet) else "session.unset"
    if as_json:
        show_json({"event": name, "position": event.position, "data": _document(event)})
    else:
        show_line(_parts(name, event))


def _document(event: SessionSet | SessionUnset) -> dict[str, Any]:
    """The event in the form of the API."""
    document: dict[str, Any] = {
        "actorId": event.actor_id,
        "cursor": event.cursor,
        "at": event.at,
    }
    if isinstance(event, SessionSet):
        session = event.session
        return {**document, "session": {**session.to_wire(), "revision": session.revision}}
    document |= {"id": event.id, "reason": event.reason}
    if event.by is not None:
        document["by"] = {"id": event.by.id, "createdAt": event.by.created_at}
    return document


def _parts(name: str, event: SessionSet | SessionUnset) -> list[tuple[str, str]]:
    """The parts of the line: time, actor, event, session, and its meta or the reason."""
    parts = [(timestamp(event.at), QUIET), (printable(event.actor_id), "bold")]
    if isinstance(event, SessionSet):
        meta = printable(dict(event.session.meta)) if event.session.meta else ""
        return [
            *parts,
            (name.ljust(13), GOOD),
            (printable(event.session.id), ""),
            (meta, QUIET),
        ]
    parts += [
        (name.ljust(13), BAD),
        (printable(event.id), ""),
        (printable(event.reason), WORSE),
    ]
    if event.by is not None:
        parts.append((f"by {printable(event.by.id)}", QUIET))
    return parts
