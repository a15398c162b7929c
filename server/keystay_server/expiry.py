"""
Sessions end at their deadline, and live on while they are held.

Two tasks for the whole node, none for a session. One has the store end what is
over, again and again: the nodes share that work, and the store announces these
ends as it announces any other. The other has the store extend the sessions
that are bound here, each at a random time of its own, many at once.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from enum import StrEnum

from keystay_protocol.errors import Unavailable
from keystay_server.audience import Seat
from keystay_server.hub import Hub
from keystay_server.keys import digest_of
from keystay_server.stores.base import Holding, Store
from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.durations import clock

EXPIRE_EVERY_S = 0.25
TOUCH_EVERY_S = 0.25
AT_ONCE = 500

log = logging.getLogger("keystay.expiry")


class Activity(StrEnum):
    """What keeps a session alive, beside restoring it."""

    CONNECTION = "connection"
    """A connection that is bound to it."""
    COMMANDS = "commands"
    """A bound connection that sends commands."""
    NONE = "none"


class Expiry:
    """Ends sessions at their deadline, and extends those that are held on this node."""

    def __init__(
        self, store: Store, hub: Hub, activity: Activity, counts: Counts | None = None
    ) -> None:
        self._store = store
        self._hub = hub
        self._activity = activity
        self._counts = counts or Counts()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin. What became due while no node was running is made up for at once."""
        self._counts.none_overdue_at = clock()
        self._tasks = [
            asyncio.create_task(_repeat(self._expire, EXPIRE_EVERY_S), name="expire sessions")
        ]
        if self._activity is not Activity.NONE:
            self._tasks.append(
                asyncio.create_task(_repeat(self._touch, TOUCH_EVERY_S), name="touch sessions")
            )

    async def stop(self) -> None:
        """Stop both tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _expire(self) -> None:
        while True:
            asked_at = clock()
            found = await self._store.expire()
            for late_ms in found:
                if late_ms is not None:
                    self._counts.expiry_late.add(late_ms / 1000)
            if not found:
                self._counts.none_overdue_at = asked_at
                return

    async def _touch(self) -> None:
        now = asyncio.get_running_loop().time()
        held: dict[bytes, Holding] = {}
        for number, seat in enumerate(self._hub.bound_seats()):
            if self._is_due(seat, now):
                digest = digest_of(seat.key)
                held[digest] = Holding(seat.audience.actor_id, digest)
            if len(held) == AT_ONCE:
                await self._store.touch(list(held.values()))
                held.clear()
            elif number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)  # Commands go first.
        if held:
            await self._store.touch(list(held.values()))

    def _is_due(self, seat: Seat, now: float) -> bool:
        if now < seat.touch_at:
            return False
        is_first, peer = seat.touch_at == 0, seat.peer
        # Not before a third of the ttl, which the store would not write, and soon enough to
        # be late once. At random: sessions that were opened together do not stay together.
        seat.touch_at = now + seat.ttl_s * random.uniform(1 / 3, 1 / 2)  # noqa: S311
        is_active = peer.has_spoken or self._activity is Activity.CONNECTION
        peer.has_spoken = False
        return is_active and not is_first


async def _repeat(step: Callable[[], Awaitable[None]], every_s: float) -> None:
    """Take the step for ever, at times that differ from node to node, whatever it raises."""
    while True:
        try:
            await step()
        except Unavailable:
            pass  # The store says in the log when it is away, and when it is back.
        except Exception:
            log.exception("the life of sessions is not watched over for a moment")
        await asyncio.sleep(every_s * random.uniform(0.5, 1.0))  # noqa: S311
