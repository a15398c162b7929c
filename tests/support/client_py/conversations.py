"""
Links in the states that tests begin with, and what they have to say.
"""

from typing import Any

from keystay._conversation import Conversation
from keystay_protocol.codec import decode_command
from keystay_protocol.commands import CommandName
from keystay_protocol.frames import Command
from tests.support.client_py.golden import (
    CURSOR,
    KEY,
    bound,
    session_set,
)


def sent(conversation: Conversation) -> list[Command]:
    """Everything the link has to send now."""
    commands = []
    while (message := conversation.next_message()) is not None:
        commands.append(decode_command(message))
    return commands


def lines(conversation: Conversation) -> list[tuple[int, str, list[Any]]]:
    """The same, easy to compare."""
    return [(command.id, command.method, command.params) for command in sent(conversation)]


def open_conversation(**options: Any) -> Conversation:
    """A link on its first line, without a session."""
    conversation = Conversation(**options)
    conversation.transport_opened()
    return conversation


def bound_conversation(*, cursor: int | None = CURSOR) -> Conversation:
    """A link whose command 1 restored the session, as the server tells it."""
    conversation = open_conversation()
    conversation.command(CommandName.RESTORE, [KEY])
    sent(conversation)
    conversation.receive(session_set(None))
    conversation.receive(bound(1, cursor))
    return conversation
