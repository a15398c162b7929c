"""
The live feed of sessions, kept up until it is closed.
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

if TYPE_CHECKING:  # It needs httpx, which whoever only has the types need not have.
    from keystay.control._transport import Door, Listening

_log = logging.getLogger("keystay.control")


class FeedStream:
    """
    What happens to sessions, in the order of each actor. `Control.feed` makes one.

    Enter it with `async with`, and everything from then on is heard; or iterate
    over it as it is, and it begins with the first step. When the connection
    breaks, it comes back by itself and goes on where it was. If that is not
    possible, `FeedLost` stands where events are missing.

    One task iterates at a time. That it was cancelled loses nothing.

    Args:
        door: Where to listen. Not closed by this.
        actors: Whose sessions; all if there are none.
        position: The `position` of the last event of which is known; None begins now.
    """

    def __init__(
        self, door: "Door", actors: Sequence[str], position: str | None, options: ControlOptions
    ) -> None:
        self._door = door
        self._target = get("/v1/feed", query=[("actor", actor) for actor in actors]).target
        self._options = options
        self._backoff = Backoff(
            options.feed_backoff_base_s, options.feed_backoff_cap_s, random.random
        )
        self._messages = Messages(position)
        self._taken = position
        self._ready: deque[FeedEvent] = deque()
        self._listening: Listening | None = None
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
            if self._listening is None:
                await self._open()
            else:
                await self._receive()
        event = self._ready.popleft()
        self._taken = event.position or self._taken
        return event

    @property
    def position(self) -> str | None:
        """
        Where to go on after the events that were taken; None before the server said it.

        It moves with the events of actors that are not listened to as well, so that
        it stays within the server's history.
        """
        return self._taken if self._ready else self._messages.last_id

    async def close(self) -> None:
        """Hear no more, and let go of the connection."""
        self._is_closed = True
        await self._hang_up()

    async def _open(self) -> None:
        """
        Open the line; the first one has to be had at once, for later ones it waits.

        Raises:
            KeystayError: If there is none, or another attempt would change nothing.
        """
        while self._listening is None:
            opened = await self._door.listen(self._request())
            if not isinstance(opened, Failure):
                self._begin(opened)
            elif not opened.may_pass or not self._has_been_open:
                raise opened.error
            else:
                await self._wait(opened)

    def _request(self) -> Request:
        headers = {"Accept": "text/event-stream"}
        if self._messages.last_id:
            headers["Last-Event-ID"] = self._messages.last_id
        return Request("GET", self._target, is_repeatable=True, headers=headers)

    def _begin(self, listening: "Listening") -> None:
        if self._has_been_open and not self._messages.last_id:
            # Nobody ever said where the lost connection was, so nobody can go on there.
            self._ready.append(FeedLost())
        self._listening = listening
        self._messages = Messages(self._messages.last_id)
        self._has_been_open = True
        self._opened_at = asyncio.get_running_loop().time()

    async def _receive(self) -> None:
        assert self._listening is not None
        received = await self._listening.receive(self._options.feed_silence_s)
        if isinstance(received, bytes):
            await self._take(received)
            return
        await self._hang_up()
        if self._door.is_closed:
            raise ClientClosed
        if not self._is_closed:
            await self._wait(received)

    async def _take(self, data: bytes) -> None:
        understood = self._messages.last_id
        try:
            for message in self._messages.receive(data):
                event = _read(message)
                if event is not None:
                    self._ready.append(event)
                understood = message.last_id
        except MalformedFrame as error:
            # Never go on behind what could not be read.
            self._messages = Messages(understood)
            await self._hang_up()
            raise UnexpectedAnswer(str(error)) from None

    async def _wait(self, failure: Failure) -> None:
        if self._opened_at is not None:
            self._backoff.held(asyncio.get_running_loop().time() - self._opened_at)
            self._opened_at = None
        at_least_s = failure.retry_after_s or self._messages.retry_s or 0.0
        delay_s = self._backoff.next_s(at_least_s=at_least_s)
        _log.warning("the feed: %s; coming back in %.2f s", failure.error, delay_s)
        await asyncio.sleep(delay_s)

    async def _hang_up(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            await listening.close()


def _read(message: Message) -> FeedEvent | None:
    try:
        data = json.loads(message.data)
    except (ValueError, RecursionError):
        raise MalformedFrame("an event of the feed is not JSON") from None
    return read_event(message.event, data, message.last_id)
