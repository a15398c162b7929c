"""
Repairs gaps in streams from the store's history. One task for the whole node.

The number of repairs at once is bounded, so that the store can answer commands. A
gap that cannot be repaired yet stays in the queue and is tried again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from keystay_protocol.errors import Unavailable
from keystay_server.delivery.bindings import Stream
from keystay_server.timing.tasks import Background

REPAIRS_AT_ONCE = 64
RETRY_S = 0.5

log = logging.getLogger("keystay.hub")


class Gaps:
    """
    The streams that may have missed something.

    Args:
        repair: Reads and delivers what a stream missed; returns whether that was all.
    """

    def __init__(self, repair: Callable[[Stream], Awaitable[bool]]) -> None:
        self._repair = repair
        self._queue: dict[Stream, None] = {}
        self._is_more = asyncio.Event()
        self._running = Background(self._run, "repair gaps")

    def start(self) -> None:
        """Start to repair."""
        self._running.start()

    async def stop(self) -> None:
        """Stop; gaps stay as they are."""
        await self._running.stop()

    def request_repair(self, stream: Stream, wanted: int) -> asyncio.Future[None]:
        """
        Queue the stream: it may have missed something up to the cursor `wanted`.

        Returns a future that is done when it is repaired; others wait for it too.
        """
        if stream.repaired is None:
            stream.repaired = asyncio.get_running_loop().create_future()
        stream.wanted = max(stream.wanted, wanted)
        self._queue[stream] = None
        self._is_more.set()
        return stream.repaired

    async def _run(self) -> None:
        while True:
            await self._is_more.wait()
            some = list(self._queue)[:REPAIRS_AT_ONCE]
            for stream in some:
                del self._queue[stream]
            if not self._queue:
                self._is_more.clear()
            if not all(await asyncio.gather(*map(self._try, some))):
                await asyncio.sleep(RETRY_S)

    async def _try(self, stream: Stream) -> bool:
        """
        Repair the gap; queue the stream again if that did not succeed.

        Returns whether there was progress, or there is more to read than before.
        """
        before = stream.newest, stream.wanted
        try:
            is_whole = await self._repair(stream)
        except Unavailable:
            is_whole = False
        except Exception:
            log.exception("the events of an actor could not be read")
            is_whole = False
        if not is_whole:
            self.request_repair(stream, stream.wanted)
        elif stream.repaired is not None:
            stream.repaired.set_result(None)
            stream.repaired = None
        return is_whole or (stream.newest, stream.wanted) != before
