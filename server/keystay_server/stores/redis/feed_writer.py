"""
How the feed of all actors is written, although a script can write to one hash slot only.

An actor's write is one script in the actor's slot, and the feed is elsewhere: in
sixteen parts, each a log. So a node first leaves a mark in the part that is the
actor's, then writes, and then appends what the write brought to the log and
takes the mark away. What a node did not come to do in time, another one does:
it finds the mark, and the events in the actor's history (`feed_relay`).

An event is appended only if it follows on the last one of its actor that was,
and one that was is not appended again: every node may append what it knows.
If there is something in between, that is read from the history first.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.crc import key_slot

from keystay_protocol.errors import Unavailable
from keystay_server.stores.redis import scripts
from keystay_server.stores.redis.batches import each
from keystay_server.stores.redis.due import SHARDS, Run
from keystay_server.stores.redis.layout import feed_root, read_head, root_of
from keystay_server.stores.redis.servers import Servers
from keystay_server.stores.redis.tuning import RelayTuning
from keystay_server.stores.redis.wire import Word

MAX_WAITING = 10_000
"""What is beyond is left to the relay: its marks are there."""

_AT_ONCE = 256
_SLOTS_TO_A_PART = 16_384 // len(SHARDS)
_LOST = b""

log = logging.getLogger("keystay.store")

History = Callable[[str, int], Awaitable[Any]]
"""What `history.lua` returns for an actor and a cursor."""


@dataclass(frozen=True, slots=True)
class Item:
    """What there is to append of an actor: all events after a cursor, up to another."""

    actor_id: str
    after: int = 0
    upto: int = 0
    mark: bytes = b""
    """The mark that is done with."""
    events: Sequence[tuple[bytes, bytes]] = ()
    """The cursor of each, and the event."""

    @property
    def words(self) -> list[Word]:
        """As `feed_append.lua` takes it."""
        words: list[Word] = [self.actor_id, self.after, self.upto, self.mark, len(self.events)]
        for event in self.events:
            words += event
        return words


@dataclass(frozen=True, slots=True)
class Mark:
    """What was noted before a write, in the part of the feed that is the actor's."""

    part: str
    id: "asyncio.Future[bytes]"


class FeedWriter:
    """
    Writes to the feed what this node does.

    Args:
        keep: How many entries to keep.
    """

    def __init__(
        self, prefix: str, servers: Servers, run: Run, history: History, keep: int
    ) -> None:
        self._prefix = prefix
        self._servers = servers
        self._run = run
        self._history = history
        self._keep = max(1, keep // len(SHARDS))
        self._waiting: dict[str, list[Item]] = {}
        self._number = 0
        self._is_more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.parts = [feed_root(prefix, shard) for shard in SHARDS]

    def start(self, tuning: RelayTuning) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write(tuning.gather_s), name="write the feed")

    async def stop(self) -> None:
        """Write what waits, and stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._flush()

    async def mark(self, actor_id: str) -> Mark:
        """
        Note that something is about to happen to the actor.

        Whatever is then sent about it, in the same turn of the loop, happens after that.

        Raises:
            Unavailable: If it is not noted. Nothing must be written then.
        """
        root = root_of(self._prefix, actor_id)
        part = self._part_of(root)
        if self._servers.are_together(root, part):
            return Mark(part, self._servers.post(scripts.FEED_MARK, part, actor_id))
        noted: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        noted.set_result(await self._servers.run(scripts.FEED_MARK, part, actor_id))
        return Mark(part, noted)

    def written(self, actor_id: str, mark: Mark, events: Sequence[bytes]) -> None:
        """Append what the write that was marked brought: its events, or none."""
        id_ = mark.id
        # A server that has no room for a mark may still end a session.
        is_marked = id_.done() and not id_.cancelled() and id_.exception() is None
        if self._number >= MAX_WAITING or not (is_marked or events):
            return
        item = _item(actor_id, id_.result() if is_marked else b"", events)
        self._waiting.setdefault(mark.part, []).append(item)
        self._number += 1
        self._is_more.set()

    async def append(self, part: str, items: Sequence[Item]) -> None:
        """
        Append to the log, with what lies between.

        Raises:
            Unavailable: If it is not known to have been appended.
        """
        gaps = await self._append(part, items)
        missing: dict[str, tuple[Item, int]] = {}
        rest: list[Item] = []
        for index, done in zip(gaps[::2], gaps[1::2], strict=True):
            item = items[index]
            if item.actor_id in missing:  # The first brings the events of the others too.
                rest.append(Item(item.actor_id, mark=item.mark))
            else:
                missing[item.actor_id] = (item, int(done))
        filled = await each(self._filled, list(missing.values()))
        # In this order: a mark goes only after the events that it stands for.
        whole = [item for item in filled if not isinstance(item, Unavailable)]
        found = {item.actor_id for item in whole}
        if whole:
            await self._append(part, [*whole, *(i for i in rest if i.actor_id in found)])

    async def missed(self, actor_id: str, after: int, mark: bytes = b"") -> Item:
        """What the actor's history knows after a cursor, and whether it forgot something."""
        _, events, newest = await self._history(actor_id, after)
        heads = [read_head(event) for event in events]
        told = [
            (cursor, event)
            for (cursor, _, is_session), event in zip(heads, events, strict=True)
            if is_session
        ]
        if heads and heads[0][1] > after:
            told.insert(0, (str(heads[0][1]).encode(), _LOST))
        elif not heads and int(newest) > after:
            told = [(newest, _LOST)]
        return Item(actor_id, after, int(newest), mark, told)

    async def _filled(self, gap: tuple[Item, int]) -> Item:
        item, done = gap
        return await self.missed(item.actor_id, done, item.mark)

    async def _append(self, part: str, items: Sequence[Item]) -> list[Any]:
        words = [word for item in items for word in item.words]
        gaps: list[Any] = await self._run(scripts.FEED_APPEND, part, self._keep, *words)
        return gaps

    async def _write(self, gather_s: float) -> None:
        while True:
            await self._is_more.wait()
            await asyncio.sleep(gather_s)
            try:
                await self._flush()
            except Exception:
                log.exception("a part of the feed is left to the relay")

    async def _flush(self) -> None:
        waiting, self._waiting, self._number = self._waiting, {}, 0
        self._is_more.clear()
        batches = [
            (part, items[start : start + _AT_ONCE])
            for part, items in waiting.items()
            for start in range(0, len(items), _AT_ONCE)
        ]
        # What fails is found by its marks.
        await each(lambda batch: self.append(*batch), batches)

    def _part_of(self, root: str) -> str:
        """
        The part that is the actor's, for ever.

        It is in the same sixteenth of the slots as the actor: mostly on the same server.
        """
        return self.parts[key_slot(root.encode()) // _SLOTS_TO_A_PART]


def _item(actor_id: str, mark: bytes, events: Sequence[bytes]) -> Item:
    if not events:
        return Item(actor_id, mark=mark)
    heads = [read_head(event) for event in events]
    told = [(cursor, event) for (cursor, _, _), event in zip(heads, events, strict=True)]
    return Item(actor_id, heads[0][1], int(heads[-1][0]), mark, told)
