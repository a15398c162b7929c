"""
What can be tuned about a client, and about a backend's.
"""

from dataclasses import dataclass, field
from ssl import SSLContext

from keystay_protocol.codec import FROM_SERVER
from keystay_protocol.events import DEFAULT_PATHS


@dataclass(frozen=True, slots=True)
class Options:
    """The settings a program rarely touches. Times in seconds."""

    open_timeout_s: float = 10.0
    """For one attempt to connect, the restored session included."""
    close_timeout_s: float = 2.0
    """For the goodbye, and for handlers to finish what they do, before both are cut short."""
    write_timeout_s: float = 10.0
    """For a server that reads nothing, before the connection is given up."""
    ping_interval_s: float = 15.0
    ping_timeout_s: float = 10.0
    """A server that is silent for both together counts as gone."""

    backoff_base_s: float = 0.5
    """Upper bound of the first wait before reconnecting; each further one is twice as long."""
    backoff_cap_s: float = 30.0
    """Upper bound of every wait. A connection that held this long starts over at the base."""

    version: str | None = None
    """The application's version, told with every restore to servers that insist on one."""

    paths: tuple[str, ...] = DEFAULT_PATHS
    """Subscribed before the first restore: what was missed between two runs is heard then."""

    max_pending: int = 1024
    """Commands that may wait for an answer at once; one more raises `QueueFull`."""
    event_buffer: int = 1024
    """Events that may wait for the handlers before some are dropped, and reported as lost."""
    max_message_bytes: int = FROM_SERVER.size
    """The largest message taken from the server (SPEC section 2.3)."""

    ssl: SSLContext | None = field(default=None, repr=False)
    """For `wss://` with a certificate authority of one's own."""


@dataclass(frozen=True, slots=True)
class ControlOptions:
    """The settings of a `Control` that a program rarely touches. Times in seconds."""

    connect_timeout_s: float = 3.0
    """For one attempt to connect."""
    max_attempts: int = 5
    """How often a request is sent at most, where that is safe and its time allows it."""
    retry_base_s: float = 0.1
    """Upper bound of the first wait before a request is sent again; then twice as long."""
    retry_cap_s: float = 2.0
    """Upper bound of every such wait, beside what the server asks for."""

    feed_silence_s: float = 45.0
    """A feed that is silent for so long counts as gone: the server says something every 15."""
    feed_backoff_base_s: float = 0.5
    """Upper bound of the first wait before a feed is opened again; then twice as long."""
    feed_backoff_cap_s: float = 30.0
    """Upper bound of every such wait. A feed that held this long starts over at the base."""

    ssl: SSLContext | None = field(default=None, repr=False)
    """For `https://` with a certificate authority or a client certificate of one's own."""
