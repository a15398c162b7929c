"""
`keystay watch`: what happens to sessions, as it happens.

A connection that breaks is made again, from where it broke; nothing is missed as
long as the server's history reaches back so far, and it is said when it does not.
"""

import json
import random
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any

from keystay_server.cli.arguments import add_control_command
from keystay_server.cli.client import ControlClient, Unreachable, quoted
from keystay_server.cli.screen import BAD, GOOD, QUIET, WORSE, show_json, show_line
from keystay_server.cli.server_events import EventReader, ServerEvent
from keystay_server.cli.text import printable, timestamp

SILENCE_S = 40.0
"""The server gives a sign of life every 15 s."""
BACKOFF_S, MAX_BACKOFF_S = 0.5, 10.0

LOST = "feed.lost"


def add_to(commands: Any) -> None:
    """Add the command to the command line."""
    parser = add_control_command(
        commands, "watch", "show what happens to sessions as it happens, until Ctrl-C"
    )
    parser.add_argument(
        "--actor",
        action="append",
        default=[],
        metavar="ACTOR",
        help="only this actor's sessions; can be given several times",
    )
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Show each event in a line, for ever."""
    control = ControlClient.from_environment(options.control)
    try:
        for event in followed(control, options.actor):
            _show(event, as_json=options.json)
    except KeyboardInterrupt:
        return 0
    return 0


def followed(control: ControlClient, actors: list[str]) -> Iterator[ServerEvent]:
    """
    All events from now on; it ends only by an error.

    Raises:
        Refused: If the server refuses, or cannot be reached at the beginning.
    """
    query = "&".join(f"actor={quoted(actor)}" for actor in actors)
    path = f"/v1/feed?{query}" if query else "/v1/feed"
    reader, attempts, was_reached = EventReader(), 0, False
    while True:
        reader.restart()
        headers = {"Accept": "text/event-stream"}
        if reader.position:
            headers["Last-Event-ID"] = reader.position
        try:
            with control.stream(path, headers, SILENCE_S) as lines:
                if attempts:
                    _say("watching again")
                attempts, was_reached = 0, True
                # Ends when the server goes away.
                for line in lines:
                    event = reader.read(line.decode(errors="replace").rstrip("\r\n"))
                    if event is not None:
                        yield event
        except Unreachable:
            if not was_reached:
                raise
        except (OSError, HTTPException):
            pass
        if not attempts:
            _say("the server is gone, trying again")
        pause_s = min(MAX_BACKOFF_S, BACKOFF_S * 2**attempts)
        time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311
        attempts += 1


def _say(what: str) -> None:
    print(f"keystay: {what}", file=sys.stderr, flush=True)


def _show(event: ServerEvent, *, as_json: bool) -> None:
    try:
        data = json.loads(event.data)
    except ValueError:
        data = {}
    if as_json:
        show_json({"event": event.name, "position": event.position, "data": data})
    elif event.name == LOST:
        show_line([("some events are lost: the history does not reach back so far", WORSE)])
    elif isinstance(data, dict):
        show_line(_parts(event.name, data))


def _parts(name: str, data: dict[str, Any]) -> list[tuple[str, str]]:
    """The line, part by part: when, whose, what, which session, and how it is."""
    parts = [(timestamp(data.get("at")), QUIET), (printable(data.get("actorId")), "bold")]
    session = data.get("session")
    if isinstance(session, dict):
        rest = "" if not session.get("meta") else printable(session["meta"])
        parts += [(name.ljust(13), GOOD), (printable(session.get("id")), ""), (rest, QUIET)]
    else:
        parts += [(printable(name).ljust(13), BAD), (printable(data.get("id")), "")]
        parts.append((printable(data.get("reason")), WORSE))
        if isinstance(by := data.get("by"), dict):
            parts.append((f"by {printable(by.get('id'))}", QUIET))
    return parts
