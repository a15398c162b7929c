"""
One publisher and many consumers, each with a bounded buffer of its own.

Invariant: publishing never waits, and a consumer learns of each dropped item at the place
where it is missing.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakSet

from keystay.errors import EventsLost

T = TypeVar("T")


class Stream(Generic[T]):
    """
    An async iterator over the items published since it was made.

    When the buffer is full, further items are dropped until the consumer has taken the
    buffered ones; the iteration then raises `EventsLost` once, and continues if it is
    entered again. It ends when the client is closed; if the client failed, it raises the
    error instead.
    """

    def __init__(self, size: int, accepts: Callable[[T], bool]) -> None:
        self._size = size
        self._accepts = accepts
        self._items: deque[T] = deque()
        self._lost = 0
        self._ended = False
        self._error: Exception | None = None
        self._news = asyncio.Event()

    def put(self, item: T) -> None:
        """Add an item; does not wait."""
        if self._ended or not self._accepts(item):
            return
        # After the first dropped item all are dropped, so that the gap stays in one place.
        if self._lost or len(self._items) >= self._size:
            self._lost += 1
        else:
            self._items.append(item)
        self._news.set()

    def end(self, error: Exception | None = None) -> None:
        """Accept no more items; after the buffered ones raise `error`, or end."""
        self._ended = True
        self._error = error
        self._news.set()

    def close(self) -> None:
        """End the iteration, and drop the buffered items."""
        self._items.clear()
        self._lost = 0
        self.end()

    def __aiter__(self) -> "Stream[T]":
        return self

    async def __anext__(self) -> T:
        while True:
            if self._items:
                return self._items.popleft()
            if self._lost:
                count, self._lost = self._lost, 0
                raise EventsLost(count)
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()


class Broadcaster(Generic[T]):
    """Publishes to every open stream. Holds weak references: an unused stream is collected."""

    def __init__(self) -> None:
        self._streams: WeakSet[Stream[T]] = WeakSet()
        self._ended = False
        self._error: Exception | None = None

    def open(self, size: int, accepts: Callable[[T], bool] = lambda _: True) -> Stream[T]:
        """Return a stream of the items published from now on that `accepts` is true for."""
        stream = Stream(size, accepts)
        if self._ended:
            stream.end(self._error)
        else:
            self._streams.add(stream)
        return stream

    def publish(self, item: T) -> None:
        """Add the item to all streams."""
        for stream in self._streams:
            stream.put(item)

    def end(self, error: Exception | None = None) -> None:
        """End all streams, also those opened later."""
        self._ended = True
        self._error = error
        for stream in self._streams:
            stream.end(error)
