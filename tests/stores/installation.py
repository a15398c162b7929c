"""
Stores under test: one or more nodes over the same data, and what each of them hears.
"""

import hashlib
import secrets
from asyncio import Queue, timeout
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from keystay_server.stores.base import Emitted, NewSession, Store, StoredEvent

SOON_S = 15.0
"""Longer than anything takes, a failover included."""
EMPTY_MAP = b"\x80"


class Heard:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self._events: Queue[StoredEvent] = Queue()
        self._broadcasts: Queue[Emitted] = Queue()
        self._losses: Queue[set[str]] = Queue()

    def announced(self, event: StoredEvent) -> None:
        self._events.put_nowait(event)

    def announced_to_all(self, emitted: Emitted) -> None:
        self._broadcasts.put_nowait(emitted)

    def missed(self, actor_ids: Collection[str]) -> None:
        self._losses.put_nowait(set(actor_ids))

    async def event(self) -> StoredEvent:
        """The next event."""
        async with timeout(SOON_S):
            return await self._events.get()

    async def said_to_all(self) -> Emitted:
        """The next event for everybody."""
        async with timeout(SOON_S):
            return await self._broadcasts.get()

    async def loss(self) -> set[str]:
        """The actors of the next loss."""
        async with timeout(SOON_S):
            return await self._losses.get()


@dataclass(frozen=True, slots=True)
class Installation:
    """Several nodes where the store has several; otherwise one."""

    nodes: list[Store]
    heard: list[Heard]
    pass_time: Callable[[int], None]
    """Let milliseconds pass."""

    @property
    def store(self) -> Store:
        """The first node."""
        return self.nodes[0]


def opening(actor_id: str = "alice", **changes: Any) -> NewSession:
    """What it takes to open a session, under a key nobody has had."""
    new = NewSession(
        id=f"id-{secrets.token_hex(8)}",
        actor_id=actor_id,
        digest=hashlib.sha256(secrets.token_bytes()).digest(),
        meta=EMPTY_MAP,
        language="en",
        version=None,
        ttl_ms=60_000,
        max_age_ms=None,
    )
    return replace(new, **changes)


async def opened(store: Store, new: NewSession) -> StoredEvent:
    """Open a session that no policy bounds; its one event."""
    [event] = await store.create(new)
    return event
