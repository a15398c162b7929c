"""
Which sessions are due, without asking each actor.

The deadline of a session is in its actor's hash slot, and nobody can ask all
slots what is due. So a session is also noted in one of a fixed number of
shards, by when to look at it. That is a hint. An extension does not touch it:
when the session comes up, the actor is asked, and either the session ends or
it is noted anew. Any shard will do, so it is one on the actor's own server:
opening a session depends on that server alone.

A node leases what it looks at: others pass it over. If the node dies, the lease
runs out and another one looks. Nothing depends on that for being done once:
the actor's script ends a session only if it has not ended.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from keystay_protocol.errors import Unavailable
from keystay_server.stores.base import NewSession
from keystay_server.stores.redis import scripts
from keystay_server.stores.redis.batches import each
from keystay_server.stores.redis.layout import due_key, due_name, read_due_name, root_of
from keystay_server.stores.redis.wire import Word

SHARDS = (10, 3, 61, 43, 11, 2, 60, 42, 12, 1, 63, 41, 13, 0, 62, 40)
"""
What stands in braces, and so decides the hash slot: one in each sixteenth of the
slots. All nodes must agree, and sessions outlive nodes: this never changes.
"""
LEASE_MS = 700
TAKEN_AT_ONCE = 256
"""From each shard."""

Run = Callable[..., Awaitable[Any]]
"""`Servers.run`, and a write that the feed tells of."""
Beside = Callable[[str, Sequence[str]], Sequence[str]]
"""`Servers.beside`."""


@dataclass(frozen=True, slots=True)
class _Due:
    """A session that this node looks at, under a lease."""

    shard: str
    lease: bytes
    name: bytes


class DueIndex:
    """The sessions by when they are due."""

    def __init__(self, prefix: str, run: Run, write: Run, beside: Beside) -> None:
        self._prefix = prefix
        self._run = run
        self._write = write
        self._beside = beside
        self._shards = [due_key(prefix, shard) for shard in SHARDS]

    async def add(self, new: NewSession) -> None:
        """Note a session that is about to be opened. If it is not, it is dropped when due."""
        near = self._beside(root_of(self._prefix, new.actor_id), self._shards)
        shard = near[crc32(new.actor_id.encode()) % len(near)]
        left_ms = new.ttl_ms if new.max_age_ms is None else min(new.ttl_ms, new.max_age_ms)
        name = due_name(new.actor_id, new.digest)
        await self._run(scripts.DUE_ADD, shard, name, left_ms, new.ttl_ms)

    async def expire(self) -> list[int | None]:
        """
        End what is due, as `Store.expire` says.

        Servers that are out of reach do not hold up the others.

        Raises:
            Unavailable: If there are such servers, and nothing was done on the others.
        """
        while True:
            found = await each(self._lease, self._shards)
            due = [one for some in found if not isinstance(some, Unavailable) for one in some]
            answers = await each(self._expire, due)
            released = await each(self._release, _by_shard(due, answers))
            done = [_late_ms(*a) for a in answers if isinstance(a, list)]
            if done:
                return done
            for answer in (*found, *answers, *released):
                if isinstance(answer, Unavailable):
                    raise answer
            # Sessions that had ended before do not count, but more may wait behind them.
            if not due:
                return []

    async def _lease(self, shard: str) -> list[_Due]:
        match await self._run(scripts.DUE_LEASE, shard, LEASE_MS, TAKEN_AT_ONCE):
            case [lease, *names]:
                return [_Due(shard, lease, name) for name in names]
        return []

    async def _expire(self, due: _Due) -> Any:
        """What `expire.lua` returns."""
        actor_id, digest = read_due_name(due.name)
        return await self._write(scripts.EXPIRE, actor_id, digest.hex(), events_from=2)

    async def _release(self, words: Sequence[Word]) -> None:
        shard, *rest = words
        await self._run(scripts.DUE_RELEASE, shard, *rest)


def _late_ms(left_ms: int, _ttl_ms: int, *events: bytes) -> int | None:
    """How late the session was ended; None if it was not."""
    return -left_ms if events else None


def _by_shard(due: Sequence[_Due], answers: Sequence[Any]) -> list[list[Word]]:
    """For each shard its name and lease, and what became of the sessions."""
    words: dict[str, list[Word]] = {}
    for one, answer in zip(due, answers, strict=True):
        # What is unknown comes up again when the lease runs out.
        if not isinstance(answer, Unavailable):
            match answer:
                case [int(left_ms), int(ttl_ms)]:
                    when: tuple[Word, Word] = (left_ms, ttl_ms)
                case _:
                    when = ("", "")
            shard = words.setdefault(one.shard, [one.shard, one.lease])
            shard += [one.name, *when]
    return list(words.values())
