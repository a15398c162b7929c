"""
The store over the database: checks from memory, writes through the writer.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TypeVar
from urllib.parse import urlsplit

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import Expired, NoSession, Unavailable, session_ended
from keystay_server.stores.base import (
    UNLIMITED,
    Changes,
    Emitted,
    FeedPage,
    History,
    Holding,
    Listener,
    NewSession,
    Policy,
    Record,
    Retention,
    StoredEvent,
    StoreError,
)
from keystay_server.stores.position import Position, read_position, write_position
from keystay_server.stores.sqlite import feed
from keystay_server.stores.sqlite.operations import Entry, Operations, Outcome, Tombstone
from keystay_server.stores.sqlite.writer import Writer

T = TypeVar("T")

EXPIRE_AT_ONCE = 500
"""Sessions in one transaction: others wait for its end."""

FORGET_EVERY_S = 600.0
FORGET_AT_ONCE = 5_000


def unix_ms() -> int:
    """The clock of this machine, in Unix milliseconds."""
    return time.time_ns() // 1_000_000


class SqliteStore:
    """
    Sessions in one SQLite file, or in memory (`:memory:`) with the same code.

    Args:
        path: The file; made if it is not there.
        clock: Unix milliseconds.
    """

    def __init__(
        self, path: str, retention: Retention, clock: Callable[[], int] = unix_ms
    ) -> None:
        self._retention = retention
        self._clock = clock
        self._writer = Writer(path)
        self._operations: Operations
        self._listener: Listener
        self._watched: set[str] = set()
        # What is committed, by digest; serves every check.
        self._entries: dict[bytes, Entry] = {}
        # Sessions that were to end while the disk refused to write, by digest: their keys
        # are refused from memory, and the ends written as soon as anything can be.
        self._unwritten: dict[bytes, tuple[Record, str]] = {}
        self._retry: asyncio.Future[Outcome] | None = None
        # By name, who has it and until when. All nodes are this process.
        self._leases: dict[str, tuple[str, int]] = {}
        # By topic and node, with the time when it is over. All nodes are this process.
        self._reports: dict[str, dict[str, tuple[int, bytes]]] = {}
        self._forgetting: asyncio.Task[None] | None = None

    @classmethod
    def from_url(cls, url: str, retention: Retention) -> "SqliteStore":
        """Make the store for `sqlite:///PATH` or `memory://`."""
        parts = urlsplit(url)
        if parts.scheme == "memory":
            return cls(":memory:", retention)
        path = parts.path.removeprefix("/")
        if parts.netloc or not path:
            raise StoreError("the URL names no file: write sqlite:///PATH")
        return cls(path, retention)

    async def start(self, listener: Listener) -> None:
        self._listener = listener
        db = await self._writer.start()
        self._operations = Operations(db, self._retention)
        self._entries = await self._read(lambda ops, now: ops.load(now))
        self._forgetting = asyncio.create_task(self._forget_by_and_by(), name="forget sessions")

    async def stop(self) -> None:
        if self._forgetting is not None:
            self._forgetting.cancel()
            with suppress(asyncio.CancelledError):
                await self._forgetting
            if self._unwritten:
                self._write_the_unwritten()
            await self._writer.stop()

    async def create(self, new: NewSession, policy: Policy = UNLIMITED) -> list[StoredEvent]:
        outcome = await self._write(lambda ops, now: ops.create(now, new, policy))
        return outcome.events

    async def check(self, actor_id: str, digest: bytes) -> Record:
        entry = self._entries.get(digest)
        if entry is None or entry.actor_id != actor_id:
            raise NoSession
        if digest in self._unwritten:
            raise session_ended(self._unwritten[digest][1])
        now = self._clock()
        if isinstance(entry, Tombstone):
            if now >= entry.ended_at + self._retention.tombstone_ms:
                raise NoSession
            raise session_ended(entry.reason)
        if now >= entry.expires_at:
            if now >= entry.expires_at + self._retention.tombstone_ms:
                raise NoSession
            raise Expired
        return entry

    async def restore(self, actor_id: str, digest: bytes) -> StoredEvent:
        await self.check(actor_id, digest)
        outcome = await self._write(lambda ops, now: ops.restore(now, digest) or Outcome())
        if not outcome.events:
            # It ended while this waited for the writer; memory knows by now.
            await self.check(actor_id, digest)
            raise NoSession
        return outcome.events[0]

    async def touch(self, sessions: Collection[Holding]) -> None:
        digests = [holding.digest for holding in sessions]
        await self._write(lambda ops, now: ops.touch(now, digests))

    async def expire(self) -> list[int | None]:
        outcome = await self._write(lambda ops, now: ops.expire(now, EXPIRE_AT_ONCE))
        return list(outcome.late_ms)

    async def end(
        self, actor_id: str, session_id: str | None, scope: LogoutScope, reason: str
    ) -> list[StoredEvent]:
        if session_id is None and scope is not LogoutScope.ALL:
            raise ValueError("only ALL can be ended without a session that asks")
        # Raises at once if too many wait: that says nothing about the disk.
        writing = self._write(
            lambda ops, now: ops.end(now, actor_id, session_id, scope, reason)
        )
        try:
            outcome = await writing
        except Unavailable:
            self._refuse(actor_id, session_id, scope, reason)
            raise
        return outcome.events

    async def change(
        self, actor_id: str, session_id: str, changes: Changes, revision: int | None
    ) -> StoredEvent:
        outcome = await self._write(
            lambda ops, now: ops.change(now, actor_id, session_id, changes, revision)
        )
        return outcome.events[0]

    async def emit(self, actor_id: str, emitted: Emitted) -> StoredEvent:
        outcome = await self._write(lambda ops, now: ops.emit(now, actor_id, emitted))
        return outcome.events[0]

    async def broadcast(self, emitted: Emitted) -> None:
        self._listener.announced_to_all(emitted)

    async def sessions(self, actor_id: str) -> list[Record]:
        records = await self._read(lambda ops, now: ops.sessions(now, actor_id))
        refused = {record.id for record, _ in self._unwritten.values()}
        return [record for record in records if record.id not in refused]

    async def history(self, actor_id: str, after: int) -> History:
        return await self._read(lambda ops, now: ops.history(now, actor_id, after))

    async def read_feed(self, after: Position | None, most: int) -> FeedPage:
        return await self._read(lambda ops, _: feed.read(ops.db, after, most))

    async def lease(self, name: str, node_id: str, ttl_ms: int) -> bool:
        now = self._clock()
        holder, until = self._leases.get(name, (node_id, 0))
        if holder != node_id and now < until:
            return False
        self._leases[name] = (node_id, now + ttl_ms)
        return True

    async def save_position(self, name: str, node_id: str, position: Position) -> bool:
        holder, until = self._leases.get(name, (node_id, 0))
        if holder != node_id or self._clock() >= until:
            return False
        text = write_position(position)
        await self._writer.run(lambda: feed.save_position(self._operations.db, name, text))
        return True

    async def saved_position(self, name: str) -> Position | None:
        text = await self._read(lambda ops, _: feed.saved_position(ops.db, name))
        return None if text is None else read_position(text)

    async def report(self, topic: str, node_id: str, data: bytes, ttl_ms: int) -> None:
        now = self._clock()
        for old in [old for old, left in self._reports.items() if not _current(left, now)]:
            del self._reports[old]
        self._reports.setdefault(topic, {})[node_id] = (now + ttl_ms, data)

    async def reports(self, topic: str) -> dict[str, bytes]:
        return _current(self._reports.get(topic, {}), self._clock())

    async def watch(self, actor_id: str) -> None:
        self._watched.add(actor_id)

    def unwatch(self, actor_id: str) -> None:
        self._watched.discard(actor_id)

    def _read(self, operation: Callable[[Operations, int], T]) -> "asyncio.Future[T]":
        return self._writer.run(lambda: operation(self._operations, self._clock()))

    def _write(
        self, operation: Callable[[Operations, int], Outcome]
    ) -> "asyncio.Future[Outcome]":
        return self._writer.run(
            lambda: operation(self._operations, self._clock()), self._committed
        )

    def _committed(self, outcome: Outcome) -> None:
        self._entries.update(outcome.entries)
        for event in outcome.events:
            if event.actor_id in self._watched:
                self._listener.announced(event)
        if self._unwritten:
            self._write_the_unwritten()

    def _refuse(
        self, actor_id: str, session_id: str | None, scope: LogoutScope, reason: str
    ) -> None:
        """Do in memory what `end` could not do on disk."""
        now = self._clock()
        live = {
            digest: entry
            for digest, entry in self._entries.items()
            if isinstance(entry, Record)
            and entry.actor_id == actor_id
            and entry.expires_at > now
        }
        if session_id is not None and session_id not in {entry.id for entry in live.values()}:
            return
        for digest, entry in live.items():
            asking = entry.id == session_id
            if scope is LogoutScope.ALL or asking is (scope is LogoutScope.THIS):
                self._unwritten[digest] = (entry, reason)

    def _write_the_unwritten(self) -> None:
        """Try again to end those sessions; if it is in vain, their keys stay refused."""
        if self._retry is not None and not self._retry.done():
            return
        unwritten = dict(self._unwritten)

        def end_them() -> Outcome:
            outcome, now = Outcome(), self._clock()
            for record, reason in unwritten.values():
                ended = self._operations.end(
                    now, record.actor_id, record.id, LogoutScope.THIS, reason
                )
                outcome.events.extend(ended.events)
                outcome.entries.update(ended.entries)
            return outcome

        def written(outcome: Outcome) -> None:
            for digest in unwritten:
                self._unwritten.pop(digest, None)
            self._committed(outcome)

        with suppress(Unavailable):  # The next write that succeeds brings the next try.
            self._retry = self._writer.run(end_them, written)
            self._retry.add_done_callback(asyncio.Future.exception)

    async def _forget_by_and_by(self) -> None:
        while True:
            digests = await self._forget()
            if len(digests) < FORGET_AT_ONCE:
                await asyncio.sleep(FORGET_EVERY_S)

    async def _forget(self) -> list[bytes]:
        try:
            digests = await self._read(lambda ops, now: ops.forget(now, FORGET_AT_ONCE))
        except Unavailable:  # It is tried again, and the log has it.
            return []
        for digest in digests:
            self._entries.pop(digest, None)
        return digests


def _current(left: dict[str, tuple[int, bytes]], now: int) -> dict[str, bytes]:
    return {node: data for node, (until, data) in left.items() if now < until}
