"""
Stores under test: one or more nodes over the same data, and what is announced to each.
"""

import asyncio
import hashlib
import secrets
from asyncio import Queue, timeout
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from keystay_server.stores.base import Store
from keystay_server.stores.events import Emitted, StoredEvent
from keystay_server.stores.records import Holding, NewSession, Record

SOON_S = 15.0
"""Longer than anything takes, a failover included."""
EMPTY_MAP = b"\x80"
PAGE = 100
SWEEP_MS = 1_100
"""After so long without a call of `expire`, no store takes it for an absence yet."""


class Heard:
    """A listener that keeps what is announced, of the actors it is made for."""

    def __init__(self, *actors: str) -> None:
        self.actors = set(actors)
        self._events: Queue[StoredEvent] = Queue()
        self._broadcasts: Queue[Emitted] = Queue()
        self._losses: Queue[set[str]] = Queue()

    def wants(self, actor_id: str, cursor: int) -> bool:
        return actor_id in self.actors

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
    grace_ms: int = 0
    """How long the store ends nothing after nobody asked it for a while."""

    @property
    def store(self) -> Store:
        """The first node."""
        return self.nodes[0]

    def listen(self, *actor_ids: str) -> None:
        """Have events of these actors announced on every node."""
        for listener in self.heard:
            listener.actors.update(actor_ids)

    async def end_what_is_due(self, *nodes: Store) -> list[int]:
        """
        Have nodes end what is due, all of them at once; one node unless some are given.

        If the store has a grace, that passes meanwhile. Returns by how many
        milliseconds each end was late.
        """
        late_ms: list[int] = []
        passed = 0
        while True:
            for late in await asyncio.gather(*map(expire_all, nodes or self.nodes[:1])):
                late_ms += late
            if passed >= self.grace_ms:
                return late_ms
            self.pass_time(SWEEP_MS)
            passed += SWEEP_MS


def new_session(actor_id: str = "alice", **changes: Any) -> NewSession:
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


async def expire_all(node: Store) -> list[int]:
    """Call `expire` until nothing is due; by how many milliseconds each end was late."""
    late_ms: list[int] = []
    while late := await node.expire():
        late_ms += late
    return late_ms


async def sessions_of(store: Store, actor_id: str = "alice") -> list[Record]:
    """All live sessions of an actor, page by page."""
    records: list[Record] = []
    while True:
        after = records[-1].id if records else None
        page = await store.sessions(actor_id, PAGE, after)
        records += page
        if len(page) < PAGE:
            return records


def held(*news: NewSession) -> list[Holding]:
    """The sessions, as the nodes name them on which they are held."""
    return [Holding(new.actor_id, new.digest) for new in news]
