"""
What can be seen of a store's servers from outside, for those who look after them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One server of a store."""

    where: str
    """For people: no user, no password."""
    problem: str | None = None
    """Why it is of no use, in words for an operator; None if it is."""
    ahead_ms: float = 0.0
    """By how much this machine's clock is ahead of the server's."""
    settings: Mapping[str, str] | None = field(default_factory=dict)
    """Its own settings about memory and persistence; None if it does not show them."""
