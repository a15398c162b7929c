"""
`timing/tasks.py`: tasks that run as long as their owner does.
"""

import asyncio
import logging

import pytest

from keystay_protocol.errors import Unavailable
from keystay_server.timing.tasks import Background, Repeating

WAIT_S = 5.0


async def test_a_background_task_is_gone_when_its_owner_has_stopped() -> None:
    """Its cleanup has run by then."""
    begun, cleaned = asyncio.Event(), False

    async def run() -> None:
        nonlocal cleaned
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned = True

    background = Background(run, "test")
    background.start()
    async with asyncio.timeout(WAIT_S):
        await begun.wait()
        await background.stop()
    assert cleaned


async def test_what_was_not_started_can_be_stopped() -> None:
    """So that an owner that failed to start can clean up."""

    async def run() -> None:
        """Nothing."""

    await Background(run, "test").stop()


class Steps:
    """Counts steps; the first ones raise what they are given."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.taken = 0
        self._came = asyncio.Event()

    async def take(self) -> None:
        """Take a step."""
        self.taken += 1
        self._came.set()
        if self.errors:
            raise self.errors.pop(0)

    async def until(self, number: int) -> None:
        """Wait until so many were taken."""
        async with asyncio.timeout(WAIT_S):
            while self.taken < number:
                self._came.clear()
                await self._came.wait()


async def test_a_step_is_taken_again_whatever_it_raised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An unknown error is logged with the name of the task; a store out of reach is not."""
    steps = Steps(Unavailable("away"), RuntimeError("odd"))
    repeating = Repeating(steps.take, "count something", pause_s=0.001)
    with caplog.at_level(logging.INFO):
        repeating.start()
        await steps.until(4)
        await repeating.stop()
    assert [record.getMessage() for record in caplog.records] == [
        "count something: failed, is tried again"
    ]


async def test_waking_ends_the_pause() -> None:
    """The next step is taken at once, and the pause after it is a whole one."""
    steps = Steps()
    repeating = Repeating(steps.take, "test", pause_s=3600.0)
    repeating.start()
    await steps.until(1)
    repeating.wake()
    await steps.until(2)
    await repeating.stop()
    assert steps.taken == 2
