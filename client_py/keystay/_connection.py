"""
The connection to the server, kept up until it is closed: the I/O around a `Link`.

One task lives as long as the client. It opens a line, reads from it until it
ends, waits, and opens the next; while there is a line, a second task writes.
"""

import asyncio
import contextlib
import logging
import random
from enum import StrEnum

from keystay._backoff import Backoff, slot_s
from keystay._conversation import Answer, Link
from keystay._pending_calls import Questions
from keystay._session_saver import Keeper
from keystay._stream import Feed, Stream
from keystay._transport import Hangup, Line, check_url
from keystay.errors import ClientClosed, ClosedByServer, ConnectFailed, ConnectionLost
from keystay.options import Options
from keystay_protocol.errors import (
    CloseCode,
    CommandError,
    InvalidSessionKey,
    KeystayError,
    MalformedFrame,
)
from keystay_protocol.events import SERVER_DRAINING
from keystay_protocol.frames import Event

_log = logging.getLogger("keystay.client")

_STATES_BUFFERED = 64


class ConnectionState(StrEnum):
    """How things stand with the connection."""

    CONNECTING = "connecting"
    """Not yet connected for the first time."""
    OPEN = "open"
    RECONNECTING = "reconnecting"
    """The line was lost, or closed by the server as of no use yet; commands wait."""
    CLOSED = "closed"
    """For good: by the program, or because the server cannot be had (`error`)."""


class Connection:
    """
    Opens, keeps and reopens the line, and brings each answer to who asked.

    Args:
        url: `ws://` or `wss://`. A ValueError is raised for any other.
        link: The conversation to carry.
        events: Where events are told. Ended when the connection is closed.
        keeper: What keeps the session between runs; told of every change, never closed.
    """

    def __init__(
        self, url: str, link: Link, options: Options, events: Feed[Event], keeper: Keeper
    ) -> None:
        self.shown_url = check_url(url)
        if options.ssl is not None and not self.shown_url.startswith("wss:"):
            raise ValueError("Options.ssl is for wss://")
        self.state = ConnectionState.CONNECTING
        self.error: KeystayError | None = None
        self._url = url
        self._link = link
        self._options = options
        self._events = events
        self._keeper = keeper
        self._states: Feed[ConnectionState] = Feed()
        self._backoff = Backoff(options.backoff_base_s, options.backoff_cap_s, random.random)
        self._has_messages = asyncio.Event()
        self.questions = Questions(link, self._has_messages.set)
        self._opened_at: float | None = None
        self._slot_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """
        Connect for the first time.

        Raises:
            KeystayError: If the first attempt fails; the connection is then closed.
        """
        if self._task is not None:
            raise RuntimeError("a client connects once; make a new one")
        states = self.states()
        self._task = asyncio.create_task(self._run(), name="keystay-connection")
        try:
            async for state in states:
                if state is ConnectionState.OPEN:
                    return
        except asyncio.CancelledError:
            await self.close()
            raise
        raise self.error or ClientClosed()

    async def close(self) -> None:
        """Close for good. What waits gets a `ClientClosed`, or a `ConnectionLost`."""
        self._finish(None)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def states(self) -> Stream[ConnectionState]:
        """The changes of `state` from now on; ends after `CLOSED`."""
        return self._states.open(_STATES_BUFFERED)

    def adopt(self, key: str) -> None:
        """Speak for this key from the next command on."""
        self._link.adopt(key)
        self._has_messages.set()

    async def _run(self) -> None:
        try:
            error = await self._stay_connected()
        except Exception as bug:  # The program must hear of it, not the event loop.
            _log.exception("the connection to %s failed", self.shown_url)
            error = ConnectFailed("a bug in the client; its log says more")
            error.__cause__ = bug
        self._finish(error)

    async def _stay_connected(self) -> KeystayError:
        """Open one line after the other; return why there will be no more."""
        await self._take_up_stored()
        while True:
            hangup = await self._hold_a_line()
            self._deliver(self._link.line_lost())
            if hangup.is_final or self.state is ConnectionState.CONNECTING:
                return hangup.error
            self._enter(ConnectionState.RECONNECTING)
            if _wants_a_session(hangup) and not self._link.has_business:
                await self._wait_for_business()
            delay_s = self._delay_s(hangup)
            _log.warning("%s: %s; reconnecting in %.2f s", self.shown_url, hangup, delay_s)
            await asyncio.sleep(delay_s)

    async def _take_up_stored(self) -> None:
        stored = await self._keeper.load()
        if stored is not None:
            try:
                self._link.take_up(stored)
            except InvalidSessionKey as error:
                _log.warning("the stored session is of no use: %s", error)

    async def _wait_for_business(self) -> None:
        while not self._link.has_business:
            self._has_messages.clear()
            await self._has_messages.wait()

    async def _hold_a_line(self) -> Hangup:
        deadline = asyncio.get_running_loop().time() + self._options.open_timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                line = await Line.open(self._url, self._options)
        except TimeoutError:
            return Hangup(ConnectFailed("no answer to the handshake in time"))
        except Hangup as failed:
            return failed
        code = CloseCode.NORMAL
        try:
            async with asyncio.TaskGroup() as tasks:
                self._link.line_opened()
                writer = tasks.create_task(self._write(line), name="keystay-writer")
                hangup = await self._converse(line, deadline)
                writer.cancel()
            code = hangup.code
            return hangup
        finally:
            await line.close(code)

    async def _converse(self, line: Line, deadline: float) -> Hangup:
        """Read until the line ends, is not open by the deadline, or is to be left."""
        try:
            async with asyncio.timeout_at(deadline) as limit:
                while True:
                    self._note_progress(limit)
                    self._deliver(self._link.receive(await line.receive()))
        except Hangup as hangup:
            return hangup
        except MalformedFrame as error:
            return Hangup(error, code=CloseCode.MALFORMED_FRAME)
        except CommandError as error:
            return Hangup(error, retry_after_s=error.retry_after_s or 0.0)
        except TimeoutError:
            if self._slot_at is None:
                return Hangup(ConnectFailed("the session was not restored in time"))
        await self._leave(line)
        return Hangup(ConnectionLost("the server is going away"))

    def _note_progress(self, limit: asyncio.Timeout) -> None:
        self._has_messages.set()  # An answer may have let others go.
        if self._link.is_open and self.state is not ConnectionState.OPEN:
            self._enter(ConnectionState.OPEN)
            self._opened_at = asyncio.get_running_loop().time()
            limit.reschedule(None)
        if self._slot_at is not None:
            limit.reschedule(self._slot_at)

    async def _leave(self, line: Line) -> None:
        """Let the commands on the line be answered before it is left."""
        with contextlib.suppress(TimeoutError, Hangup, KeystayError):
            async with asyncio.timeout(self._options.close_timeout_s):
                while self._link.in_flight:
                    self._deliver(self._link.receive(await line.receive()))

    async def _write(self, line: Line) -> None:
        with contextlib.suppress(Hangup):  # The reader hears of it too, and acts.
            while True:
                await self._has_messages.wait()
                self._has_messages.clear()
                while (message := self._link.next_message()) is not None:
                    await line.send(message)

    def _deliver(self, news: list[Answer | Event] | list[Answer]) -> None:
        for item in news:
            match item:
                case Answer():
                    self.questions.deliver(item)
                case Event():
                    if item.name == SERVER_DRAINING:
                        self._prepare_to_leave(slot_s(item.data))
                    self._events.publish(item)
        self._keeper.note(self._link.to_store)

    def _prepare_to_leave(self, wait_s: float | None) -> None:
        if wait_s is not None:
            # The server reads no more: what is given from now on is for the next line.
            self._link.hold()
            self._slot_at = asyncio.get_running_loop().time() + wait_s

    def _delay_s(self, hangup: Hangup) -> float:
        now = asyncio.get_running_loop().time()
        slot_at, self._slot_at = self._slot_at, None
        if slot_at is not None and slot_at <= now:
            return 0.0  # The server spread its clients over time already: no dice.
        if self._opened_at is not None:
            self._backoff.held(now - self._opened_at)
        self._opened_at = None
        at_least_s = hangup.retry_after_s if slot_at is None else slot_at - now
        return self._backoff.next_s(at_least_s=at_least_s)

    def _enter(self, state: ConnectionState) -> None:
        if state is not self.state:
            _log.info("%s: %s", self.shown_url, state)
            self.state = state
            self._states.publish(state)

    def _finish(self, error: KeystayError | None) -> None:
        if self.state is ConnectionState.CLOSED:
            return
        self.error = error
        if error is not None:
            _log.warning("%s: closed for good: %s", self.shown_url, error)
        self._enter(ConnectionState.CLOSED)
        self.questions.close(error)
        self._states.end()
        self._events.end(error)


def _wants_a_session(hangup: Hangup) -> bool:
    """Tell whether the server closed the line because no session was opened on it."""
    error = hangup.error
    return (
        isinstance(error, ClosedByServer) and error.close_code == CloseCode.NO_SESSION_IN_TIME
    )
