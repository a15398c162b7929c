"""
What can be seen of a store's servers from outside, for those who look after them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from keystay_server.stores import REDIS


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


async def diagnose(url: str) -> list[Diagnosis]:
    """
    Ask each server that a store's URL names; an embedded store has none.

    Raises:
        StoreError: If the URL is wrong.
    """
    if urlsplit(url).scheme not in REDIS:
        return []
    from keystay_server.stores.redis.diagnosis import diagnose_redis

    return await diagnose_redis(url)
