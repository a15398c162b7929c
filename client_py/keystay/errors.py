"""
The errors of the client itself and those of the HTTP API, in one tree.

    KeystayError                    (from keystay_protocol, with every code of the protocol)
    +-- CommandError                (likewise; the HTTP API adds:)
    |   +-- Unauthorized            "unauthorized"
    |   +-- Forbidden               "insufficientScope"
    |   +-- RevisionConflict        "revisionConflict"
    |   +-- IdempotencyKeyReused    "idempotencyKeyReused"
    +-- ClientError
        +-- ConnectFailed           "connectFailed"
        +-- ConnectionLost          "connectionLost"
        +-- ClosedByServer          "closedByServer"
        +-- ClientClosed            "clientClosed"
        +-- QueueFull               "queueFull"
        +-- EventsLost              "eventsLost"
        +-- UnexpectedAnswer        "unexpectedAnswer"
        +-- InvalidWebhook          "invalidWebhook"

`code` is what the callback of a command gets. A command without a reply in time raises the
protocol's `Timeout`, whether the deadline was the client's or the server's.
"""

from typing import ClassVar

from keystay_protocol.errors import CommandError, KeystayError


class Unauthorized(CommandError):
    """The API key is not one of the server's."""

    code = "unauthorized"


class Forbidden(CommandError):
    """The API key lacks a scope; the message names it."""

    code = "insufficientScope"


class RevisionConflict(CommandError):
    """The session was changed since it was read. Read it again."""

    code = "revisionConflict"


class IdempotencyKeyReused(CommandError):
    """The idempotency key was used for another request before. Nothing was done."""

    code = "idempotencyKeyReused"


class ClientError(KeystayError):
    """An error of the client, or of its connection."""

    code: ClassVar[str]

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.code)


class ConnectFailed(ClientError):
    """
    No connection could be opened.

    The first attempt failed, or the server answered a later one in a way that another
    attempt will not change. The cause is in the text, or in `__cause__`.
    """

    code = "connectFailed"


class ConnectionLost(ClientError):
    """
    The connection broke before the reply came.

    It is unknown whether the command was executed. Check before repeating it: after a
    login `client.session`, after a logout `client.is_valid(key)`. A `Control` raises it
    when its retries are used up, or the request is not safe to repeat.
    """

    code = "connectionLost"


class ClosedByServer(ClientError):
    """The server closed the connection with a code after which clients must not reconnect."""

    code = "closedByServer"

    def __init__(self, close_code: int, reason: str = "") -> None:
        super().__init__(f"close code {close_code}" + (f": {reason}" if reason else ""))
        self.close_code = close_code
        self.reason = reason


class ClientClosed(ClientError):
    """
    The client is closed; `__cause__` is the reason if it failed.

    A login was not executed; another command may have been, if it was sent.
    """

    code = "clientClosed"


class QueueFull(ClientError):
    """`Options.max_pending` commands have no reply. This one was not sent."""

    code = "queueFull"


class EventsLost(ClientError):
    """Events came faster than they were taken: at this place `count` of them were dropped."""

    code = "eventsLost"

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} events were dropped: the buffer was full")
        self.count = count


class UnexpectedAnswer(ClientError):
    """The answer is not one of a control port of this version; `status` is the HTTP status."""

    code = "unexpectedAnswer"

    def __init__(self, message: str = "", *, status: int | None = None) -> None:
        super().__init__(message or f"the server answered with HTTP status {status}")
        self.status = status


class InvalidWebhook(ClientError):
    """
    The signature is not valid, or too old.

    Answer with status 400, and do nothing else.
    """

    code = "invalidWebhook"
