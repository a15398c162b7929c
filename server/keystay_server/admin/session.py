"""
`keystay session ...`: the commands, each one request.
"""

from argparse import Namespace
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from keystay_server.admin.client import ControlClient
from keystay_server.admin.text import Answer, aligned, printable, timestamp

_COLUMNS = ("ID", "CREATED", "EXPIRES", "LANGUAGE", "VERSION", "META")


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
    document = {"sessions": list(_all_of(control, options.actor))}
    rows = [_row(session) for session in document["sessions"]]
    if not rows:
        return Answer(document, f"{printable(options.actor)} has no session")
    return Answer(document, aligned([_COLUMNS, *rows]))


def show(control: ControlClient, options: Namespace) -> Answer:
    """Show one session."""
    session = control.ask("GET", f"/v1/sessions/{_quoted(options.id)}")
    return Answer(session, _details(session))


def end(control: ControlClient, options: Namespace) -> Answer:
    """End one session."""
    path = f"/v1/sessions/{_quoted(options.id)}"
    if options.reason is not None:
        path += f"?reason={_quoted(options.reason)}"
    control.ask("DELETE", path)
    return Answer({"id": options.id, "ended": True}, f"{printable(options.id)} has ended")


def _all_of(control: ControlClient, actor: str) -> Iterator[dict[str, Any]]:
    """The actor's sessions, asked for page by page."""
    path, after = f"/v1/actors/{_quoted(actor)}/sessions?limit=200", ""
    while True:
        page = control.ask("GET", path + after)
        yield from page["sessions"]
        if page["next"] is None:
            return
        after = f"&after={_quoted(page['next'])}"


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


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="surrogateescape")
