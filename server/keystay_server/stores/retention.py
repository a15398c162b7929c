"""
How long a store keeps what is over.
"""

from dataclasses import dataclass

FEED_EVENTS = 65_536
"""About how many entries a feed has, unless configured otherwise."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long histories, tombstones and the feed are kept."""

    history_events: int = 256
    """Events kept for each actor."""
    history_ms: int = 10 * 60 * 1000
    """How old an actor's newest event may be before its history is forgotten."""
    tombstone_ms: int = 24 * 60 * 60 * 1000
    """How long the key of an ended session answers with the reason it ended."""
    tombstones: int = 1000
    """How many ended sessions of one actor are remembered, the newest."""
    feed_events: int = FEED_EVENTS
    """About how many entries the feed has, the newest; 0: no feed is kept."""

    @property
    def feed_ms(self) -> int:
        """How old an entry of the feed may be before it is forgotten."""
        return max(self.history_ms, 60_000)
