"""
Fills the holes in what audiences were told, one task for the whole node.

Many holes are filled at once, and yet so few that the store can answer others.
While a hole cannot be filled it stays in line, and is tried again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from keystay_protocol.errors import Unavailable
from keystay_server.audience import Audience

HEAL_AT_ONCE = 64
HEAL_AGAIN_S = 0.5

log = logging.getLogger("keystay.hub")


class Healer:
    """
    Knows which audiences have missed something.

    Args:
        fill: Reads and sends what an audience missed; returns whether that was all.
    """

    def __init__(self, fill: Callable[[Audience], Awaitable[bool]]) -> None:
        self._fill = fill
        self._torn: dict[Audience, None] = {}
        self._is_torn = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to heal."""
        self._task = asyncio.create_task(self._heal_for_ever(), name="heal audiences")

    async def stop(self) -> None:
        """Stop; what is torn stays so."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def tear(self, audience: Audience, wanted: int) -> asyncio.Future[None]:
        """
        Note that the audience may have missed something, up to the cursor `wanted`.

        Returns what is done when it is healed; others wait for it too.
        """
        if audience.healed is None:
            audience.healed = asyncio.get_running_loop().create_future()
        audience.wanted = max(audience.wanted, wanted)
        self._torn[audience] = None
        self._is_torn.set()
        return audience.healed

    async def _heal_for_ever(self) -> None:
        while True:
            await self._is_torn.wait()
            some = list(self._torn)[:HEAL_AT_ONCE]
            for audience in some:
                del self._torn[audience]
            if not self._torn:
                self._is_torn.clear()
            if not all(await asyncio.gather(*map(self._heal, some))):
                await asyncio.sleep(HEAL_AGAIN_S)

    async def _heal(self, audience: Audience) -> bool:
        """
        Fill the hole; put the audience back in line if that did not fill it.

        Returns whether it got on, or there is more to read than there was.
        """
        before = audience.last, audience.wanted
        try:
            is_whole = await self._fill(audience)
        except Unavailable:
            is_whole = False
        except Exception:
            log.exception("healing the audience of an actor failed")
            is_whole = False
        if not is_whole:
            self.tear(audience, audience.wanted)
        elif audience.healed is not None:
            audience.healed.set_result(None)
            audience.healed = None
        return is_whole or (audience.last, audience.wanted) != before
