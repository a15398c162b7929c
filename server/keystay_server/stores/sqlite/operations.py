"""
What each command does to the tables.

Invariant: an operation runs inside a transaction and checks before it writes:
it raises before it has changed anything, or never. (A deadline that is written
on the way is no change: memory has it already.) It returns what memory has to
learn once the transaction is committed.
"""

import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import NoSession, SessionLimit
from keystay_server.stores.base import END_STEP
from keystay_server.stores.errors import RevisionConflict
from keystay_server.stores.events import Emitted, History, Successor
from keystay_server.stores.records import Changes, NewSession, Policy, Record
from keystay_server.stores.retention import Retention
from keystay_server.stores.sqlite import feed, history, idempotency, schema
from keystay_server.stores.sqlite.batch import Batch, Found
from keystay_server.stores.sqlite.changes import RECORD_COLUMNS
from keystay_server.stores.sqlite.outcome import Entry, Outcome, Progress, Tombstone

EXPIRE_STEP = 5 * END_STEP
"""Overdue sessions that end in one transaction. 10,000 that are due at once end in two seconds;
in steps of `END_STEP`, which write the same pages more often, in three."""

_FOUND = "digest, actor_id, id, expires_at, opened"


@dataclass(slots=True)
class Ending:
    """An `end` under way: what was asked, and how far its steps have come."""

    actor_id: str
    asking: bytes | None
    """Digest of the session that asks."""
    scope: LogoutScope
    reason: str
    opened_after: int = 0
    """Sessions up to this creation cursor are done."""
    opened_until: int | None = None
    """Newest cursor of the actor in the first step: later sessions live on."""


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations over one open database."""

    db: sqlite3.Connection
    retention: Retention
    unwritten: Mapping[bytes, int]
    """Deadlines that memory has and the file has not, by digest. Changes at any time."""

    def load(self, now: int) -> tuple[dict[bytes, Entry], dict[str, int]]:
        """Read all sessions, and the newest cursor of each actor with live ones."""
        feed.begin(self.db, now, self.retention)
        rows = self.db.execute(
            f"SELECT digest, reason, ended_at, {RECORD_COLUMNS} FROM sessions"  # noqa: S608
        )
        entries: dict[bytes, Entry] = {
            digest: Record(*record)
            if reason is None
            else Tombstone(record[1], reason, ended_at)
            for digest, reason, ended_at, *record in rows
        }
        newest = dict(self.db.execute("SELECT actor_id, last FROM actors WHERE live > 0"))
        return entries, newest

    def create(self, now: int, new: NewSession, policy: Policy) -> Outcome:
        """Create a session, or take one step towards room for it."""
        idempotency.refuse_opening(self.db, now, new)
        batch = self._batch(now)
        if policy.limit is not None:
            progress = self._make_room(batch, now, new, policy.limit, policy.is_strict)
            if progress is not Progress.DONE:
                return batch.close(progress)
        ends_at = None if new.max_age_ms is None else now + new.max_age_ms
        record = Record(
            id=new.id,
            actor_id=new.actor_id,
            meta=new.meta,
            language=new.language,
            version=new.version,
            created_at=now,
            expires_at=deadline(now, new.ttl_ms, ends_at),
            ends_at=ends_at,
            ttl_ms=new.ttl_ms,
        )
        idempotency.remember(self.db, now, batch.create(new.digest, record), new.idempotency)
        return batch.close()

    def touch_nothing(self) -> None:
        """Write, without changing anything that is read."""
        self.db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS)}")

    def write_deadlines(self, deadlines: Collection[tuple[bytes, int]]) -> None:
        """Write deadlines that memory has already."""
        self.db.executemany(
            "UPDATE sessions SET expires_at = ?2"
            " WHERE digest = ?1 AND reason IS NULL AND expires_at < ?2",
            deadlines,
        )

    def touch_overdue(self, now: int, digests: Collection[bytes]) -> Outcome:
        """Extend sessions whose deadline has passed and that were not ended yet."""
        entries: dict[bytes, Entry] = {}
        for digest in digests:
            old = self._not_ended(digest)
            if old is not None:
                entries[digest] = extended(old, now) or old
        self.write_deadlines(
            [
                (digest, entry.expires_at)
                for digest, entry in entries.items()
                if isinstance(entry, Record)
            ]
        )
        return Outcome(entries=entries)

    def end(self, now: int, ending: Ending) -> tuple[Outcome, Ending | None]:
        """
        Take one step of `Store.end`; the step after it, unless this was the last.

        Raises:
            NoSession: If the session that asks is not live, in the first step.
        """
        is_first, batch = ending.opened_until is None, self._batch(now)
        if is_first and ending.asking is not None:
            self._live(now, ending.asking)
        if ending.scope is LogoutScope.THIS:
            assert ending.asking is not None
            batch.end(self._found([ending.asking]), ending.reason)
            return batch.close(), None
        until = ending.opened_until
        if until is None:
            until = history.load(self.db, now, ending.actor_id).last
        found = self._step_of(ending.actor_id, ending.opened_after, until)
        # What is overdue ends too: nobody who holds it can extend it afterwards.
        batch.expire([session for session in found if self._deadline(session) <= now])
        live = [session for session in found if self._deadline(session) > now]
        if ending.scope is LogoutScope.OTHERS:
            live = [session for session in live if session.digest != ending.asking]
        batch.end(live, ending.reason)
        rest = replace(
            ending, opened_after=found[-1].opened if found else 0, opened_until=until
        )
        return batch.close(), rest if len(found) == END_STEP else None

    def end_late(self, now: int, refused: Mapping[bytes, str]) -> Outcome:
        """End sessions for the reasons given, which the disk refused to write before."""
        batch = self._batch(now)
        for session in self._found(refused):
            batch.end([session], refused[session.digest])
        return batch.close()

    def expire(self, now: int) -> Outcome:
        """End sessions whose deadline has passed, the earliest first."""
        batch = self._batch(now)
        batch.expire(self._overdue(now, EXPIRE_STEP))
        return batch.close()

    def change(
        self, now: int, digest: bytes, changes: Changes, revision: int | None
    ) -> Outcome:
        """Change a session: what `Store.change` says."""
        old = self._live(now, digest)
        if revision not in (None, old.revision):
            raise RevisionConflict
        record = replace(
            old,
            meta=old.meta if changes.meta is None else changes.meta,
            language=changes.language or old.language,
            revision=old.revision + 1,
        )
        batch = self._batch(now)
        batch.change(digest, record)
        return batch.close()

    def emit(self, now: int, actor_id: str, emitted: Emitted, digest: bytes | None) -> Outcome:
        """Append an event of a backend; `digest` is that of the session it is for."""
        idempotency.refuse(self.db, now, actor_id, emitted.idempotency)
        if emitted.session_id is not None:
            if digest is None:
                raise NoSession("no live session has this id")
            self._live(now, digest)
        batch = self._batch(now)
        idempotency.remember(self.db, now, batch.append(actor_id, emitted), emitted.idempotency)
        return batch.close()

    def history(self, now: int, actor_id: str, after: int) -> History:
        """The actor's events after a cursor."""
        return history.read(self.db, now, actor_id, after, self.retention)

    def page(
        self, actor_id: str, most: int, start: int | None, *, newest: bool
    ) -> list[tuple[bytes, int]]:
        """
        The sessions that were not ended, `most` at most, by digest and creation cursor.

        Oldest first and created after `start`; or newest first and created before it.
        """
        compare, order = ("<", "DESC") if newest else (">", "ASC")
        if start is None:
            start = 2**63 - 1 if newest else 0
        return self.db.execute(
            "SELECT digest, opened FROM sessions INDEXED BY live_of_actor"  # noqa: S608
            f" WHERE actor_id = ? AND reason IS NULL AND opened {compare} ?"
            f" ORDER BY opened {order} LIMIT ?",
            (actor_id, start, most),
        ).fetchall()

    def opened(self, digest: bytes) -> int | None:
        """The creation cursor of a session that was not ended."""
        found = self._found([digest])
        return found[0].opened if found else None

    def _batch(self, now: int) -> Batch:
        return Batch(self.db, now, self.retention)

    def _make_room(
        self, batch: Batch, now: int, new: NewSession, limit: int, is_strict: bool
    ) -> Progress:
        """End sessions until one more is within the limit, `END_STEP` at most."""
        excess = batch.actor(new.actor_id).live + 1 - limit
        if excess <= 0:
            return Progress.DONE
        overdue = self._overdue(now, END_STEP, new.actor_id)
        batch.expire(overdue)
        excess -= len(overdue)
        room = END_STEP - len(overdue)
        if excess <= 0:
            return Progress.DONE
        if not room:
            return Progress.UNFINISHED
        if is_strict:
            if not overdue:
                raise SessionLimit
            return Progress.REFUSED
        oldest = self._step_of(new.actor_id, 0, 2**63 - 1, min(excess, room))
        batch.end(oldest, "replaced", Successor(new.id, now))
        return Progress.DONE if excess <= room else Progress.UNFINISHED

    def _overdue(self, now: int, most: int, actor_id: str | None = None) -> list[Found]:
        """Sessions, of one actor or of all, whose deadline has passed in memory too."""
        index, where = "sessions_by_deadline", ""
        values: tuple[object, ...] = (now, most)
        if actor_id is not None:
            index, where = "deadlines_of_actor", "actor_id = ? AND"
            values = (actor_id, *values)
        while True:
            rows = self.db.execute(
                f"SELECT {_FOUND} FROM sessions INDEXED BY {index}"  # noqa: S608
                f" WHERE {where} reason IS NULL AND expires_at <= ?"
                " ORDER BY expires_at LIMIT ?",
                values,
            )
            found = [Found(*row) for row in rows]
            later = [(s.digest, self._deadline(s)) for s in found if self._deadline(s) > now]
            if not later:
                return found
            self.write_deadlines(later)

    def _step_of(
        self, actor_id: str, after: int, until: int, most: int = END_STEP
    ) -> list[Found]:
        """Sessions of an actor that were not ended, by their creation cursors."""
        rows = self.db.execute(
            f"SELECT {_FOUND} FROM sessions INDEXED BY live_of_actor"  # noqa: S608
            " WHERE actor_id = ? AND reason IS NULL AND opened > ? AND opened <= ?"
            " ORDER BY opened LIMIT ?",
            (actor_id, after, until, most),
        )
        return [Found(*row) for row in rows]

    def _found(self, digests: Collection[bytes]) -> list[Found]:
        """Those of the sessions that were not ended."""
        rows = (
            self.db.execute(
                f"SELECT {_FOUND} FROM sessions WHERE digest = ? AND reason IS NULL",  # noqa: S608
                (digest,),
            ).fetchone()
            for digest in digests
        )
        return [Found(*row) for row in rows if row is not None]

    def _not_ended(self, digest: bytes) -> Record | None:
        row = self.db.execute(
            f"SELECT {RECORD_COLUMNS} FROM sessions WHERE digest = ? AND reason IS NULL",  # noqa: S608
            (digest,),
        ).fetchone()
        if row is None:
            return None
        record = Record(*row)
        later = self.unwritten.get(digest, 0)
        return replace(record, expires_at=later) if later > record.expires_at else record

    def _live(self, now: int, digest: bytes) -> Record:
        record = self._not_ended(digest)
        if record is None or record.expires_at <= now:
            raise NoSession("no live session has this id")
        return record

    def _deadline(self, session: Found) -> int:
        return max(session.expires_at, self.unwritten.get(session.digest, 0))


def deadline(now: int, ttl_ms: int, ends_at: int | None) -> int:
    """When a session ends that is extended now."""
    return now + ttl_ms if ends_at is None else min(now + ttl_ms, ends_at)


def extended(record: Record, now: int) -> Record | None:
    """The record, extended; None if less than a third of its ttl is gone, or nothing gained."""
    if (record.expires_at - now) * 3 > record.ttl_ms * 2:
        return None
    expires_at = deadline(now, record.ttl_ms, record.ends_at)
    if expires_at <= max(record.expires_at, now):  # Or past `ends_at`.
        return None
    return replace(record, expires_at=expires_at)
