"""
The functions a program wants to be called, and the calling of them.

The law of this module: handlers run one at a time, in the order of the
events, away from the task that reads from the line. So a handler may await a
command; and one that fails is logged and takes nothing with it.
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
"""Called as `handler(path, data)`; if it returns an awaitable, that is awaited."""

EVENTS_LOST = "events.lost"
"""What handlers are told, by the client itself, in the place of events that were dropped."""


class Handlers:
    """Who is to be called for which path."""

    def __init__(self) -> None:
        self._handlers: list[tuple[str, Handler]] = []

    def on(self, path: str, handler: Handler) -> None:
        """Call the handler for `path` and everything below it, after those that came before."""
        self._handlers.append((path, handler))

    def off(self, path: str, handler: Handler) -> None:
        """Stop calling the handler for `path`. Does nothing if it is not called."""
        if (path, handler) in self._handlers:
            self._handlers.remove((path, handler))

    async def run(self, events: Stream[Event]) -> None:
        """Call the handlers for each event, until the events end."""
        while True:
            try:
                event = await anext(events)
            except EventsLost as lost:
                _log.warning("%s", lost)
                event = Event(EVENTS_LOST, {"count": lost.count}, None)
            except (StopAsyncIteration, KeystayError):
                return
            for path, handler in list(self._handlers):
                if matches(path, event.name):
                    await call(handler, event.name, event.data)


async def call(function: Callable[..., object], *arguments: object) -> None:
    """Call a function of the program, sync or async; log what it raises."""
    try:
        result = function(*arguments)
        if inspect.isawaitable(result):
            await result
    except asyncio.CancelledError:
        # Of something the function waited for, or of this very task?
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        _log.warning("%s was cancelled from within", _name(function))
    except Exception:  # Whatever it is, it is the program's, and the others must go on.
        _log.exception("%s failed", _name(function))


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", type(function).__name__)
