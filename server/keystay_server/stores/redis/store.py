"""
The store in Redis: each promise of `base` is kept by one script, on one hash slot.

What was answered is as durable as Redis is configured to make it: see its
`appendfsync`. The clock is the server's. Nothing here retries a command: it
would not be known whether it had been carried out.
"""

import asyncio
from collections.abc import Collection
from typing import Any

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import NoSession, SessionLimit, Unavailable, session_ended
from keystay_server.stores.base import (
    UNLIMITED,
    Changes,
    Emitted,
    FeedPage,
    History,
    Holding,
    Listener,
    NewSession,
    NoFeed,
    Policy,
    Record,
    Retention,
    RevisionConflict,
    StoredEvent,
)
from keystay_server.stores.once import AskedBefore, Once, OnceReused
from keystay_server.stores.position import Position, read_position, write_position
from keystay_server.stores.redis import scripts
from keystay_server.stores.redis.address import Location
from keystay_server.stores.redis.batches import each
from keystay_server.stores.redis.cluster import Cluster
from keystay_server.stores.redis.due import DueIndex
from keystay_server.stores.redis.feed_reader import read_feed
from keystay_server.stores.redis.feed_relay import FeedRelay
from keystay_server.stores.redis.feed_writer import FeedWriter
from keystay_server.stores.redis.layout import (
    EVERYBODY,
    decode_event,
    decode_record,
    lease_key,
    report_key,
    root_of,
)
from keystay_server.stores.redis.sentinel import master
from keystay_server.stores.redis.server import Server
from keystay_server.stores.redis.servers import Servers
from keystay_server.stores.redis.trouble import Refusals
from keystay_server.stores.redis.tuning import DEFAULT, RelayTuning, Tuning
from keystay_server.stores.redis.wire import Word


class RedisStore:
    """
    A `Store` in Redis or Valkey.

    `shift_ms` is added to the servers' clock, for tests that let time pass. It
    can be changed at any time, and all stores over the same data must agree.
    """

    def __init__(
        self,
        servers: Servers,
        prefix: str,
        retention: Retention,
        tuning: RelayTuning = DEFAULT.relay,
    ) -> None:
        self.shift_ms = 0
        self._servers = servers
        self._prefix = prefix
        self._due = DueIndex(prefix, self._run_below, self._write, servers.beside)
        self._writer = FeedWriter(
            prefix, servers, self._run_below, self._history, retention.feed_events
        )
        self._relay = FeedRelay(self._writer, self._run_below, tuning)
        self._tuning = tuning
        self._has_feed = retention.feed_events > 0
        self._refusals = Refusals()
        self._retention = (
            retention.tombstone_ms,
            retention.history_ms,
            retention.history_events,
        )

    @classmethod
    def from_url(cls, url: str, retention: Retention, tuning: Tuning = DEFAULT) -> "RedisStore":
        """
        Make the store that a URL names; `Location` says how they look.

        Raises:
            StoreError: If the URL is wrong.
        """
        location = Location.parse(url, tuning.connect_s)
        prefix = location.prefix
        servers: Servers
        match location.topology:
            case "cluster":
                servers = Cluster(location, tuning)
            case "sentinel":
                servers = Server(master(location), prefix, tuning)
            case _:
                [host] = location.hosts
                servers = Server(location.server(*host), prefix, tuning)
        return cls(servers, prefix, retention, tuning.relay)

    async def start(self, listener: Listener) -> None:
        """Open the store, as `Store.start` says."""
        try:
            await self._servers.start(listener)
        except BaseException:
            await self.stop()
            raise
        if self._has_feed:
            self._writer.start(self._tuning)
            self._relay.start()

    async def stop(self) -> None:
        """Finish what is in flight and release everything."""
        await self._relay.stop()
        await self._writer.stop()
        await self._servers.stop()

    async def create(self, new: NewSession, policy: Policy = UNLIMITED) -> list[StoredEvent]:
        """Open a session, as `Store.create` says."""
        fields: list[Word] = ["meta", new.meta, "language", new.language]
        if new.version is not None:
            fields += ["version", new.version]
        times = (new.ttl_ms, _word(new.max_age_ms))
        allowed = (_word(policy.limit), "refuse" if policy.is_strict else "replace")
        words = (new.digest.hex(), new.id, *times, *allowed, *_once(new.once), *fields)
        creation = self._write(scripts.CREATE, new.actor_id, *words)
        # In one go, and noted first: what was answered will not be overlooked when it is due.
        _, events = await asyncio.gather(self._due.add(new), creation)
        if events is None:
            raise SessionLimit
        _refuse_again(events)
        return [decode_event(new.actor_id, event) for event in events]

    async def check(self, actor_id: str, digest: bytes) -> Record:
        """Return the live session that the key opens, as `Store.check` says."""
        answer = await self._run(scripts.CHECK, actor_id, digest.hex())
        return decode_record(actor_id, _unless_over(answer))

    async def restore(self, actor_id: str, digest: bytes) -> StoredEvent:
        """Extend the session that the key opens, as `Store.restore` says."""
        [event] = _unless_over(await self._write(scripts.RESTORE, actor_id, digest.hex()))
        return decode_event(actor_id, event)

    async def touch(self, sessions: Collection[Holding]) -> None:
        """Extend live sessions that somebody holds, as `Store.touch` says."""
        for answer in await each(self._touch, list(sessions)):
            if isinstance(answer, Unavailable):
                raise answer

    async def expire(self) -> list[int | None]:
        """End the sessions whose time is over, as `Store.expire` says."""
        return await self._due.expire()

    async def end(
        self, actor_id: str, session_id: str | None, scope: LogoutScope, reason: str
    ) -> list[StoredEvent]:
        """End sessions of the actor, as `Store.end` says."""
        if session_id is None and scope is not LogoutScope.ALL:
            raise ValueError("only ALL can be ended without a session that asks")
        events = await self._write(scripts.END, actor_id, session_id or "", scope, reason)
        return [decode_event(actor_id, event) for event in events]

    async def change(
        self, actor_id: str, session_id: str, changes: Changes, revision: int | None
    ) -> StoredEvent:
        """Change a session, as `Store.change` says."""
        new = (changes.meta or "", changes.language or "")
        answer = await self._write(scripts.CHANGE, actor_id, session_id, _word(revision), *new)
        if isinstance(answer, int):
            raise RevisionConflict
        return decode_event(actor_id, _the_only_one(answer))

    async def emit(self, actor_id: str, emitted: Emitted) -> StoredEvent:
        """Append an event of a backend to the actor's history, as `Store.emit` says."""
        words = (emitted.session_id or "", emitted.name, emitted.data, *_once(emitted.once))
        answer = await self._run(scripts.EMIT, actor_id, *words)
        _refuse_again(answer)
        return decode_event(actor_id, _the_only_one(answer))

    async def broadcast(self, emitted: Emitted) -> None:
        """Announce an event to every node, as `Store.broadcast` says."""
        await self._run(scripts.BROADCAST, EVERYBODY, emitted.name, emitted.data)

    async def sessions(self, actor_id: str) -> list[Record]:
        """Return the actor's live sessions, oldest first."""
        answers = await self._run(scripts.SESSIONS, actor_id)
        return [decode_record(actor_id, fields) for fields in answers]

    async def history(self, actor_id: str, after: int) -> History:
        """Read the actor's events with a cursor greater than `after`."""
        complete, events, _ = await self._history(actor_id, after)
        return History([decode_event(actor_id, event) for event in events], complete == 1)

    async def read_feed(self, after: Position | None, most: int) -> FeedPage:
        """Read the entries of the feed after a position, as `Store.read_feed` says."""
        if not self._has_feed:
            raise NoFeed
        return await read_feed(self._run_below, self._writer.parts, after, most)

    async def lease(self, name: str, node_id: str, ttl_ms: int) -> bool:
        """Have something for oneself, as `Store.lease` says."""
        key = lease_key(self._prefix, name)
        return bool(await self._run_below(scripts.LEASE, key, node_id, ttl_ms))

    async def save_position(self, name: str, node_id: str, position: Position) -> bool:
        """Keep a position with what a node has leased, as `Store.save_position` says."""
        key, text = lease_key(self._prefix, name), write_position(position)
        return bool(await self._run_below(scripts.LEASE_SAVE, key, node_id, text))

    async def saved_position(self, name: str) -> Position | None:
        """Return what was saved last."""
        text = await self._run_below(scripts.LEASE_SAVED, lease_key(self._prefix, name))
        return None if text is None else read_position(text.decode())

    async def report(self, topic: str, node_id: str, data: bytes, ttl_ms: int) -> None:
        """Leave word of a node, as `Store.report` says."""
        key = report_key(self._prefix, topic)
        await self._run_below(scripts.REPORT, key, node_id, data, ttl_ms)

    async def reports(self, topic: str) -> dict[str, bytes]:
        """Return what nodes have left on the topic, as `Store.reports` says."""
        found = await self._run_below(scripts.REPORTS, report_key(self._prefix, topic))
        return {node.decode(): data for node, data in zip(found[::2], found[1::2], strict=True)}

    async def watch(self, actor_id: str) -> None:
        """Have the actor's events announced, as `Store.watch` says."""
        await self._servers.watch(actor_id)

    def unwatch(self, actor_id: str) -> None:
        """Stop the announcements about the actor."""
        self._servers.unwatch(actor_id)

    async def _touch(self, holding: Holding) -> None:
        await self._run(scripts.TOUCH, holding.actor_id, holding.digest.hex())

    async def _history(self, actor_id: str, after: int) -> Any:
        """What `history.lua` returns."""
        return await self._run(scripts.HISTORY, actor_id, after)

    async def _write(
        self, script: scripts.Script, actor_id: str, *words: Word, events_from: int = 0
    ) -> Any:
        """Run a script that, if it returns a list, has events for the feed from there on."""
        if not self._has_feed:
            return await self._run(script, actor_id, *words)
        # If the outcome stays unknown, so does the mark: the relay sees to it.
        mark = await self._writer.mark(actor_id)
        answer = await self._run(script, actor_id, *words)
        events = answer[events_from:] if isinstance(answer, list) else []
        self._writer.written(actor_id, mark, events)
        return answer

    async def _run(self, script: scripts.Script, actor_id: str, *words: Word) -> Any:
        return await self._run_below(script, root_of(self._prefix, actor_id), *words)

    async def _run_below(self, script: scripts.Script, root: str, *words: Word) -> Any:
        words = (self.shift_ms, *self._retention, *words)
        try:
            return await self._servers.run(script, root, *words)
        except Unavailable as error:
            self._refusals.note(error.__cause__)
            raise


def _word(number: int | None) -> Word:
    """A number as the scripts take it, which is nothing where there is none."""
    return "" if number is None else number


def _the_only_one(events: list[bytes] | None) -> bytes:
    if events is None:
        raise NoSession("no live session has this id")
    [event] = events
    return event


def _once(once: Once | None) -> tuple[Word, Word]:
    """What is to be done once, as the scripts take it."""
    return ("", "") if once is None else (once.name, once.content)


def _refuse_again(answer: Any) -> None:
    """Raise if a script returned a number: what `done_before` in `_once.lua` said."""
    match answer:
        case 0:
            raise OnceReused
        case int(cursor):
            raise AskedBefore(cursor)


def _unless_over(answer: Any) -> list[Any]:
    """Return what a script returned for a live session; raise what it said of another."""
    match answer:
        case None:
            raise NoSession
        case bytes(reason):
            raise session_ended(reason.decode())
        case _:
            return list(answer)
