"""
The Python SDK of Keystay: one connection, over which changes of the session are pushed.

    async with keystay.connect("ws://127.0.0.1:8330") as client:
        session = await client.login("anonymous")

Start reading in `client`, the interface of a program. `_conversation` is the protocol
without I/O, `_connection` reconnects. Backends use a `Control`, over HTTP: `control`.

Public: this package, `client`, `options`, `errors`, `session_store` and `control`.
Modules whose name begins with an underscore may change in any version.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from keystay_protocol import __version__

if TYPE_CHECKING:
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

# Loaded when they are used: a backend needs no WebSocket, a client no HTTP.
_HOMES = {
    "keystay._connection": ("ConnectionState",),
    "keystay._conversation": ("SESSION_RECOVERED",),
    "keystay._handlers": ("EVENTS_LOST", "Handler"),
    "keystay._pending_calls": ("Callback",),
    "keystay._stream": ("Stream",),
    "keystay.client": ("Client", "connect"),
    "keystay.control.client": ("Control",),
    "keystay.control.events": (
        "FeedEvent",
        "FeedLost",
        "SessionSet",
        "SessionUnset",
        "Successor",
    ),
    "keystay.control.feed": ("FeedStream",),
    "keystay.control.session": ("ControlSession",),
    "keystay.control.stats": ("BoundConnection", "NodeStats", "Stats"),
    "keystay.control.webhooks": ("verify_webhook",),
    "keystay.errors": (
        "ClientClosed",
        "ClientError",
        "ClosedByServer",
        "ConnectFailed",
        "ConnectionLost",
        "EventsLost",
        "Forbidden",
        "IdempotencyKeyReused",
        "InvalidWebhook",
        "QueueFull",
        "RevisionConflict",
        "Unauthorized",
        "UnexpectedAnswer",
    ),
    "keystay.options": ("ControlOptions", "Options"),
    "keystay.session_store": ("FileSessionStore", "SessionStore", "StoredSession"),
    "keystay_protocol.commands": ("LogoutScope",),
    "keystay_protocol.errors": (
        "BadVersion",
        "CommandError",
        "Expired",
        "InternalError",
        "InvalidParams",
        "InvalidSessionKey",
        "KeyReused",
        "KeystayError",
        "LoggedOut",
        "LoginDisabled",
        "LoginFailed",
        "MalformedFrame",
        "NoSession",
        "RateLimited",
        "Reassigned",
        "Replaced",
        "Revoked",
        "SessionEnded",
        "SessionLimit",
        "Timeout",
        "Unavailable",
        "UnknownCommand",
        "UnknownRefusal",
    ),
    "keystay_protocol.frames": ("Event",),
    "keystay_protocol.session": ("Session",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value
