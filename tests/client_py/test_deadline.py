"""Deadlines: on time, unless the process was suspended."""

import asyncio
import time

import pytest

from keystay._deadline import Deadline, after, is_done


async def test_a_deadline_expires() -> None:
    """The block is interrupted, as by `asyncio.timeout_at`."""
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        async with after(0.01):
            await asyncio.Event().wait()
    assert time.monotonic() - started < 0.9


async def test_a_deadline_can_be_moved() -> None:
    """Also to never, and back."""
    now = asyncio.get_running_loop().time
    async with Deadline(now()) as limit:
        limit.move(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def expire() -> None:
        async with Deadline(None) as limit:
            limit.move(now())
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await expire()


async def test_a_deadline_that_was_kept_does_not_expire_later() -> None:
    """Its timer ends with the block."""
    async with after(0.01):
        pass
    await asyncio.sleep(0.02)  # Not a wait for something: until then it would have expired.


async def test_a_cancelled_block_is_not_a_timeout() -> None:
    """Who cancels it sees the cancellation."""

    async def block() -> None:
        async with after(60):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(block())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_overdue_deadline_gives_time_to_read() -> None:
    """What a blocked event loop finds when it goes on comes before the deadline."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_later(0.2, lambda: loop.call_later(0.05, future.set_result, "read"))
    waiting = asyncio.ensure_future(is_done(future, 0.01))
    await asyncio.sleep(0)
    time.sleep(0.3)  # noqa: ASYNC251  # It blocks the loop: both timers are overdue.
    assert await waiting


async def test_a_future_that_is_late_is_not_cancelled() -> None:
    """It may still be needed; that it is not done is all that is returned."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    assert not await is_done(future, 0.01)
    assert not future.cancelled()


async def test_a_future_that_fails_is_done() -> None:
    """Its error is raised where its result is read."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_exception(ValueError("why"))
    assert await is_done(future, 60)
    with pytest.raises(ValueError, match="why"):
        future.result()
