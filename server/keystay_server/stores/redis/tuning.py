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
    """From the call, or from the last answer to another one, to the answer."""
    waiting: int = 10_000
    """Commands without an answer; one more fails at once."""
    idle_s: float = 4.0
    """A connection that was idle for so long is replaced: a balancer may have dropped it."""


@dataclass(frozen=True, slots=True)
class SubscriptionTuning:
    """How patient a subscription is."""

    probe_s: float = 2.0
    """Between two probes."""
    confirm_s: float = 2.0
    """For the server to take a connection, and to answer the first probes."""
    backoff_base_s: float = 0.1
    backoff_cap_s: float = 3.0
    """The wait before another attempt is random, up to base x 2^attempts and this."""


@dataclass(frozen=True, slots=True)
class RepairTuning:
    """How gaps are repaired."""

    again_s: float = 0.25
    """Before what could not be read is tried again."""


@dataclass(frozen=True, slots=True)
class ExpiryTuning:
    """When sessions are ended at their deadlines."""

    absent_ms: int = 1500
    """Without a node that asks for this long, nodes or the server were away."""
    grace_ms: int = 3000
    """How long nothing is ended then, so that nodes can extend what they hold."""
    sweep_ms: int = 500
    """How often a partition notes that a node asked; far less than `absent_ms`."""
    patience_s: float = 0.25
    """How long the answer of one partition is waited for before others are asked again."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """All of it."""

    connect_s: float = 1.0
    link: LinkTuning = LinkTuning()
    subscription: SubscriptionTuning = SubscriptionTuning()
    repair: RepairTuning = RepairTuning()
    expiry: ExpiryTuning = ExpiryTuning()


DEFAULT = Tuning()
