"""
A real store at the far end of a link that a test can slow down, cut or make lossy.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from keystay_protocol.commands import LogoutScope
from keystay_server.stores.base import Listener, Store
from keystay_server.stores.errors import out_of_reach
from keystay_server.stores.events import Emitted, FeedPage, History, Restored, StoredEvent
from keystay_server.stores.position import Position
from keystay_server.stores.records import (
    UNLIMITED,
    Changes,
    Holding,
    NewSession,
    Policy,
    Record,
)
from tests.support.server.wire import WAIT_S

T = TypeVar("T")


class FarStore:
    """What a node sees of a store that is elsewhere: late, lossy, or not at all."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listener: Listener
        self.is_down = False
        """Whether every call answers `Unavailable`, and changes nothing."""
        self.is_losing = False
        """Whether announcements get lost."""
        self.asked: Counter[str] = Counter()
        """How often the node has called each method."""
        self._is_asked = asyncio.Event()
        self._held: list[StoredEvent] | None = None
        self._calls: dict[str, asyncio.Event] = {}
        self._answers: dict[str, asyncio.Event] = {}
        self._done: dict[str, asyncio.Event] = {}

    # What a test does to the link.

    def hold_announcements(self) -> None:
        """Keep announcements on the way."""
        self._held = []

    def deliver_announcements(self) -> None:
        """Let those arrive that are on the way, and those to come."""
        held, self._held = self._held or [], None
        for event in held:
            self._listener.announced(event)

    def take_announcements(self) -> list[StoredEvent]:
        """Take off the way what is on it."""
        held, self._held = self._held or [], []
        return held

    def hold_calls(self, method: str) -> None:
        """Keep the calls of a method on the way; nothing of it is done."""
        self._calls[method] = asyncio.Event()

    def deliver_calls(self, method: str) -> None:
        """Let the calls arrive."""
        self._calls.pop(method).set()

    def hold_answers(self, method: str) -> None:
        """Keep the answers of a method on the way; what it does is done."""
        self._answers[method] = asyncio.Event()
        self._done[method] = asyncio.Event()

    async def until_done(self, method: str) -> None:
        """Wait until the method was carried out, and its answer is on the way."""
        async with asyncio.timeout(WAIT_S):
            await self._done[method].wait()

    def deliver_answers(self, method: str) -> None:
        """Let the answers arrive."""
        self._answers.pop(method).set()

    def hold_no_more_answers(self, method: str) -> Callable[[], None]:
        """Let later answers arrive at once. Returns what delivers those on the way."""
        return self._answers.pop(method).set

    async def until_asked(self, method: str, times: int) -> None:
        """Wait until the node has called the method so often."""
        async with asyncio.timeout(WAIT_S):
            while self.asked[method] < times:
                self._is_asked.clear()
                await self._is_asked.wait()

    # What the node does over it.

    async def start(self, listener: Listener) -> None:
        self._listener = listener
        await self._store.start(self)

    async def probe(self) -> None:
        await self._far("probe", self._store.probe())

    async def stop(self) -> None:
        await self._store.stop()

    @property
    def actors(self) -> Collection[str]:
        return self._listener.actors

    def wants(self, actor_id: str, cursor: int) -> bool:
        return actor_id in self._listener.actors  # Each is held or lost, news or not.

    def announced(self, event: StoredEvent) -> None:
        if self._held is not None:
            self._held.append(event)
        elif not self.is_losing:
            self._listener.announced(event)

    def missed(self, actor_ids: Collection[str]) -> None:
        self._listener.missed(actor_ids)

    def announced_to_all(self, emitted: Emitted) -> None:
        self._listener.announced_to_all(emitted)

    async def create(self, new: NewSession, policy: Policy = UNLIMITED) -> list[StoredEvent]:
        return await self._far("create", self._store.create(new, policy))

    @property
    def near(self) -> Store:
        """The store itself."""
        return self._store

    def peek(self, digest: bytes) -> Record | None:
        return None

    async def check(self, actor_id: str, digest: bytes) -> Record:
        return await self._far("check", self._store.check(actor_id, digest))

    async def restore(self, actor_id: str, digest: bytes, after: int | None = None) -> Restored:
        return await self._far("restore", self._store.restore(actor_id, digest, after))

    async def touch(self, sessions: Collection[Holding]) -> None:
        await self._far("touch", self._store.touch(sessions))

    async def expire(self) -> list[int]:
        return await self._far("expire", self._store.expire())

    async def end(
        self, actor_id: str, session_id: str | None, scope: LogoutScope, reason: str
    ) -> list[StoredEvent]:
        return await self._far("end", self._store.end(actor_id, session_id, scope, reason))

    async def change(
        self, actor_id: str, session_id: str, changes: Changes, revision: int | None
    ) -> StoredEvent:
        changing = self._store.change(actor_id, session_id, changes, revision)
        return await self._far("change", changing)

    async def emit(self, actor_id: str, emitted: Emitted) -> StoredEvent:
        return await self._far("emit", self._store.emit(actor_id, emitted))

    async def broadcast(self, emitted: Emitted) -> None:
        await self._far("broadcast", self._store.broadcast(emitted))

    async def session(self, actor_id: str, session_id: str) -> Record:
        return await self._far("session", self._store.session(actor_id, session_id))

    async def sessions(
        self, actor_id: str, most: int, after: str | None = None, *, newest: bool = False
    ) -> list[Record]:
        reading = self._store.sessions(actor_id, most, after, newest=newest)
        return await self._far("sessions", reading)

    async def history(self, actor_id: str, after: int) -> History:
        return await self._far("history", self._store.history(actor_id, after))

    async def read_feed(self, after: Position | None, most: int) -> FeedPage:
        return await self._far("read_feed", self._store.read_feed(after, most))

    async def lease(self, name: str, node_id: str, ttl_ms: int) -> bool:
        return await self._far("lease", self._store.lease(name, node_id, ttl_ms))

    async def save_position(self, name: str, node_id: str, position: Position) -> bool:
        saving = self._store.save_position(name, node_id, position)
        return await self._far("save_position", saving)

    async def saved_position(self, name: str) -> Position | None:
        return await self._far("saved_position", self._store.saved_position(name))

    async def report(self, topic: str, node_id: str, data: bytes, ttl_ms: int) -> None:
        await self._far("report", self._store.report(topic, node_id, data, ttl_ms))

    async def reports(self, topic: str) -> dict[str, bytes]:
        return await self._far("reports", self._store.reports(topic))

    async def _far(self, method: str, call: Awaitable[T]) -> T:
        self.asked[method] += 1
        self._is_asked.set()
        try:
            if method in self._calls:
                await self._calls[method].wait()
            if self.is_down:
                raise out_of_reach("the store does not answer")
        except BaseException:
            _drop(call)
            raise
        answer = await call
        if method in self._answers:
            gate = self._answers[method]
            self._done[method].set()
            await gate.wait()
        return answer


def _drop(call: Awaitable[T]) -> None:
    """Never make the call, and let nobody warn that it was not made."""
    if asyncio.iscoroutine(call):
        call.close()
