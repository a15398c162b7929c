"""
All sessions in memory: what is committed, and the deadlines that run ahead of the file.

Invariant: only the event loop changes this. The writer's thread reads
`unwritten` alone, and no operation ends a session whose deadline in there is
still to come.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import Expired, NoSession, session_ended
from keystay_server.stores.records import Record
from keystay_server.stores.retention import Retention
from keystay_server.stores.sqlite.operations import extended
from keystay_server.stores.sqlite.outcome import Entry, Outcome, Tombstone


@dataclass(slots=True)
class _Actor:
    """An actor that has sessions which were not ended."""

    newest: int = 0
    """Cursor of the newest event."""
    digests: dict[str, bytes] = field(default_factory=dict)
    """Those sessions, by id."""


class Memory:
    """Sessions by digest, and those that were not ended by actor and id."""

    def __init__(self, retention: Retention) -> None:
        self._retention = retention
        self._entries: dict[bytes, Entry] = {}
        self._actors: dict[str, _Actor] = {}
        self.unwritten: dict[bytes, int] = {}
        """Deadlines that are still to be written, by digest."""
        self.refused: dict[bytes, str] = {}
        """Sessions that were to end while the disk refused to write, and why: by digest."""

    def fill(self, entries: dict[bytes, Entry], newest: dict[str, int]) -> None:
        """Take what was read from the file at the start."""
        self._entries = entries
        for digest, entry in entries.items():
            if isinstance(entry, Record):
                actor = self._actors.setdefault(entry.actor_id, _Actor())
                actor.digests[entry.id] = digest
        for actor_id, cursor in newest.items():
            self._actors[actor_id].newest = cursor

    def learn(self, outcome: Outcome) -> None:
        """Take what was committed."""
        for digest, entry in outcome.entries.items():
            if isinstance(entry, Record):
                self._learn_record(digest, entry)
            else:
                self._learn_end(digest, entry)
        for event in outcome.events:
            if event.actor_id in self._actors:
                self._actors[event.actor_id].newest = event.cursor
        self.forget(outcome.forgotten)

    def forget(self, digests: Collection[bytes]) -> None:
        """Drop tombstones that were deleted."""
        for digest in digests:
            self._entries.pop(digest, None)

    def peek(self, digest: bytes, now: int) -> Record | None:
        """The session that the key opens if it is live; None also tells nothing about why."""
        entry = self._entries.get(digest)
        if type(entry) is not Record or now >= entry.expires_at or digest in self.refused:
            return None
        return entry

    def live(self, actor_id: str, digest: bytes, now: int) -> Record:
        """
        Return the live session that the key opens.

        Raises:
            NoSession, SessionEnded: What `Store.check` says.
        """
        entry = self._entries.get(digest)
        if entry is None or entry.actor_id != actor_id:
            raise NoSession
        if isinstance(entry, Tombstone):
            if now >= entry.ended_at + self._retention.tombstone_ms:
                raise NoSession
            raise session_ended(entry.reason)
        if digest in self.refused:
            raise session_ended(self.refused[digest])
        if now >= entry.expires_at:
            raise Expired
        return entry

    def records(self, digests: Collection[bytes], now: int) -> list[Record]:
        """Those of the sessions that are live."""
        found = (self._not_ended(digest) for digest in digests)
        return [record for record in found if record is not None and record.expires_at > now]

    def digest_of(
        self, actor_id: str, session_id: str, *, even_refused: bool = False
    ) -> bytes | None:
        """The digest of a session that was not ended, if there is one."""
        actor = self._actors.get(actor_id)
        digest = None if actor is None else actor.digests.get(session_id)
        return None if digest in self.refused and not even_refused else digest

    def newest(self, actor_id: str) -> int:
        """The newest cursor of an actor that has live sessions."""
        return self._actors[actor_id].newest

    def extend(self, digest: bytes, now: int) -> Record | None:
        """Extend a session if that is due; how it is now, or None if it has ended."""
        record = self._not_ended(digest)
        if record is None:
            return None
        later = extended(record, now)
        if later is None:
            return record
        self._entries[digest] = later
        self.unwritten[digest] = later.expires_at
        return later

    def is_overdue(self, digest: bytes, now: int) -> bool:
        """Whether a deadline has passed and the session was not ended."""
        record = self._not_ended(digest)
        return record is not None and record.expires_at <= now

    def written(self, deadlines: Collection[tuple[bytes, int]]) -> None:
        """Strike off deadlines that are in the file now."""
        for digest, expires_at in deadlines:
            if self.unwritten.get(digest) == expires_at:
                del self.unwritten[digest]

    def refuse(
        self, actor_id: str, session_id: str | None, scope: LogoutScope, reason: str
    ) -> None:
        """Refuse the keys that an `end` was about, as the disk refused to write it."""
        actor = self._actors.get(actor_id)
        for id_, digest in ({} if actor is None else actor.digests).items():
            is_asking = id_ == session_id
            is_meant = scope is LogoutScope.ALL or is_asking is (scope is LogoutScope.THIS)
            if is_meant and self._not_ended(digest) is not None:
                self.refused[digest] = reason

    def _not_ended(self, digest: bytes) -> Record | None:
        entry = self._entries.get(digest)
        return entry if isinstance(entry, Record) and digest not in self.refused else None

    def _learn_record(self, digest: bytes, record: Record) -> None:
        old = self._entries.get(digest)
        if isinstance(old, Record) and old.expires_at > record.expires_at:
            # It was extended here while the operation was under way.
            record = replace(record, expires_at=old.expires_at)
        self._entries[digest] = record
        self._actors.setdefault(record.actor_id, _Actor()).digests[record.id] = digest

    def _learn_end(self, digest: bytes, tombstone: Tombstone) -> None:
        old = self._entries.get(digest)
        self._entries[digest] = tombstone
        self.unwritten.pop(digest, None)
        self.refused.pop(digest, None)
        if isinstance(old, Record):
            actor = self._actors[old.actor_id]
            del actor.digests[old.id]
            if not actor.digests:
                del self._actors[old.actor_id]
