"""
The event handlers and callbacks of a program, and how they are called.

Invariant: handlers run one at a time, in the order of the events, in another task than
the one that reads from the server. So a handler may await a command. An exception of a
handler is logged, and does not stop the others.
"""

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

from keystay._stream import Stream
from keystay.errors import EventsLost
from keystay_protocol.errors import KeystayError
from keystay_protocol.events import matches
from keystay_protocol.frames import Event

_log = logging.getLogger("keystay.client")

Handler = Callable[[str, Any], object]
"""Called as `handler(name, data)`; if it returns an awaitable, that is awaited."""

EVENTS_LOST = "events.lost"
"""The event that handlers get from the client itself in place of dropped events."""

CLOSED = "closed"
"""The path of handlers that are called at the end, with the error; None if there is none."""


class Handlers:
    """The handlers, by path."""

    def __init__(self) -> None:
        self._handlers: list[tuple[str, Handler]] = []

    def on(self, path: str, handler: Handler) -> None:
        """Call the handler for events of `path` and below it, after those added before."""
        self._handlers.append((path, handler))

    def off(self, path: str, handler: Handler) -> None:
        """Remove the handler of `path`, if it is there."""
        if (path, handler) in self._handlers:
            self._handlers.remove((path, handler))

    async def run(self, events: Stream[Event]) -> None:
        """Call the handlers for each event; when the stream ends, those of `closed`."""
        while True:
            try:
                event = await anext(events)
            except EventsLost as lost:
                _log.warning("%s", lost)
                event = Event(EVENTS_LOST, {"count": lost.count}, None)
            except StopAsyncIteration:
                return await self._closed(None)
            except KeystayError as error:
                return await self._closed(error)
            for path, handler in list(self._handlers):
                # A backend may send events of this name, and must not feign an end.
                if path != CLOSED and matches(path, event.name):
                    await call(handler, event.name, event.data)

    async def _closed(self, error: KeystayError | None) -> None:
        for path, handler in list(self._handlers):
            if path == CLOSED:
                await call(handler, CLOSED, error)


async def call(function: Callable[..., object], *arguments: object) -> None:
    """Call a function of the program, sync or async; log what it raises."""
    try:
        result = function(*arguments)
        if inspect.isawaitable(result):
            await result
    except asyncio.CancelledError:
        # Was it something that the function waited for, or this task?
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        _log.warning("%s raised CancelledError", _name(function))
    except Exception:  # A fault of the program: the other handlers must still run.
        _log.exception("%s failed", _name(function))


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", type(function).__name__)
