"""
The store over memory and the database: `stores.base.Store`, on the event loop.

Every operation is given the time at which it was asked. A deadline that memory
extended before then is therefore never taken for one that has passed.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import NoSession, SessionLimit, Unavailable
from keystay_server.stores.base import END_STEP, Listener
from keystay_server.stores.errors import StoreError
from keystay_server.stores.events import (
    Emitted,
    FeedPage,
    History,
    Restored,
    SessionUnset,
    StoredEvent,
)
from keystay_server.stores.position import Position, read_position, write_position
from keystay_server.stores.records import (
    UNLIMITED,
    Changes,
    Holding,
    NewSession,
    Policy,
    Record,
)
from keystay_server.stores.retention import Retention
from keystay_server.stores.sqlite import feed, housekeeping
from keystay_server.stores.sqlite.clock import SteadyClock
from keystay_server.stores.sqlite.memory import Memory
from keystay_server.stores.sqlite.operations import Ending, Operations
from keystay_server.stores.sqlite.outcome import Outcome, Progress
from keystay_server.stores.sqlite.writer import STOP_S, Writer
from keystay_server.timing.tasks import Background, Repeating

T = TypeVar("T")

LOOK_EVERY_S = 1.0
"""How often it is looked whether the machine's clock was set."""

WRITE_STEP = 500
"""Deadlines that are written in one transaction."""


class SqliteStore:
    """
    Sessions in one SQLite file, or in memory (`:memory:`) with the same code.

    Args:
        path: The file; made if it is not there.
        clock: Unix milliseconds; None: a `SteadyClock`.
    """

    def __init__(
        self, path: str, retention: Retention, clock: Callable[[], int] | None = None
    ) -> None:
        self._retention = retention
        steady = SteadyClock()
        self._clock = clock or steady
        self._noticing = Repeating(steady.notice, "watch the clock", pause_s=LOOK_EVERY_S)
        self._writer = Writer(path)
        self._memory = Memory(retention)
        self._operations: Operations
        self._listener: Listener
        # By name, who has it and until when. All nodes are this process.
        self._leases: dict[str, tuple[str, int]] = {}
        # By topic and node, with the time when it is over. All nodes are this process.
        self._reports: dict[str, dict[str, tuple[int, bytes]]] = {}
        self._housekeeping: Background | None = None

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
        self._operations = Operations(db, self._retention, self._memory.unwritten)
        entries, newest = await self._writer.run(partial(self._operations.load, self._clock()))
        self._memory.fill(entries, newest)
        self._housekeeping = Background(
            partial(housekeeping.keep, self._keep_house), "forget what is old"
        )
        self._housekeeping.start()
        self._noticing.start()

    async def stop(self) -> None:
        await self._noticing.stop()
        if self._housekeeping is not None:
            await self._housekeeping.stop()
            with suppress(Unavailable, TimeoutError):  # The log has it.
                async with asyncio.timeout(STOP_S):
                    await self._write_behind()
            await self._writer.stop()

    async def create(self, new: NewSession, policy: Policy = UNLIMITED) -> list[StoredEvent]:
        # One time for all steps: `replaced` names the creation time of the new session.
        creating = partial(self._operations.create, self._clock(), new, policy)
        events: list[StoredEvent] = []
        while True:
            outcome = await self._write(creating)
            events += [event for event in outcome.events if not _is_expiry(event)]
            match outcome.progress:
                case Progress.DONE:
                    return events
                case Progress.REFUSED:
                    raise SessionLimit

    async def probe(self) -> None:
        await self._writer.probe(self._operations.touch_nothing)

    def peek(self, digest: bytes) -> Record | None:
        return self._memory.peek(digest, self._clock())

    async def check(self, actor_id: str, digest: bytes) -> Record:
        return self._memory.live(actor_id, digest, self._clock())

    async def restore(self, actor_id: str, digest: bytes, after: int | None = None) -> Restored:
        memory, now = self._memory, self._clock()
        memory.live(actor_id, digest, now)
        record, cursor = memory.extend(digest, now), memory.newest(actor_id)
        assert record is not None
        if after is None or after == cursor:
            missed = None if after is None else History([], complete=True)
            return Restored(record, cursor, missed)
        restored: list[Restored] = []

        def at_that_moment(missed: History) -> None:
            # Memory has what was committed before the history was read, and nothing after it.
            record = memory.extend(digest, now)
            if record is not None:
                restored.append(Restored(record, memory.newest(actor_id), missed))

        read = partial(self._operations.history, now, actor_id, after)
        await self._writer.run(read, at_that_moment, is_read=True)
        if not restored:
            memory.live(actor_id, digest, self._clock())
            raise NoSession
        return restored[0]

    async def touch(self, sessions: Collection[Holding]) -> None:
        now, overdue = self._clock(), list[bytes]()
        for session in sessions:
            if self._memory.is_overdue(session.digest, now):
                overdue.append(session.digest)
            else:
                self._memory.extend(session.digest, now)
        if not overdue:
            return
        # Operations that are under way may be ending these: take turns with them. Raises at
        # once if too many wait: nothing is extended then.
        touching = self._write(partial(self._operations.touch_overdue, now, overdue))
        try:
            await touching
        except Unavailable:
            # Nothing was ended either, and the writer goes on only after this.
            for digest in overdue:
                self._memory.extend(digest, now)

    async def expire(self) -> list[int]:
        expiring = partial(self._operations.expire, self._clock())
        await self._write_behind()
        return (await self._write(expiring)).late_ms

    async def end(
        self, actor_id: str, session_id: str | None, scope: LogoutScope, reason: str
    ) -> list[StoredEvent]:
        if session_id is None and scope is not LogoutScope.ALL:
            raise ValueError("only ALL can be ended without a session that asks")
        now, asking = self._clock(), None
        if session_id is not None:
            asking = self._memory.digest_of(actor_id, session_id, even_refused=True)
            if asking is None or self._memory.is_overdue(asking, now):
                raise NoSession("no live session has this id")
        rest: Ending | None = Ending(actor_id, asking, scope, reason)
        events: list[StoredEvent] = []
        while rest is not None:
            # Raises at once if too many wait: that says nothing about the disk.
            step = self._writer.run(
                partial(self._operations.end, now, rest), lambda done: self._committed(done[0])
            )
            try:
                outcome, rest = await step
            except Unavailable:
                self._memory.refuse(actor_id, session_id, scope, reason)
                raise
            # Overdue sessions have ended as expired, and are not returned.
            events += [event for event in outcome.events if _reason_of(event) == reason]
        return events

    async def change(
        self, actor_id: str, session_id: str, changes: Changes, revision: int | None
    ) -> StoredEvent:
        digest = self._memory.digest_of(actor_id, session_id)
        if digest is None:
            raise NoSession("no live session has this id")
        outcome = await self._write(
            partial(self._operations.change, self._clock(), digest, changes, revision)
        )
        return outcome.events[0]

    async def emit(self, actor_id: str, emitted: Emitted) -> StoredEvent:
        digest = None
        if emitted.session_id is not None:
            digest = self._memory.digest_of(actor_id, emitted.session_id)
        outcome = await self._write(
            partial(self._operations.emit, self._clock(), actor_id, emitted, digest)
        )
        return outcome.events[0]

    async def broadcast(self, emitted: Emitted) -> None:
        self._listener.announced_to_all(emitted)

    async def session(self, actor_id: str, session_id: str) -> Record:
        digest = self._memory.digest_of(actor_id, session_id)
        records = [] if digest is None else self._memory.records([digest], self._clock())
        if not records:
            raise NoSession("no live session has this id")
        return records[0]

    async def sessions(
        self, actor_id: str, most: int, after: str | None = None, *, newest: bool = False
    ) -> list[Record]:
        start, records = None, list[Record]()
        if after is not None:
            await self.session(actor_id, after)
            digest = self._memory.digest_of(actor_id, after)
            assert digest is not None
            start = await self._read(partial(self._operations.opened, digest))
            if start is None:  # It ended meanwhile.
                raise NoSession("no live session has this id")
        while len(records) < most:
            read = partial(self._operations.page, actor_id, most, start, newest=newest)
            page = await self._read(read)
            # Those that are overdue or refused are passed over: then another page is needed.
            records += self._memory.records([digest for digest, _ in page], self._clock())
            if len(page) < most:
                break
            start = page[-1][1]
        records = records[:most]
        return records[::-1] if newest else records

    async def history(self, actor_id: str, after: int) -> History:
        now = self._clock()
        return await self._read(partial(self._operations.history, now, actor_id, after))

    async def read_feed(self, after: Position | None, most: int) -> FeedPage:
        return await self._read(partial(feed.read, self._operations.db, after, most))

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
        await self._writer.run(partial(feed.save_position, self._operations.db, name, text))
        return True

    async def saved_position(self, name: str) -> Position | None:
        text = await self._read(partial(feed.saved_position, self._operations.db, name))
        return None if text is None else read_position(text)

    async def report(self, topic: str, node_id: str, data: bytes, ttl_ms: int) -> None:
        now = self._clock()
        for old in [old for old, left in self._reports.items() if not _current(left, now)]:
            del self._reports[old]
        self._reports.setdefault(topic, {})[node_id] = (now + ttl_ms, data)

    async def reports(self, topic: str) -> dict[str, bytes]:
        return _current(self._reports.get(topic, {}), self._clock())

    def _write(self, operation: Callable[[], Outcome]) -> "asyncio.Future[Outcome]":
        return self._writer.run(operation, self._committed)

    def _read(self, operation: Callable[[], T]) -> "asyncio.Future[T]":
        return self._writer.run(operation, is_read=True)

    def _committed(self, outcome: Outcome) -> None:
        self._memory.learn(outcome)
        for event in outcome.events:
            if self._listener.wants(event.actor_id, event.cursor):
                self._listener.announced(event)

    async def _write_behind(self) -> None:
        """Write the deadlines and the ends that memory is ahead with, in steps."""
        memory, operations = self._memory, self._operations
        for deadlines in _in_steps(list(memory.unwritten.items()), WRITE_STEP):
            await self._writer.run(partial(operations.write_deadlines, deadlines))
            memory.written(deadlines)
        for refused in _in_steps(list(memory.refused.items()), END_STEP):
            await self._write(partial(operations.end_late, self._clock(), dict(refused)))

    async def _keep_house(self, step: housekeeping.Step) -> int:
        db, retention = self._operations.db, self._retention
        work = partial(housekeeping.take, step, db, self._clock(), retention)
        try:
            found, _ = await self._writer.run(work, lambda done: self._memory.forget(done[1]))
        except Unavailable:  # It is tried again, and the log has it.
            return 0
        return found


def _is_expiry(event: StoredEvent) -> bool:
    return isinstance(event.change, SessionUnset) and event.change.reason == "expired"


def _in_steps(items: list[T], step: int) -> list[list[T]]:
    return [items[start : start + step] for start in range(0, len(items), step)]


def _current(left: dict[str, tuple[int, bytes]], now: int) -> dict[str, bytes]:
    return {node: data for node, (until, data) in left.items() if now < until}


def _reason_of(event: StoredEvent) -> str:
    assert isinstance(event.change, SessionUnset)
    return event.change.reason
