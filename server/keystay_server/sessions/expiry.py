"""
Ends sessions at their deadline, and extends those that are held.

One task for the whole node, none per session. Each step has the store extend the
sessions that are bound here, each at a random time, many in one call; then it has
the store end the sessions that are due. The nodes share that work.

Invariant: a session that is bound here is extended before this node ends anything,
however long the process or the store was away. An extension that fails is tried
again as long as the session is bound.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from enum import StrEnum

from keystay_protocol.errors import Unavailable
from keystay_server.delivery.bindings import Binding, Peer
from keystay_server.delivery.hub import Hub
from keystay_server.stores.base import Store
from keystay_server.stores.records import Holding, digest_of
from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.durations import clock
from keystay_server.timing.backoff import jittered_s
from keystay_server.timing.tasks import Background, attempt

STEP_EVERY_S = 0.25
AT_ONCE = 500
BATCHES_AT_ONCE = 8
STOPPED_S = 1.0
"""A step that took longer may have been interrupted: the process was suspended."""


class Activity(StrEnum):
    """What extends a session, besides restoring it."""

    CONNECTION = "connection"
    """A bound connection."""
    COMMANDS = "commands"
    """A bound connection that sends commands."""
    NONE = "none"


class Expiry:
    """Ends sessions that are due, and extends those that are held on this node."""

    def __init__(
        self, store: Store, hub: Hub, activity: Activity, counts: Counts | None = None
    ) -> None:
        self._store = store
        self._hub = hub
        self._activity = activity
        self._counts = counts or Counts()
        # To be extended as soon as the store can.
        self._overdue: set[Binding] = set()
        self._has_more = False
        self._wake = asyncio.Event()
        self._clocks_apart_s = time.time() - time.monotonic()
        self._running = Background(self._run, "extend and expire sessions")

    def start(self) -> None:
        """Start. Sessions that became due while no node was running are ended at once."""
        self._counts.none_overdue_at = clock()
        self._running.start()

    async def stop(self) -> None:
        """Stop."""
        await self._running.stop()

    def on_activity(self, peer: Peer) -> None:
        """Extend the session now if it is time: its connection sent a command."""
        binding = peer.binding
        if binding is None or self._activity is not Activity.COMMANDS:
            return
        if binding.extend_at <= time.monotonic():
            self._note(binding)
            self._wake.set()

    async def extend_held(self, actor_id: str, is_meant: Callable[[Binding], bool]) -> bool:
        """
        Extend a session of the actor that is held here although its deadline passed.

        Its extension could not be written in time: the process or the store was away.
        Returns whether there is such a session.

        Raises:
            Unavailable: If it still cannot be written.
        """
        for binding in self._hub.bindings_of(actor_id):
            is_held = self._activity is Activity.CONNECTION or binding in self._overdue
            if is_held and is_meant(binding):
                await self._store.touch([Holding(actor_id, digest_of(binding.key))])
                return True
        return False

    async def _run(self) -> None:
        while True:
            begun = time.time()
            await attempt(self._extend, self._running.name)
            if time.time() - begun > STOPPED_S:
                # A session that was not due for extension then may be over by now.
                await attempt(self._extend, self._running.name)
            self._has_more = False
            await attempt(self._expire, self._running.name)
            if not self._has_more:
                await self._pause()

    async def _pause(self) -> None:
        """Wait for the next step; extend meanwhile the sessions that become active."""
        loop = asyncio.get_running_loop()
        until = loop.time() + jittered_s(STEP_EVERY_S, 0.5)
        while True:
            try:
                async with asyncio.timeout_at(until):
                    await self._wake.wait()
            except TimeoutError:
                return
            self._wake.clear()
            await attempt(self._send, self._running.name)

    async def _extend(self) -> None:
        if self._activity is Activity.NONE:
            return
        now, is_enough = time.monotonic(), self._activity is Activity.CONNECTION
        if self._was_suspended():
            now = math.inf
        for number, binding in enumerate(self._hub.bindings(), 1):
            if now >= binding.extend_at and (is_enough or binding.peer.has_sent):
                self._note(binding)
            if number % AT_ONCE == 0:
                await self._send()
                await asyncio.sleep(0)  # Commands go first.
        await self._send()

    def _was_suspended(self) -> bool:
        """Whether the host was: time passed that the monotonic clock did not count."""
        before, self._clocks_apart_s = self._clocks_apart_s, time.time() - time.monotonic()
        return self._clocks_apart_s - before > STOPPED_S

    def _note(self, binding: Binding) -> None:
        binding.schedule_extension()
        binding.peer.has_sent = False
        self._overdue.add(binding)

    async def _send(self) -> None:
        """Have the noted sessions extended; those that fail stay noted."""
        noted = list(self._overdue)
        batches = [noted[i : i + AT_ONCE] for i in range(0, len(noted), AT_ONCE)]
        for i in range(0, len(batches), BATCHES_AT_ONCE):
            # Each by itself: a part of the store that is out of reach delays no other.
            await asyncio.gather(*map(self._touch, batches[i : i + BATCHES_AT_ONCE]))

    async def _touch(self, some: Sequence[Binding]) -> None:
        held = {digest_of(each.key): each.stream.actor_id for each in some}
        try:
            await self._store.touch([Holding(actor, digest) for digest, actor in held.items()])
        except Unavailable:
            # A connection that closed meanwhile holds nothing.
            self._overdue.difference_update([each for each in some if not each.is_bound])
        else:
            self._overdue.difference_update(some)

    async def _expire(self) -> None:
        """End a step of what is over; sessions held here are extended before the next one."""
        asked_at = clock()
        ended = await self._store.expire()
        for late_ms in ended:
            self._counts.expiry_late.add(late_ms / 1000)
        self._has_more = bool(ended)
        if not ended:
            self._counts.none_overdue_at = asked_at
