"""
How many, how much, how long: what can be set about the connections to Redis.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkTuning:
    """How much may be under way to a server, and for how long."""

    lanes: int = 4
    """Connections for commands."""
    deadline_s: float = 2.0
    """From the call to the answer, waiting for a lane included."""
    waiting: int = 10_000
    """Commands without an answer; one more fails at once."""


@dataclass(frozen=True, slots=True)
class FeedTuning:
    """How patient a feed is."""

    probe_s: float = 2.0
    """Between two probes."""
    confirm_s: float = 2.0
    """For the server to take a connection, and to confirm that an actor is watched."""
    backoff_base_s: float = 0.1
    backoff_cap_s: float = 3.0
    """The wait before another attempt is random, up to base x 2^attempts and this."""


@dataclass(frozen=True, slots=True)
class RelayTuning:
    """How eagerly the feed is written."""

    gather_s: float = 0.025
    """What happens within this time is written together."""
    check_s: float = 1.0
    """Between two looks at what others have left."""
    grace_ms: int = 2_500
    """For how long a write is its node's business: longer than a link's deadline."""
    final_ms: int = 60_000
    """When it is given up that a write still happens whose outcome nobody knows."""
    lease_ms: int = 5_000


@dataclass(frozen=True, slots=True)
class Tuning:
    """All of it."""

    connect_s: float = 1.0
    link: LinkTuning = LinkTuning()
    feed: FeedTuning = FeedTuning()
    relay: RelayTuning = RelayTuning()


DEFAULT = Tuning()
