"""
The feed of session events, which reconnects until it is closed.
"""

import asyncio
import json
import logging
import random
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from keystay._backoff import Backoff
from keystay.control._answer import Failure
from keystay.control._request import Request, get
from keystay.control._sse import Message, Messages
from keystay.control.events import FeedEvent, FeedLost, read_event
from keystay.errors import ClientClosed, UnexpectedAnswer
from keystay.options import ControlOptions
from keystay_protocol.errors import MalformedFrame

if TYPE_CHECKING:  # It imports h11, which is optional.
    from keystay.control._transport import ByteStream, HttpTransport

_log = logging.getLogger("keystay.control")


class FeedStream:
    """
    An async iterator over session events, ordered per actor. Made by `Control.feed`.

    With `async with` it begins when it is entered, otherwise with the first iteration. After
    a broken connection it reconnects and continues at its position. If events are missing,
    `FeedLost` is in their place.

    Only one task may iterate at a time. Cancelling it loses no events.

    Args:
        transport: Not closed here.
        actors: The actors whose sessions are followed; empty for all.
        position: The `position` of the last event that is known; None begins now.
    """

    def __init__(
        self,
        transport: "HttpTransport",
        actors: Sequence[str],
        position: str | None,
        options: ControlOptions,
    ) -> None:
        self._transport = transport
        self._target = get("/v1/feed", query=[("actor", actor) for actor in actors]).target
        self._options = options
        self._backoff = Backoff(
            options.feed_backoff_base_s, options.feed_backoff_cap_s, random.random
        )
        self._messages = Messages(position)
        self._taken = position
        self._ready: deque[FeedEvent] = deque()
        self._stream: ByteStream | None = None
        self._has_been_open = False
        self._opened_at: float | None = None
        self._is_closed = False

    async def __aenter__(self) -> "FeedStream":
        await self._open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __aiter__(self) -> "FeedStream":
        return self

    async def __anext__(self) -> FeedEvent:
        while self._is_closed or not self._ready:
            if self._is_closed:
                raise StopAsyncIteration
            if self._stream is None:
                await self._open()
            else:
                await self._receive()
        event = self._ready.popleft()
        self._taken = event.position or self._taken
        return event

    @property
    def position(self) -> str | None:
        """
        The position after the events that were taken; None before the server sent one.

        It also advances with events of other actors, so that it stays within the server's
        history.
        """
        return self._taken if self._ready else self._messages.last_id

    async def close(self) -> None:
        """End the iteration, and close the connection."""
        self._is_closed = True
        await self._disconnect()

    async def _open(self) -> None:
        """
        Connect: for the first time in one attempt, later with as many as necessary.

        Raises:
            KeystayError: If that fails, or the server refuses a later attempt for good.
        """
        while self._stream is None:
            opened = await self._transport.open_stream(self._request())
            if not isinstance(opened, Failure):
                self._begin(opened)
            elif not self._has_been_open or not (opened.is_transient or opened.is_from_proxy):
                raise opened.error
            else:
                await self._wait(opened)

    def _request(self) -> Request:
        headers = {"Accept": "text/event-stream"}
        if self._messages.last_id:
            headers["Last-Event-ID"] = self._messages.last_id
        return Request("GET", self._target, is_repeatable=True, headers=headers)

    def _begin(self, stream: "ByteStream") -> None:
        if self._has_been_open:
            _log.info("the feed: connected again")
        if self._has_been_open and not self._messages.last_id:
            # The position of the lost connection is unknown.
            self._ready.append(FeedLost())
        self._stream = stream
        self._messages = Messages(self._messages.last_id)
        self._has_been_open = True
        self._opened_at = asyncio.get_running_loop().time()

    async def _receive(self) -> None:
        assert self._stream is not None
        received = await self._stream.receive(self._options.feed_silence_s)
        if isinstance(received, bytes):
            await self._take(received)
            return
        await self._disconnect()
        if self._transport.is_closed:
            raise ClientClosed
        if not self._is_closed:
            await self._wait(received)

    async def _take(self, data: bytes) -> None:
        parsed = self._messages.last_id
        try:
            for message in self._messages.receive(data):
                event = _read(message)
                if event is not None:
                    self._ready.append(event)
                parsed = message.last_id
        except MalformedFrame as error:
            # Do not continue after an event that could not be read.
            self._messages = Messages(parsed)
            await self._disconnect()
            raise UnexpectedAnswer(str(error)) from None

    async def _wait(self, failure: Failure) -> None:
        if self._opened_at is not None:
            self._backoff.connection_lasted(asyncio.get_running_loop().time() - self._opened_at)
            self._opened_at = None
        at_least_s = failure.retry_after_s or self._messages.retry_s or 0.0
        delay_s = self._backoff.next_s(at_least_s=at_least_s)
        _log.warning("the feed: %s; reconnecting in %.2f s", failure.error, delay_s)
        await asyncio.sleep(delay_s)

    async def _disconnect(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


def _read(message: Message) -> FeedEvent | None:
    try:
        data = json.loads(message.data)
    except (ValueError, RecursionError):
        raise MalformedFrame("an event of the feed is not JSON") from None
    return read_event(message.event, data, message.last_id)
