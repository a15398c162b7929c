"""
What each operation of the store does to the tables.

The law of this module: an operation runs inside a transaction, checks before
it writes, and so raises either before it has changed anything or never. It
returns what memory has to learn once the transaction is committed.
"""

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import NoSession, SessionLimit
from keystay_server.stores.base import (
    Change,
    Changes,
    Emitted,
    History,
    NewSession,
    Policy,
    Record,
    Retention,
    RevisionConflict,
    SessionSet,
    SessionUnset,
    StoredEvent,
    Successor,
    next_cursor,
)
from keystay_server.stores.sqlite import feed, once
from keystay_server.stores.sqlite.changes import read_change, row_of, write_change

_RECORD = (
    "id, actor_id, meta, language, version, created_at, expires_at, ends_at, ttl_ms, revision"
)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A session that ended, and why."""

    actor_id: str
    reason: str
    ended_at: int


Entry = Record | Tombstone
"""What memory holds for each digest."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation did: the events it wrote, and the entries that are new or changed."""

    events: list[StoredEvent] = field(default_factory=list)
    entries: dict[bytes, Entry] = field(default_factory=dict)
    late_ms: list[int] = field(default_factory=list)
    """How late each session was ended whose time was over."""


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations over one open database."""

    db: sqlite3.Connection
    retention: Retention

    def load(self, now: int) -> dict[bytes, Entry]:
        """Read every session that is not forgotten."""
        feed.begin(self.db, now, self.retention)
        rows = self.db.execute(f"SELECT digest, reason, ended_at, {_RECORD} FROM sessions")  # noqa: S608
        return {
            digest: Record(*record)
            if reason is None
            else Tombstone(record[1], reason, ended_at)
            for digest, reason, ended_at, *record in rows
        }

    def create(self, now: int, new: NewSession, policy: Policy) -> Outcome:
        """Open a session, within the policy."""
        once.refuse_opening(self.db, now, new)
        over = self._over_the_limit(now, new.actor_id, policy)
        ends_at = None if new.max_age_ms is None else now + new.max_age_ms
        record = Record(
            id=new.id,
            actor_id=new.actor_id,
            meta=new.meta,
            language=new.language,
            version=new.version,
            created_at=now,
            expires_at=_deadline(now, new.ttl_ms, ends_at),
            ends_at=ends_at,
            ttl_ms=new.ttl_ms,
        )
        ended = self._end(now, "replaced", over, Successor(new.id, now))
        event = self._append(now, new.actor_id, SessionSet(record))
        values = (new.digest, event.cursor, *row_of(record))
        self.db.execute(
            f"INSERT INTO sessions (digest, opened, {_RECORD})"  # noqa: S608
            f" VALUES ({', '.join('?' * len(values))})",
            values,
        )
        once.remember(self.db, now, event, new.once)
        return Outcome([*ended.events, event], {**ended.entries, new.digest: record})

    def restore(self, now: int, digest: bytes) -> Outcome | None:
        """Extend a session; None if there is no such live session."""
        old = self._find(now, digest)
        if old is None:
            return None
        record = self._extend(now, digest, old)
        event = self._append(now, record.actor_id, SessionSet(record))
        return Outcome([event], {digest: record})

    def end(
        self, now: int, actor_id: str, session_id: str | None, scope: LogoutScope, reason: str
    ) -> Outcome:
        """End sessions of the actor: what `Store.end` says."""
        live = self._live(now, actor_id)
        if session_id is not None and session_id not in live:
            return Outcome()
        if scope is LogoutScope.THIS:
            live = {id_: digest for id_, digest in live.items() if id_ == session_id}
        elif scope is LogoutScope.OTHERS:
            live = {id_: digest for id_, digest in live.items() if id_ != session_id}
        return self._end(now, reason, [(digest, actor_id, id_) for id_, digest in live.items()])

    def touch(self, now: int, digests: Collection[bytes]) -> Outcome:
        """Extend those of the sessions that are live and have lost a third of their ttl."""
        entries: dict[bytes, Entry] = {}
        for digest in digests:
            old = self._find(now, digest)
            if old is not None and old.expires_at - now <= old.ttl_ms * 2 // 3:
                entries[digest] = self._extend(now, digest, old)
        return Outcome([], entries)

    def expire(self, now: int, most: int) -> Outcome:
        """End sessions whose time is over, `most` at most, the earliest deadline first."""
        due = self.db.execute(
            "SELECT digest, actor_id, id, expires_at FROM sessions"
            " WHERE reason IS NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?",
            (now, most),
        ).fetchall()
        ended = self._end(now, "expired", [session for *session, _ in due])
        return replace(ended, late_ms=[now - expires_at for *_, expires_at in due])

    def change(
        self, now: int, actor_id: str, session_id: str, changes: Changes, revision: int | None
    ) -> Outcome:
        """Change a session: what `Store.change` says."""
        digest = self._digest_of(now, actor_id, session_id)
        old = self._find(now, digest)
        assert old is not None
        if revision not in (None, old.revision):
            raise RevisionConflict
        record = replace(
            old,
            meta=old.meta if changes.meta is None else changes.meta,
            language=changes.language or old.language,
            revision=old.revision + 1,
        )
        event = self._append(now, actor_id, SessionSet(record))
        self.db.execute(
            "UPDATE sessions SET meta = ?, language = ?, revision = ? WHERE digest = ?",
            (record.meta, record.language, record.revision, digest),
        )
        return Outcome([event], {digest: record})

    def emit(self, now: int, actor_id: str, emitted: Emitted) -> Outcome:
        """Append an event of a backend."""
        once.refuse(self.db, now, actor_id, emitted.once)
        if emitted.session_id is not None:
            self._digest_of(now, actor_id, emitted.session_id)
        event = self._append(now, actor_id, emitted)
        once.remember(self.db, now, event, emitted.once)
        return Outcome([event])

    def sessions(self, now: int, actor_id: str) -> list[Record]:
        """The actor's live sessions, oldest first."""
        rows = self.db.execute(
            f"SELECT {_RECORD} FROM sessions"  # noqa: S608
            " WHERE actor_id = ? AND reason IS NULL AND expires_at > ? ORDER BY opened",
            (actor_id, now),
        )
        return [Record(*row) for row in rows]

    def history(self, now: int, actor_id: str, after: int) -> History:
        """The actor's events after a cursor."""
        actor = self.db.execute(
            "SELECT last, floor FROM actors WHERE actor_id = ?", (actor_id,)
        ).fetchone()
        if actor is None:
            return History([], complete=False)
        last, floor = actor
        if last // 1024 + self.retention.history_ms <= now:
            return History([], complete=after == last)
        rows = self.db.execute(
            "SELECT cursor, previous, change FROM events"
            " WHERE actor_id = ? AND cursor > ? ORDER BY cursor",
            (actor_id, after),
        )
        events = [
            StoredEvent(actor_id, cursor, previous, read_change(change))
            for cursor, previous, change in rows
        ]
        # A cursor beyond the newest event is of another history, one that was lost.
        return History(events, complete=floor <= after <= last)

    def forget(self, now: int, most: int) -> list[bytes]:
        """Delete sessions that are over for too long, `most` at most; return their digests."""
        over = now - self.retention.tombstone_ms
        digests = [
            digest
            for (digest,) in self.db.execute(
                "SELECT digest FROM sessions WHERE coalesce(ended_at, expires_at) <= ? LIMIT ?",
                (over, most),
            )
        ]
        self.db.executemany("DELETE FROM sessions WHERE digest = ?", [(d,) for d in digests])
        once.forget(self.db, now)
        feed.forget(self.db, now, self.retention)
        stale = (now - self.retention.history_ms) * 1024
        self.db.execute(
            "DELETE FROM events"
            " WHERE actor_id IN (SELECT actor_id FROM actors WHERE last <= ?)",
            (stale,),
        )
        self.db.execute("UPDATE actors SET floor = last WHERE last <= ?", (stale,))
        self.db.execute(
            "DELETE FROM actors WHERE last <= ?"
            " AND NOT EXISTS (SELECT 1 FROM sessions WHERE actor_id = actors.actor_id)",
            (stale,),
        )
        return digests

    def _find(self, now: int, digest: bytes) -> Record | None:
        row = self.db.execute(
            f"SELECT {_RECORD} FROM sessions"  # noqa: S608
            " WHERE digest = ? AND reason IS NULL AND expires_at > ?",
            (digest, now),
        ).fetchone()
        return None if row is None else Record(*row)

    def _extend(self, now: int, digest: bytes, old: Record) -> Record:
        expires_at = _deadline(now, old.ttl_ms, old.ends_at)
        self.db.execute(
            "UPDATE sessions SET expires_at = ? WHERE digest = ?", (expires_at, digest)
        )
        return replace(old, expires_at=expires_at)

    def _over_the_limit(
        self, now: int, actor_id: str, policy: Policy
    ) -> list[tuple[bytes, str, str]]:
        """The sessions that must end for one more; by digest, actor id and id."""
        if policy.limit is None:
            return []
        live = [(digest, actor_id, id_) for id_, digest in self._live(now, actor_id).items()]
        if policy.is_strict and len(live) >= policy.limit:
            raise SessionLimit
        return live[: max(0, len(live) - policy.limit + 1)]

    def _end(
        self,
        now: int,
        reason: str,
        ending: list[tuple[bytes, str, str]],
        by: Successor | None = None,
    ) -> Outcome:
        """End sessions, given by digest, actor id and id."""
        events = [
            self._append(now, actor_id, SessionUnset(id_, reason, by))
            for _, actor_id, id_ in ending
        ]
        self.db.executemany(
            "UPDATE sessions SET reason = ?, ended_at = ?, meta = x'80' WHERE digest = ?",
            [(reason, now, digest) for digest, _, _ in ending],
        )
        return Outcome(
            events,
            {digest: Tombstone(actor_id, reason, now) for digest, actor_id, _ in ending},
        )

    def _digest_of(self, now: int, actor_id: str, session_id: str) -> bytes:
        row = self.db.execute(
            "SELECT digest FROM sessions"
            " WHERE actor_id = ? AND id = ? AND reason IS NULL AND expires_at > ?",
            (actor_id, session_id, now),
        ).fetchone()
        if row is None:
            raise NoSession("no live session has this id")
        digest: bytes = row[0]
        return digest

    def _live(self, now: int, actor_id: str) -> dict[str, bytes]:
        return dict(
            self.db.execute(
                "SELECT id, digest FROM sessions"
                " WHERE actor_id = ? AND reason IS NULL AND expires_at > ? ORDER BY opened",
                (actor_id, now),
            ).fetchall()
        )

    def _append(self, now: int, actor_id: str, change: Change) -> StoredEvent:
        actor = self.db.execute(
            "SELECT last, floor FROM actors WHERE actor_id = ?", (actor_id,)
        ).fetchone()
        # An actor nobody remembers starts anew: whatever came before is forgotten.
        previous, floor = actor or (0, now * 1024 - 1)
        cursor, packed = next_cursor(previous, now), write_change(change)
        self.db.execute(
            "INSERT INTO events (actor_id, cursor, previous, change) VALUES (?, ?, ?, ?)",
            (actor_id, cursor, previous, packed),
        )
        if self.retention.feed_events and not isinstance(change, Emitted):
            feed.append(self.db, actor_id, cursor, packed, self.retention.feed_events)
        oldest_kept = self.db.execute(
            "SELECT previous FROM events"
            " WHERE actor_id = ? ORDER BY cursor DESC LIMIT 1 OFFSET ?",
            (actor_id, self.retention.history_events - 1),
        ).fetchone()
        if oldest_kept is not None and oldest_kept[0]:
            (floor,) = oldest_kept
            self.db.execute(
                "DELETE FROM events WHERE actor_id = ? AND cursor <= ?", (actor_id, floor)
            )
        self.db.execute(
            "INSERT INTO actors (actor_id, last, floor) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET last = excluded.last, floor = excluded.floor",
            (actor_id, cursor, floor),
        )
        return StoredEvent(actor_id, cursor, previous, change)


def _deadline(now: int, ttl_ms: int, ends_at: int | None) -> int:
    return now + ttl_ms if ends_at is None else min(now + ttl_ms, ends_at)
