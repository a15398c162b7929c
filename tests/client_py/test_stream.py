"""Streams: bounded, in order, and never silent about what they dropped."""

import asyncio
import gc
import weakref

import pytest

from keystay._stream import Feed
from keystay.errors import ClientClosed, EventsLost


async def test_a_stream_hears_from_the_moment_it_was_made() -> None:
    """What was told between making a stream and iterating over it is there."""
    feed: Feed[int] = Feed()
    feed.publish(1)
    stream = feed.open(10)
    feed.publish(2)
    feed.publish(3)
    feed.end()
    assert [item async for item in stream] == [2, 3]


async def test_a_stream_hears_what_it_accepts() -> None:
    """Each stream has its own choice of what is told."""
    feed: Feed[int] = Feed()
    even = feed.open(10, lambda number: number % 2 == 0)
    everything = feed.open(10)
    for number in range(4):
        feed.publish(number)
    feed.end()
    assert [item async for item in even] == [0, 2]
    assert [item async for item in everything] == [0, 1, 2, 3]


async def test_a_full_buffer_is_reported_at_the_place_of_the_gap() -> None:
    """First what came before the gap, then `EventsLost` with the number, then what follows."""
    feed: Feed[int] = Feed()
    stream = feed.open(2)
    for number in range(5):
        feed.publish(number)
    assert [await anext(stream), await anext(stream)] == [0, 1]
    with pytest.raises(EventsLost) as lost:
        await anext(stream)
    assert lost.value.count == 3
    feed.publish(5)
    assert await anext(stream) == 5


async def test_a_gap_does_not_move() -> None:
    """Room that comes free before the gap was reported is not filled: order stays true."""
    feed: Feed[int] = Feed()
    stream = feed.open(1)
    feed.publish(0)
    feed.publish(1)
    assert await anext(stream) == 0
    feed.publish(2)
    with pytest.raises(EventsLost) as lost:
        await anext(stream)
    assert lost.value.count == 2


async def test_a_gap_is_reported_before_the_end() -> None:
    """A stream that ends right after it dropped something still says so."""
    feed: Feed[int] = Feed()
    stream = feed.open(1)
    feed.publish(0)
    feed.publish(1)
    feed.end()
    assert await anext(stream) == 0
    with pytest.raises(EventsLost):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_waiting_listener_is_woken() -> None:
    """An iteration that began before the event gets it."""
    feed: Feed[str] = Feed()
    stream = feed.open(1)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    feed.publish("now")
    async with asyncio.timeout(5):
        assert await waiting == "now"


async def test_a_failed_feed_raises_its_reason() -> None:
    """The end by failure cannot be taken for the end."""
    feed: Feed[int] = Feed()
    stream = feed.open(1)
    feed.publish(0)
    feed.end(ClientClosed("why"))
    assert await anext(stream) == 0
    with pytest.raises(ClientClosed, match="why"):
        await anext(stream)


async def test_a_stream_opened_after_the_end_ends() -> None:
    """Nobody waits for what will never come."""
    feed: Feed[int] = Feed()
    feed.end()
    assert [item async for item in feed.open(1)] == []


async def test_a_closed_stream_ends_at_once() -> None:
    """Closing forgets what was buffered."""
    feed: Feed[int] = Feed()
    stream = feed.open(1)
    feed.publish(0)
    feed.publish(1)
    stream.close()
    feed.publish(2)
    assert [item async for item in stream] == []


async def test_a_stream_that_was_broken_out_of_is_forgotten() -> None:
    """`break` is enough to stop listening: the feed does not keep the stream alive."""
    feed: Feed[int] = Feed()
    stream = feed.open(1)
    gone = weakref.ref(stream)
    del stream
    gc.collect()
    assert gone() is None
    feed.publish(0)
