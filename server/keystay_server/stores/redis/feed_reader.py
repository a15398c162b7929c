"""
How the feed is read: the entries of all parts, and where that has led to.
"""

from typing import Any

from keystay_protocol.errors import Unavailable
from keystay_server.stores.base import Emitted, FeedEntry, FeedPage
from keystay_server.stores.position import Position
from keystay_server.stores.redis import scripts
from keystay_server.stores.redis.batches import each
from keystay_server.stores.redis.due import Run
from keystay_server.stores.redis.layout import decode_event


async def read_feed(run: Run, parts: list[str], after: Position | None, most: int) -> FeedPage:
    """
    Read entries: what `Store.read_feed` says.

    Raises:
        Unavailable: If a part is out of reach.
    """
    is_ours = after is None or len(after) == len(parts)
    start: list[Any] = list(after) if after and is_ours else [0 if after else ""] * len(parts)
    # What many actors do is spread over the parts.
    share = most // len(parts) * 2 + 1

    async def read(part: int) -> Any:
        return await run(scripts.FEED_READ, parts[part], start[part], share)

    answers: list[Any] = []
    for answer in await each(read, range(len(parts))):
        if isinstance(answer, Unavailable):
            raise answer
        answers.append(answer)
    entries = [
        _entry(part, *words) for part, (_, _, found) in enumerate(answers) for words in found
    ]
    # Numbers are times: the oldest first, and those of a part in their order.
    entries.sort(key=lambda entry: entry.number)
    is_end = len(entries) <= most and all(len(found) < share for _, _, found in answers)
    position = [int(upto) for _, upto, _ in answers]
    for entry in reversed(entries[most:]):
        # Back to before it. Numbers are whole: whatever is before has a smaller one.
        position[entry.log] = entry.number - 1
    is_complete = is_ours and all(complete == 1 for complete, _, _ in answers)
    return FeedPage(entries[:most], tuple(position), is_complete, is_end)


def _entry(part: int, number: bytes, actor: bytes, event: bytes) -> FeedEntry:
    actor_id = actor.decode()
    if not event:
        return FeedEntry(part, int(number), actor_id, 0, None)
    stored = decode_event(actor_id, event)
    assert not isinstance(stored.change, Emitted)
    return FeedEntry(part, int(number), actor_id, stored.cursor, stored.change)
