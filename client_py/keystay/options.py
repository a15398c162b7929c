"""
The settings of a client, and of a `Control`.
"""

from dataclasses import dataclass, field
from ssl import SSLContext

from keystay_protocol.codec import FROM_SERVER
from keystay_protocol.events import DEFAULT_PATHS


@dataclass(frozen=True, slots=True)
class Options:
    """Settings that programs rarely change. Times in seconds."""

    open_timeout_s: float = 10.0
    """Of one attempt to connect, which includes restoring the session."""
    close_timeout_s: float = 2.0
    """Of the closing handshake, and of handlers that are still running."""
    write_timeout_s: float = 10.0
    """Of one write, if the server does not read."""
    ping_interval_s: float = 15.0
    ping_timeout_s: float = 10.0
    """After a ping without pong for this long the connection counts as lost."""

    backoff_base_s: float = 0.5
    """Upper bound of the first delay before reconnecting; it doubles with each attempt."""
    backoff_cap_s: float = 30.0
    """Upper bound of every delay. After a connection of this duration it is the base again."""

    version: str | None = None
    """The application's version, sent with every restore (SPEC section 4.3)."""

    paths: tuple[str, ...] = DEFAULT_PATHS
    """Subscribed before the first restore, which replays events that were missed."""

    max_pending: int = 1024
    """How many commands may be without a reply; one more raises `QueueFull`."""
    event_buffer: int = 1024
    """How many events may wait for the handlers; further ones are dropped (`events.lost`)."""
    max_message_bytes: int = FROM_SERVER.size
    """The largest message accepted from the server (SPEC section 2.3)."""

    ssl: SSLContext | None = field(default=None, repr=False)
    """For `wss://` with a private certificate authority."""


@dataclass(frozen=True, slots=True)
class ControlOptions:
    """Settings of a `Control` that programs rarely change. Times in seconds."""

    connect_timeout_s: float = 3.0
    """Of one attempt to connect."""
    max_attempts: int = 5
    """How often a request is sent at most, if that is safe and within its deadline."""
    retry_base_s: float = 0.1
    """Upper bound of the first delay before a request is sent again; it doubles each time."""
    retry_cap_s: float = 2.0
    """Upper bound of every such delay, in addition to what the server asks for."""

    feed_silence_s: float = 45.0
    """After this long without data the feed counts as lost; the server sends every 15 s."""
    feed_backoff_base_s: float = 0.5
    """Upper bound of the first delay before a feed is reopened; it doubles each time."""
    feed_backoff_cap_s: float = 30.0
    """Upper bound of every such delay. After a feed of this duration it is the base again."""

    ssl: SSLContext | None = field(default=None, repr=False)
    """For `https://` with a private certificate authority, or with a client certificate."""
