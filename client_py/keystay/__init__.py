"""
The Python SDK of Keystay: one connection, over which changes of the session are pushed.

    async with keystay.connect("ws://127.0.0.1:8330") as client:
        session = await client.login("anonymous")

Start reading in `client`, the interface of a program. `_conversation` is the protocol
without I/O, `_connection` reconnects. Backends use a `Control`, over HTTP: `control`.

Public: this package, `client`, `options`, `errors`, `session_store` and `control`.
Modules whose name begins with an underscore may change in any version.
"""

from keystay._connection import ConnectionState
from keystay._conversation import SESSION_RECOVERED
from keystay._handlers import EVENTS_LOST, Handler
from keystay._pending_calls import Callback
from keystay._stream import Stream
from keystay.client import Client, connect
from keystay.control.client import Control
from keystay.control.events import (
    FeedEvent,
    FeedLost,
    SessionSet,
    SessionUnset,
    Successor,
)
from keystay.control.feed import FeedStream
from keystay.control.session import ControlSession
from keystay.control.stats import BoundConnection, NodeStats, Stats
from keystay.control.webhooks import verify_webhook
from keystay.errors import (
    ClientClosed,
    ClientError,
    ClosedByServer,
    ConnectFailed,
    ConnectionLost,
    EventsLost,
    Forbidden,
    IdempotencyKeyReused,
    InvalidWebhook,
    QueueFull,
    RevisionConflict,
    Unauthorized,
    UnexpectedAnswer,
)
from keystay.options import ControlOptions, Options
from keystay.session_store import FileSessionStore, SessionStore, StoredSession
from keystay_protocol import __version__
from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import (
    BadVersion,
    CommandError,
    Expired,
    InternalError,
    InvalidParams,
    InvalidSessionKey,
    KeyReused,
    KeystayError,
    LoggedOut,
    LoginDisabled,
    LoginFailed,
    MalformedFrame,
    NoSession,
    RateLimited,
    Reassigned,
    Replaced,
    Revoked,
    SessionEnded,
    SessionLimit,
    Timeout,
    Unavailable,
    UnknownCommand,
    UnknownRefusal,
)
from keystay_protocol.frames import Event
from keystay_protocol.session import Session

__all__ = [
    "EVENTS_LOST",
    "SESSION_RECOVERED",
    "BadVersion",
    "BoundConnection",
    "Callback",
    "Client",
    "ClientClosed",
    "ClientError",
    "ClosedByServer",
    "CommandError",
    "ConnectFailed",
    "ConnectionLost",
    "ConnectionState",
    "Control",
    "ControlOptions",
    "ControlSession",
    "Event",
    "EventsLost",
    "Expired",
    "FeedEvent",
    "FeedLost",
    "FeedStream",
    "FileSessionStore",
    "Forbidden",
    "Handler",
    "IdempotencyKeyReused",
    "InternalError",
    "InvalidParams",
    "InvalidSessionKey",
    "InvalidWebhook",
    "KeyReused",
    "KeystayError",
    "LoggedOut",
    "LoginDisabled",
    "LoginFailed",
    "LogoutScope",
    "MalformedFrame",
    "NoSession",
    "NodeStats",
    "Options",
    "QueueFull",
    "RateLimited",
    "Reassigned",
    "Replaced",
    "RevisionConflict",
    "Revoked",
    "Session",
    "SessionEnded",
    "SessionLimit",
    "SessionSet",
    "SessionStore",
    "SessionUnset",
    "Stats",
    "StoredSession",
    "Stream",
    "Successor",
    "Timeout",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "UnknownCommand",
    "UnknownRefusal",
    "__version__",
    "connect",
    "verify_webhook",
]
