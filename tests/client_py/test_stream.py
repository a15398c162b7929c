"""Streams: bounded, in order, and never silent about what they dropped."""

import asyncio
import gc
import weakref

import pytest

from keystay._stream import Broadcaster
from keystay.errors import ClientClosed, EventsLost


async def test_a_stream_hears_from_the_moment_it_was_made() -> None:
    """What was told between making a stream and iterating over it is there."""
    broadcaster: Broadcaster[int] = Broadcaster()
    broadcaster.publish(1)
    stream = broadcaster.open(10)
    broadcaster.publish(2)
    broadcaster.publish(3)
    broadcaster.end()
    assert [item async for item in stream] == [2, 3]


async def test_a_stream_hears_what_it_accepts() -> None:
    """Each stream has its own choice of what is told."""
    broadcaster: Broadcaster[int] = Broadcaster()
    even = broadcaster.open(10, lambda number: number % 2 == 0)
    everything = broadcaster.open(10)
    for number in range(4):
        broadcaster.publish(number)
    broadcaster.end()
    assert [item async for item in even] == [0, 2]
    assert [item async for item in everything] == [0, 1, 2, 3]


async def test_a_full_buffer_is_reported_at_the_place_of_the_gap() -> None:
    """First what came before the gap, then `EventsLost` with the number, then what follows."""
    broadcaster: Broadcaster[int] = Broadcaster()
    stream = broadcaster.open(2)
    for number in range(5):
        broadcaster.publish(number)
    assert [await anext(stream), await anext(stream)] == [0, 1]
    with pytest.raises(EventsLost) as lost:
        await anext(stream)
    assert lost.value.count == 3
    broadcaster.publish(5)
    assert await anext(stream) == 5


async def test_a_gap_does_not_move() -> None:
    """Room that comes free before the gap was reported is not filled: order stays true."""
    broadcaster: Broadcaster[int] = Broadcaster()
    stream = broadcaster.open(1)
    broadcaster.publish(0)
    broadcaster.publish(1)
    assert await anext(stream) == 0
    broadcaster.publish(2)
    with pytest.raises(EventsLost) as lost:
        await anext(stream)
    assert lost.value.count == 2


async def test_a_gap_is_reported_before_the_end() -> None:
    """A stream that ends right after it dropped something still says so."""
    broadcaster: Broadcaster[int] = Broadcaster()
    stream = broadcaster.open(1)
    broadcaster.publish(0)
    broadcaster.publish(1)
    broadcaster.end()
    assert await anext(stream) == 0
    with pytest.raises(EventsLost):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_waiting_listener_is_woken() -> None:
    """An iteration that began before the event gets it."""
    broadcaster: Broadcaster[str] = Broadcaster()
    stream = broadcaster.open(1)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    broadcaster.publish("now")
    async with asyncio.timeout(5):
        assert await waiting == "now"


async def test_a_failed_feed_raises_its_reason() -> None:
    """The end by failure cannot be taken for the end."""
    broadcaster: Broadcaster[int] = Broadcaster()
    stream = broadcaster.open(1)
    broadcaster.publish(0)
    broadcaster.end(ClientClosed("why"))
    assert await anext(stream) == 0
    with pytest.raises(ClientClosed, match="why"):
        await anext(stream)


async def test_a_stream_opened_after_the_end_ends() -> None:
    """Nobody waits for what will never come."""
    broadcaster: Broadcaster[int] = Broadcaster()
    broadcaster.end()
    assert [item async for item in broadcaster.open(1)] == []


async def test_a_closed_stream_ends_at_once() -> None:
    """Closing forgets what was buffered."""
    broadcaster: Broadcaster[int] = Broadcaster()
    stream = broadcaster.open(1)
    broadcaster.publish(0)
    broadcaster.publish(1)
    stream.close()
    broadcaster.publish(2)
    assert [item async for item in stream] == []


async def test_a_stream_that_was_broken_out_of_is_forgotten() -> None:
    """`break` is enough to stop listening: the feed does not keep the stream alive."""
    broadcaster: Broadcaster[int] = Broadcaster()
    stream = broadcaster.open(1)
    gone = weakref.ref(stream)
    del stream
    gc.collect()
    assert gone() is None
    broadcaster.publish(0)
