"""
`telemetry/loop_lag.py`: how late the event loop is.
"""

import asyncio
import time

from keystay_server.telemetry.durations import BOUNDS_S, Durations
from keystay_server.telemetry.loop_lag import LOOK_EVERY_S, LoopLag


class Seen(Durations):
    """What was seen, and whether it was anything."""

    def __init__(self) -> None:
        super().__init__()
        self.something = asyncio.Event()

    def add(self, seconds: float) -> None:
        super().add(seconds)
        self.something.set()


async def test_a_loop_that_is_held_up_is_seen_to_be_late() -> None:
    """Whoever holds it for 0.3 s is seen in the histogram; after the stop nobody looks."""
    seen = Seen()
    lag = LoopLag(seen)
    lag.start()
    held_s = LOOK_EVERY_S + 0.3
    time.sleep(held_s)  # noqa: ASYNC251  # That is what this test is about.
    async with asyncio.timeout(5):
        await seen.something.wait()
    assert sum(seen.counts[BOUNDS_S.index(0.25) + 1 :]) == 1
    lag.stop()
    total = seen.total
    await asyncio.sleep(2 * LOOK_EVERY_S)
    assert seen.total == total
