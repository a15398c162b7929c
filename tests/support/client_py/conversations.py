"""
Links in the states that tests begin with, and what they have to say.
"""

from typing import Any

from keystay._conversation import Link
from keystay_protocol.codec import decode_command
from keystay_protocol.commands import CommandName
from keystay_protocol.frames import Command
from tests.support.client_py.golden import (
    CURSOR,
    KEY,
    bound,
    session_set,
)


def sent(link: Link) -> list[Command]:
    """Everything the link has to send now."""
    commands = []
    while (message := link.next_message()) is not None:
        commands.append(decode_command(message))
    return commands


def lines(link: Link) -> list[tuple[int, str, list[Any]]]:
    """The same, easy to compare."""
    return [(command.id, command.method, command.params) for command in sent(link)]


def open_link(**options: Any) -> Link:
    """A link on its first line, without a session."""
    link = Link(**options)
    link.line_opened()
    return link


def bound_link(*, cursor: int | None = CURSOR) -> Link:
    """A link whose command 1 restored the session, as the server tells it."""
    link = open_link()
    link.command(CommandName.RESTORE, [KEY])
    sent(link)
    link.receive(session_set(None))
    link.receive(bound(1, cursor))
    return link
