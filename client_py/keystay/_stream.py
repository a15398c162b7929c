"""
From one who tells to many who listen, each with a bounded buffer of its own.

The law of this module: telling never waits, and nothing is dropped without
the listener being told so, at the place where it is missing.
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
    An async iterator over what is told from the moment it was made.

    When the buffer is full, what comes next is dropped until the listener has
    caught up; the iteration then raises `EventsLost` once, and goes on if it is
    entered again. It ends when the client is closed; if the client failed, it
    raises the reason instead.
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
        """Offer an item; does not wait."""
        if self._ended or not self._accepts(item):
            return
        # Once one is lost, all are until it is reported: a gap must not move.
        if self._lost or len(self._items) >= self._size:
            self._lost += 1
        else:
            self._items.append(item)
        self._news.set()

    def end(self, error: Exception | None = None) -> None:
        """Let the listener take what is buffered, and no more; then raise the error, if any."""
        self._ended = True
        self._error = error
        self._news.set()

    def close(self) -> None:
        """Stop listening, and forget what is buffered."""
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


class Feed(Generic[T]):
    """Tells every open stream. A stream that nobody holds any more is forgotten."""

    def __init__(self) -> None:
        self._streams: WeakSet[Stream[T]] = WeakSet()
        self._ended = False
        self._error: Exception | None = None

    def open(self, size: int, accepts: Callable[[T], bool] = lambda _: True) -> Stream[T]:
        """Make a stream of what `accepts` lets through; it hears everything from now on."""
        stream = Stream(size, accepts)
        if self._ended:
            stream.end(self._error)
        else:
            self._streams.add(stream)
        return stream

    def publish(self, item: T) -> None:
        """Tell all streams."""
        for stream in self._streams:
            stream.put(item)

    def end(self, error: Exception | None = None) -> None:
        """End all streams, and those that are opened later."""
        self._ended = True
        self._error = error
        for stream in self._streams:
            stream.end(error)
