"""
All servers are asked to end what is due, side by side.

A server that does not answer holds up no other: it is not waited for, and not
asked again before it has answered.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.exceptions import ResponseError

from keystay_protocol.errors import Unavailable
from keystay_server.stores.base import END_STEP
from keystay_server.stores.redis.batches import each
from keystay_server.stores.redis.scripts import EXPIRE, SWEEP
from keystay_server.stores.redis.tuning import ExpiryTuning
from keystay_server.stores.redis.wire import Word

SCRIPT_STEP = END_STEP // 4
"""Sessions that one script ends at most: about 1 ms, in which a server does nothing else."""

SWEEP_STEP = 64
"""Partitions that one script looks at."""


class Expiry:
    """
    The asking.

    Args:
        run: Runs a script below a root.
        words: What `expire.lua` takes, up to how many sessions it ends at most.
        log_ms: How old an entry of a log may be.
    """

    def __init__(
        self,
        run: Callable[..., Awaitable[Any]],
        words: Sequence[Word],
        log_ms: int,
        tuning: ExpiryTuning,
    ) -> None:
        self._run = run
        self._tuning = tuning
        # As `_sweep.lua` takes them.
        self._times = (tuning.absent_ms, tuning.grace_ms, tuning.sweep_ms, log_ms)
        self._words = (*words, *self._times)
        self._asked: dict[tuple[str, ...], asyncio.Task[list[int]]] = {}

    async def expire(self, servers: Sequence[Sequence[str]]) -> list[int]:
        """
        End what is due; return by how many milliseconds each was late.

        Args:
            servers: The roots of the partitions on each server.

        Raises:
            Unavailable: If nothing was ended, and some server could not be asked.
        """
        for roots in map(tuple, servers):
            if roots not in self._asked:
                self._asked[roots] = asyncio.create_task(self._ask(roots))
        await asyncio.wait(self._asked.values(), timeout=self._tuning.patience_s)
        late: list[int] = []
        error: Unavailable | None = None
        for roots, task in list(self._asked.items()):
            if task.done():
                del self._asked[roots]
                try:
                    late += task.result()
                except Unavailable as unavailable:
                    error = unavailable
        if error is not None and not late:
            raise error
        return late

    async def stop(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._asked.values(), return_exceptions=True)
        self._asked.clear()

    async def _ask(self, roots: Sequence[str]) -> list[int]:
        """End what is due in partitions of one server."""
        late: list[int] = []
        error: Unavailable | None = None
        for answer in await each(self._ask_one, await self._to_be_asked(roots)):
            if isinstance(answer, Unavailable):
                error = answer
            else:
                late += answer
        if error is not None and not late:
            raise error
        return late

    async def _to_be_asked(self, roots: Sequence[str]) -> list[str]:
        """Note that all are asked; return those that have something due."""
        found: list[str] = []
        for start in range(0, len(roots), SWEEP_STEP):
            some = roots[start : start + SWEEP_STEP]
            try:
                indexes = await self._run(some[0], SWEEP, *self._times, *some)
            except Unavailable as error:
                if not isinstance(error.__cause__, ResponseError):
                    raise
                # One is on its way to another node: one script cannot read all of them then.
                found += some
            else:
                found += [some[i] for i in indexes]
        return found

    async def _ask_one(self, root: str) -> list[int]:
        late: list[int] = []
        while len(late) < END_STEP:
            ended = await self._run(root, EXPIRE, *self._words)
            late += ended
            if len(ended) < SCRIPT_STEP:
                break
        return late
