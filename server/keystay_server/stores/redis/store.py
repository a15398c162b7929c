"""
The store in Redis: each promise of `base` is kept by one script, on one partition.

What was answered is as durable as Redis is configured to make it: see its
`appendfsync`. The clock is the server's. Nothing here retries a command: it
would not be known whether it had been carried out.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from redis.exceptions import ResponseError

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import SessionLimit, Unavailable
from keystay_server.stores.base import Listener
from keystay_server.stores.errors import (
    NoFeed,
    RevisionConflict,
    out_of_reach,
)
from keystay_server.stores.events import Emitted, FeedPage, History, Restored, StoredEvent
from keystay_server.stores.position import Position, read_position, write_position
from keystay_server.stores.records import (
    UNLIMITED,
    Changes,
    Holding,
    NewSession,
    Policy,
    Record,
)
from keystay_server.stores.redis import scripts
from keystay_server.stores.redis.address import Location
from keystay_server.stores.redis.announcements import Announcements
from keystay_server.stores.redis.answers import (
    history_page,
    idempotency_words,
    no_such_session,
    refuse_again,
    the_only_one,
    unless_over,
    word,
)
from keystay_server.stores.redis.batches import each
from keystay_server.stores.redis.cluster import Cluster
from keystay_server.stores.redis.encoding import decode_event, decode_record
from keystay_server.stores.redis.expiry import SCRIPT_STEP, Expiry
from keystay_server.stores.redis.feed import newest_position, read_feed
from keystay_server.stores.redis.gaps import Gaps
from keystay_server.stores.redis.greeting import lacking
from keystay_server.stores.redis.layout import Layout
from keystay_server.stores.redis.partitions import Partitions, lease_key, report_key
from keystay_server.stores.redis.repair import Repair
from keystay_server.stores.redis.sentinel import Sentinels
from keystay_server.stores.redis.server import Single
from keystay_server.stores.redis.trouble import Refusals, does_not_write
from keystay_server.stores.redis.tuning import DEFAULT, Tuning
from keystay_server.stores.redis.wire import Word
from keystay_server.stores.retention import Retention

PARTITIONS = 64
"""How many there are, unless configured otherwise."""

LEAST_LOG = 256
"""Entries of a partition's log, however short a feed is wanted: gaps are repaired from it."""

LOG_WITHOUT_FEED = 1024
"""Entries of a partition's log if no feed is kept. They are small then."""

UNDECIDED = b"?"
"""What a script returns in place of a session that may be over: see `_session.lua`."""

MOST_TOUCHED = 100
"""Sessions that one script extends at most."""

MOST_LISTED = 100
"""Sessions that one script reads at most."""


class RedisStore:
    """
    A `Store` in Redis or Valkey.

    `shift_ms` is added to the servers' clock, for tests that let time pass. It
    can be changed at any time, and all stores over the same data must agree.
    """

    def __init__(
        self, location: Location, retention: Retention, tuning: Tuning, partitions: int
    ) -> None:
        self.shift_ms = 0
        self._prefix = location.prefix
        self._partitions = Partitions(location.prefix, partitions)
        self._gaps = Gaps(partitions)
        self._read_up_to = [0] * partitions
        self._announcements = Announcements(self._gaps)
        self._layout = Layout(location.prefix, partitions)
        self._servers = self._open_servers(location, tuning)
        self._repair = Repair(
            self._partitions, self._gaps, self._announcements, self._servers.send, tuning.repair
        )
        self._refusals = Refusals()
        self._retention = retention
        self._has_feed = retention.feed_events > 0
        # As `_write.lua` takes them.
        self._write_words: tuple[Word, ...] = (
            retention.tombstone_ms,
            retention.tombstones,
            retention.history_ms,
            retention.history_events,
            max(LEAST_LOG, retention.feed_events // partitions)
            if self._has_feed
            else LOG_WITHOUT_FEED,
            int(self._has_feed),
        )
        words = (*self._write_words, SCRIPT_STEP)
        self._expiry = Expiry(self._run_below, words, retention.feed_ms, tuning.expiry)

    @classmethod
    def from_url(
        cls,
        url: str,
        retention: Retention,
        tuning: Tuning = DEFAULT,
        partitions: int = PARTITIONS,
    ) -> "RedisStore":
        """
        Make the store that a URL names; `Location` says how they look.

        Raises:
            StoreError: If the URL is wrong, or the number of partitions.
        """
        return cls(Location.parse(url, tuning.connect_s), retention, tuning, partitions)

    def _open_servers(self, location: Location, tuning: Tuning) -> Single | Cluster:
        parts = (self._partitions, self._announcements, self._layout, tuning)
        match location.topology:
            case "cluster":
                return Cluster(location, *parts)
            case "sentinel":
                sentinels = Sentinels(location)
                return Single(sentinels.address(), *parts, sentinels)
            case _:
                [host] = location.hosts
                return Single(location.server(*host), *parts)

    async def start(self, listener: Listener) -> None:
        """Open the store, as `Store.start` says."""
        self._announcements.start(listener)
        self._repair.start(listener)
        try:
            await self._servers.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Finish what is in flight and release everything."""
        await self._expiry.stop()
        await self._repair.stop()
        await self._servers.stop()

    async def create(self, new: NewSession, policy: Policy = UNLIMITED) -> list[StoredEvent]:
        """Open a session, as `Store.create` says."""
        words: list[Word] = [new.digest.hex(), new.id, new.ttl_ms, word(new.max_age_ms)]
        words += [word(policy.limit), "refuse" if policy.is_strict else "replace"]
        words.append(SCRIPT_STEP)
        fields: list[Word] = [*idempotency_words(new.idempotency), new.meta, new.language]
        if new.version is not None:
            fields.append(new.version)
        events: list[StoredEvent] = []
        begun: Word = ""
        while begun != 0:
            answer = await self._write(scripts.CREATE, new.actor_id, *words, begun, *fields)
            if answer is None:
                raise SessionLimit
            refuse_again(answer)
            begun, *told = answer
            events += [decode_event(new.actor_id, event) for event in told]
        return events

    async def probe(self) -> None:
        """Return if every server takes writes, and allows them, as `Store.probe` says."""
        roots = [self._partitions.roots[min(some)] for some in self._servers.groups()]
        for answer in await each(lambda root: self._run_below(root, scripts.READY), roots):
            if isinstance(answer, Unavailable):
                raise answer
            if answer:
                self._refusals.note(error := ResponseError(lacking(answer)))
                raise out_of_reach("the store refused") from error

    def peek(self, digest: bytes) -> Record | None:
        """Return None, as `Store.peek` says: nothing is in memory."""
        return None

    async def check(self, actor_id: str, digest: bytes) -> Record:
        """Return the live session that the key opens, as `Store.check` says."""
        answer = await self._run(scripts.CHECK, actor_id, digest.hex())
        return decode_record(actor_id, unless_over(answer))

    async def restore(self, actor_id: str, digest: bytes, after: int | None = None) -> Restored:
        """Return the session that the key opens, extended, as `Store.restore` says."""
        words = (digest.hex(), word(after), self._retention.history_ms)
        try:
            answer = await self._run(scripts.RESTORE, actor_id, *words)
        except Unavailable as error:
            if not does_not_write(error.__cause__):
                raise
            answer = await self._run(scripts.RESTORE_ONLY, actor_id, *words)
        fields, cursor, *page = unless_over(answer)
        missed = None
        if page:
            missed, is_all = history_page(actor_id, page)
            if not is_all:
                missed = History([], complete=False)
        return Restored(decode_record(actor_id, fields), cursor, missed)

    async def touch(self, sessions: Collection[Holding]) -> None:
        """Extend sessions that connections are bound to, as `Store.touch` says."""
        digests: dict[int, list[str]] = defaultdict(list)
        for holding in sessions:
            digests[self._partitions.of(holding.actor_id)].append(holding.digest.hex())
        steps = [
            (partition, all_[start : start + MOST_TOUCHED])
            for partition, all_ in digests.items()
            for start in range(0, len(all_), MOST_TOUCHED)
        ]
        for answer in await each(self._touch, steps):
            if isinstance(answer, Unavailable):
                raise answer

    async def expire(self) -> list[int]:
        """End the sessions whose time is over, as `Store.expire` says."""
        roots = self._partitions.roots
        groups = [[roots[partition] for partition in some] for some in self._servers.groups()]
        return await self._expiry.expire(groups)

    async def end(
        self, actor_id: str, session_id: str | None, scope: LogoutScope, reason: str
    ) -> list[StoredEvent]:
        """End sessions of the actor, as `Store.end` says."""
        if session_id is None and scope is not LogoutScope.ALL:
            raise ValueError("only ALL can be ended without a session that asks")
        events: list[StoredEvent] = []
        bound: Word = ""
        while bound != 0:
            words = (session_id or "", scope, reason, SCRIPT_STEP, bound)
            answer = await self._write(scripts.END, actor_id, *words)
            if answer is None:
                raise no_such_session()
            bound, *told = answer
            events += [decode_event(actor_id, event) for event in told]
        return events

    async def change(
        self, actor_id: str, session_id: str, changes: Changes, revision: int | None
    ) -> StoredEvent:
        """Change a session, as `Store.change` says."""
        new = (changes.meta or "", changes.language or "")
        answer = await self._write(scripts.CHANGE, actor_id, session_id, word(revision), *new)
        if isinstance(answer, int):
            raise RevisionConflict
        return decode_event(actor_id, the_only_one(answer))

    async def emit(self, actor_id: str, emitted: Emitted) -> StoredEvent:
        """Append an event of a backend to the actor's history, as `Store.emit` says."""
        words = (
            emitted.session_id or "",
            emitted.name,
            emitted.data,
            *idempotency_words(emitted.idempotency),
        )
        answer = await self._write(scripts.EMIT, actor_id, *words)
        refuse_again(answer)
        return decode_event(actor_id, the_only_one(answer))

    async def broadcast(self, emitted: Emitted) -> None:
        """Announce an event to every node, as `Store.broadcast` says."""
        # Every node is subscribed to every partition; one of them will do.
        root, words = self._partitions.roots[0], (emitted.name, emitted.data)
        await self._run_below(root, scripts.BROADCAST, *self._write_words, *words)

    async def session(self, actor_id: str, session_id: str) -> Record:
        """Return a live session by its id."""
        fields = await self._run(scripts.SESSION, actor_id, session_id)
        if fields is None:
            raise no_such_session()
        return decode_record(actor_id, fields)

    async def sessions(
        self, actor_id: str, most: int, after: str | None = None, *, newest: bool = False
    ) -> list[Record]:
        """Return one page of the actor's live sessions, as `Store.sessions` says."""
        begin, score, found = "newest" if newest else "oldest", None, list[Record]()
        while len(found) < most and score != b"":
            step = min(most - len(found), MOST_LISTED)
            words = (step, begin, score or "", "" if score else after or "")
            answer = await self._run(scripts.SESSIONS, actor_id, *words)
            if answer is None:
                raise no_such_session()
            score, *page = answer
            found += [decode_record(actor_id, fields) for fields in page]
        return found[::-1] if newest else found

    async def history(self, actor_id: str, after: int) -> History:
        """Read the actor's events with a cursor greater than `after`."""
        events: list[StoredEvent] = []
        is_complete, is_all = True, False
        while not is_all:
            words = (after, self._retention.history_ms)
            answer = await self._run(scripts.HISTORY, actor_id, *words)
            page, is_all = history_page(actor_id, answer)
            events += page.events
            is_complete = is_complete and page.complete
            after = events[-1].cursor if events else after
        return History(events, is_complete)

    async def read_feed(self, after: Position | None, most: int) -> FeedPage:
        """Read the entries of the feed after a position, as `Store.read_feed` says."""
        if not self._has_feed:
            raise NoFeed
        count = self._partitions.count
        if after is None:
            return FeedPage([], await newest_position(self._read_log, count), True, True)
        if len(after) != count:
            page = await read_feed(self._read_log, self._newest, (0,) * count, most)
            return replace(page, is_complete=False)
        return await read_feed(self._read_log, self._newest, after, most)

    async def lease(self, name: str, node_id: str, ttl_ms: int) -> bool:
        """Have something for oneself, as `Store.lease` says."""
        key = lease_key(self._prefix, name)
        return bool(await self._run_below(key, scripts.LEASE, node_id, ttl_ms))

    async def save_position(self, name: str, node_id: str, position: Position) -> bool:
        """Keep a position with what a node has leased, as `Store.save_position` says."""
        key, text = lease_key(self._prefix, name), write_position(position)
        return bool(await self._run_below(key, scripts.LEASE_SAVE, node_id, text))

    async def saved_position(self, name: str) -> Position | None:
        """Return what was saved last."""
        text = await self._run_below(lease_key(self._prefix, name), scripts.LEASE_SAVED)
        return None if text is None else read_position(text.decode())

    async def report(self, topic: str, node_id: str, data: bytes, ttl_ms: int) -> None:
        """Leave word of a node, as `Store.report` says."""
        key = report_key(self._prefix, topic)
        await self._run_below(key, scripts.REPORT, node_id, data, ttl_ms)

    async def reports(self, topic: str) -> dict[str, bytes]:
        """Return what nodes have left on the topic, as `Store.reports` says."""
        found = await self._run_below(report_key(self._prefix, topic), scripts.REPORTS)
        return {node.decode(): data for node, data in zip(found[::2], found[1::2], strict=True)}

    async def _touch(self, step: tuple[int, Sequence[str]]) -> None:
        partition, digests = step
        await self._run_below(self._partitions.roots[partition], scripts.TOUCH, *digests)

    async def _read_log(self, partition: int, after: Word, most: int) -> Any:
        """What `feed.lua` returns."""
        root = self._partitions.roots[partition]
        answer = await self._run_below(root, scripts.FEED, after, most)
        self._read_up_to[partition] = max(self._read_up_to[partition], answer[1])
        return answer

    def _newest(self, partition: int) -> int | None:
        """The newest known number of the partition; None if it may be out of date."""
        announced = self._announcements.newest(partition)
        # What was read may not have been announced yet, and is no less there for that.
        return None if announced is None else max(announced, self._read_up_to[partition])

    async def _run(self, script: scripts.Script, actor_id: str, *words: Word) -> Any:
        """Run a script that makes no event, on the actor."""
        return await self._run_below(
            self._partitions.root_of(actor_id), script, actor_id, *words
        )

    async def _write(self, script: scripts.Script, actor_id: str, *words: Word) -> Any:
        """Run a script that makes events, on the actor."""
        root = self._partitions.root_of(actor_id)
        return await self._run_below(root, script, *self._write_words, actor_id, *words)

    async def _run_below(self, key: str, script: scripts.Script, *words: Word) -> Any:
        if not self._layout.is_checked:
            raise out_of_reach("the store does not answer")
        try:
            answer = await self._servers.run(script, key, self.shift_ms, *words)
        except Unavailable as error:
            self._refusals.note(error.__cause__)
            raise
        if answer == UNDECIDED:
            raise out_of_reach("nodes may still extend this session: ask again")
        return answer
