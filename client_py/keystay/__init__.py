"""
The Python SDK of Keystay: sessions that are pushed, over one connection.

    async with keystay.connect("ws://127.0.0.1:8330") as client:
        session = await client.login("anonymous")

`client` is what a program holds; `link` is the conversation without I/O.
"""

from keystay.client import Client, connect
from keystay.connection import ConnectionState
from keystay.errors import (
    ClientClosed,
    ClientError,
    ClosedByServer,
    ConnectFailed,
    ConnectionLost,
    EventsLost,
    QueueFull,
)
from keystay.file_session_store import FileSessionStore
from keystay.handlers import EVENTS_LOST, Handler
from keystay.link import SESSION_RECOVERED
from keystay.options import Options
from keystay.questions import Callback
from keystay.session_store import SessionStore, StoredSession
from keystay.stream import Stream
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
    "Callback",
    "Client",
    "ClientClosed",
    "ClientError",
    "ClosedByServer",
    "CommandError",
    "ConnectFailed",
    "ConnectionLost",
    "ConnectionState",
    "Event",
    "EventsLost",
    "Expired",
    "FileSessionStore",
    "Handler",
    "InternalError",
    "InvalidParams",
    "InvalidSessionKey",
    "KeyReused",
    "KeystayError",
    "LoggedOut",
    "LoginDisabled",
    "LoginFailed",
    "LogoutScope",
    "MalformedFrame",
    "NoSession",
    "Options",
    "QueueFull",
    "RateLimited",
    "Reassigned",
    "Replaced",
    "Revoked",
    "Session",
    "SessionEnded",
    "SessionLimit",
    "SessionStore",
    "StoredSession",
    "Stream",
    "Timeout",
    "Unavailable",
    "UnknownCommand",
    "UnknownRefusal",
    "__version__",
    "connect",
]
