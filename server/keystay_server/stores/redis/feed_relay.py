"""
What a node left undone, another one does.

A mark that is older than its node may take for a write is looked at: the events
of its actor are read from the history, and those that are not in the log are
appended. The write may still come, from a line that was held up: so the mark
stays for a while, and is looked at once more before it goes.

One node at a time looks at a part of the feed. Nothing depends on that but the
work it saves.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from keystay_protocol.errors import Unavailable
from keystay_server.stores.redis import scripts
from keystay_server.stores.redis.batches import each
from keystay_server.stores.redis.due import Run
from keystay_server.stores.redis.feed_writer import FeedWriter, Item
from keystay_server.stores.redis.tuning import RelayTuning

_AT_ONCE = 256

log = logging.getLogger("keystay.store")


@dataclass(frozen=True, slots=True)
class _Mark:
    id: bytes
    actor_id: str
    done: int | None
    """The cursor up to which the actor is done; None if nobody knows what was lost."""


class FeedRelay:
    """Appends to the feed what other nodes wrote and did not append."""

    def __init__(self, writer: FeedWriter, run: Run, tuning: RelayTuning) -> None:
        self._writer = writer
        self._run = run
        self._tuning = tuning
        self._node_id = token_hex(8)
        # By part: the newest mark that was looked at.
        self._looked: dict[str, bytes] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. What was left while no node was running comes first."""
        self._task = asyncio.create_task(self._relay(), name="relay what was left")

    async def stop(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _relay(self) -> None:
        while True:
            try:
                looks = await each(self._look, self._writer.parts)
            except Exception:
                log.exception("what was left of the feed is not looked after for a moment")
                looks = []
            if not any(is_more is True for is_more in looks):
                await asyncio.sleep(self._tuning.check_s * random.uniform(0.5, 1.0))  # noqa: S311

    async def _look(self, part: str) -> bool:
        """Do what was left in the part; whether there may be more."""
        tuning, looked = self._tuning, self._looked.get(part, b"0")
        ages = (tuning.lease_ms, tuning.grace_ms, tuning.final_ms)
        old, young = map(
            _read_marks,
            await self._run(scripts.FEED_STALE, part, self._node_id, *ages, looked, _AT_ONCE),
        )
        # Those of the same actor are one thing, as long as none of them goes.
        once = list({mark.actor_id: mark for mark in young}.values())
        gone = await each(self._item, old)
        found = await each(self._seen, once)
        items = [item for item in (*found, *gone) if not isinstance(item, Unavailable)]
        if items:
            await self._writer.append(part, items)
        if any(isinstance(item, Unavailable) for item in (*found, *gone)):
            return False
        if young:
            self._looked[part] = young[-1].id
        return _AT_ONCE in (len(old), len(young))

    async def _item(self, mark: _Mark) -> Item:
        if mark.done is None:
            return Item(mark.actor_id, mark=mark.id, events=[(b"", b"")])
        return await self._writer.missed(mark.actor_id, mark.done, mark.id)

    async def _seen(self, mark: _Mark) -> Item:
        if mark.done is None:
            return Item(mark.actor_id)
        return await self._writer.missed(mark.actor_id, mark.done)


def _read_marks(words: Sequence[Any]) -> list[_Mark]:
    return [
        _Mark(id_, actor.decode(), int(done) if done else None)
        for id_, actor, done in zip(words[::3], words[1::3], words[2::3], strict=True)
    ]
