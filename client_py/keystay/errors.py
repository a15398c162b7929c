"""
What can happen to a client without a server saying so, and what only backends are
told, in the one tree of errors.

    KeystayError                    (from keystay_protocol, with every code of the wire)
    +-- CommandError                (likewise; a backend may hear these too:)
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

`code` is what the callback form of a command is given. A command that is not
answered in time raises the protocol's own `Timeout`, whoever gave up on it.
"""

from typing import ClassVar

from keystay_protocol.errors import CommandError, KeystayError


class Unauthorized(CommandError):
    """The API key is not one of the server's."""

    code = "unauthorized"


class Forbidden(CommandError):
    """The API key is not for this; the message names the scope that is."""

    code = "insufficientScope"


class RevisionConflict(CommandError):
    """The session was changed since it was read. Read it again, and decide anew."""

    code = "revisionConflict"


class IdempotencyKeyReused(CommandError):
    """The idempotency key was given for something else before. Nothing was done."""

    code = "idempotencyKeyReused"


class ClientError(KeystayError):
    """Something that happened on this side of the line."""

    code: ClassVar[str]

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.code)


class ConnectFailed(ClientError):
    """
    There is no connection to be had.

    The first attempt failed, or the server answered a later one in a way that
    trying again will not change. `__cause__`, or the text, is what the network said.
    """

    code = "connectFailed"


class ConnectionLost(ClientError):
    """
    The connection broke while the command was on its way.

    It is unknown whether the command was carried out. Look before doing it
    again: after a login, `client.session`; after a logout, `client.is_valid(key)`.
    A backend hears it once a request that is safe to repeat has been repeated.
    """

    code = "connectionLost"


class ClosedByServer(ClientError):
    """The server closed the connection with a code that says: do not come back as you are."""

    code = "closedByServer"

    def __init__(self, close_code: int, reason: str = "") -> None:
        super().__init__(f"close code {close_code}" + (f": {reason}" if reason else ""))
        self.close_code = close_code
        self.reason = reason


class ClientClosed(ClientError):
    """
    The client is closed; `__cause__` says why if it failed.

    A login did not run; any other command perhaps did, if it was on its way.
    """

    code = "clientClosed"


class QueueFull(ClientError):
    """As many commands wait as `Options.max_pending` allows. This one was not sent."""

    code = "queueFull"


class EventsLost(ClientError):
    """Events came faster than they were taken, and `count` of them were dropped right here."""

    code = "eventsLost"

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} events were dropped: the buffer was full")
        self.count = count


class UnexpectedAnswer(ClientError):
    """What answered is no control plane, or one of another version; `status` is HTTP's."""

    code = "unexpectedAnswer"

    def __init__(self, message: str = "", *, status: int | None = None) -> None:
        super().__init__(message or f"the server answered with HTTP status {status}")
        self.status = status


class InvalidWebhook(ClientError):
    """
    Nothing proves that the server sent this, or that it did so just now.

    Answer with status 400, and do nothing else.
    """

    code = "invalidWebhook"
