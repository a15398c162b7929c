"""
The feed is read from the logs of the partitions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from keystay_protocol.errors import Unavailable
from keystay_server.stores.events import Emitted, FeedEntry, FeedPage
from keystay_server.stores.position import Position
from keystay_server.stores.redis.batches import each
from keystay_server.stores.redis.encoding import decode_event
from keystay_server.stores.redis.wire import Word


class ReadLog(Protocol):
    """Runs `feed.lua` on a partition: the number to read after, and how many entries."""

    async def __call__(self, partition: int, after: Word, most: int) -> Any: ...


class _Entry(NamedTuple):
    entry: FeedEntry
    previous: int
    """The number before it in its log, which a position without it has."""


async def newest_position(read: ReadLog, partitions: int) -> Position:
    """
    The position at the end of the feed.

    Raises:
        Unavailable: If a partition is out of reach.
    """
    answers = await _each(read, [(partition, "", 0) for partition in range(partitions)])
    return tuple(upto for _, upto, *_ in answers)


async def read_feed(
    read: ReadLog, newest: Callable[[int], int | None], after: Position, most: int
) -> FeedPage:
    """
    Read entries: what `Store.read_feed` says, of a position with a number for each partition.

    Args:
        newest: Tells the newest number of a partition, if that is known. One that
            was read up to there is not read.

    Raises:
        Unavailable: If a partition is out of reach.
    """
    position, is_complete = list(after), True
    entries: list[_Entry] = []
    # What many actors do is spread over the partitions; a busy one is read again.
    unread = [
        partition for partition in range(len(after)) if newest(partition) != after[partition]
    ]
    while unread and len(entries) < most:
        share = (most - len(entries)) // len(unread) + 1
        answers = await _each(read, [(p, position[p], share) for p in unread])
        busy: list[int] = []
        for partition, (complete, upto, more, *found) in zip(unread, answers, strict=True):
            is_complete = is_complete and complete == 1
            position[partition] = upto
            entries += _entries(partition, found)
            if more:
                busy.append(partition)
        unread = busy
    # Numbers are times: the oldest first, and those of a partition in their order.
    entries.sort(key=lambda entry: entry.entry.number)
    is_end = not unread and len(entries) <= most
    for cut in reversed(entries[most:]):
        position[cut.entry.log] = cut.previous
    page = [entry.entry for entry in entries[:most]]
    return FeedPage(page, tuple(position), is_complete, is_end)


async def _each(read: ReadLog, what: list[tuple[int, Word, int]]) -> list[Any]:
    answers: list[Any] = []
    for answer in await each(lambda words: read(*words), what):
        if isinstance(answer, Unavailable):
            raise answer
        answers.append(answer)
    return answers


def _entries(partition: int, found: list[bytes]) -> list[_Entry]:
    entries: list[_Entry] = []
    for i in range(0, len(found), 4):
        number, previous, actor, event = found[i : i + 4]
        stored = decode_event(actor.decode(), event)
        assert not isinstance(stored.change, Emitted)
        entry = FeedEntry(partition, int(number), stored.actor_id, stored.cursor, stored.change)
        entries.append(_Entry(entry, int(previous)))
    return entries
