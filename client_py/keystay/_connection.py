"""
The connection to the server, which reconnects until it is closed: the I/O of a `Conversation`.

One task runs as long as the client. It opens a transport, reads from it until it ends,
waits, and opens the next one. While a transport is open, a second task writes to it.
"""

import asyncio
import contextlib
import logging
import random
from enum import StrEnum

from keystay._backoff import Backoff, reconnect_after_s
from keystay._conversation import Answer, Conversation
from keystay._deadline import Deadline, after
from keystay._pending_calls import PendingCalls
from keystay._session_saver import SessionSaver
from keystay._stream import Broadcaster, Stream
from keystay._transport import Disconnected, Transport, check_url
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
    """The state of the connection."""

    CONNECTING = "connecting"
    """Not yet connected for the first time."""
    OPEN = "open"
    RECONNECTING = "reconnecting"
    """The connection was lost, and is opened again. Commands wait."""
    IDLE = "idle"
    """The server closed it because it had no session. The next command opens it again."""
    CLOSED = "closed"
    """Final: the program closed the client, or it failed (`error`)."""


class Connection:
    """
    Opens a transport, again when it is lost, and delivers what comes over it.

    Args:
        url: `ws://` or `wss://`. A ValueError is raised for any other.
        conversation: The protocol state, which outlives each transport.
        events: Publishes the events. Ended when the connection is closed.
        saver: Saves the session after each change. Not closed here.
    """

    def __init__(
        self,
        url: str,
        conversation: Conversation,
        options: Options,
        events: Broadcaster[Event],
        saver: SessionSaver,
    ) -> None:
        self.shown_url = check_url(url)
        if options.ssl is not None and not self.shown_url.startswith("wss:"):
            raise ValueError("Options.ssl is for wss://")
        self.state = ConnectionState.CONNECTING
        self.error: KeystayError | None = None
        self._url = url
        self._conversation = conversation
        self._options = options
        self._events = events
        self._saver = saver
        self._states: Broadcaster[ConnectionState] = Broadcaster()
        self._backoff = Backoff(options.backoff_base_s, options.backoff_cap_s, random.random)
        self._has_messages = asyncio.Event()
        self.pending_calls = PendingCalls(conversation, self._has_messages.set)
        self._opened_at: float | None = None
        self._reconnect_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """
        Connect for the first time.

        Raises:
            KeystayError: If the first attempt fails; the connection is then closed.
        """
        if self._task is not None:
            raise RuntimeError("a client can be opened only once")
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
        """Close. Waiting commands fail with `ClientClosed` or `ConnectionLost`."""
        self._finish(None)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def states(self) -> Stream[ConnectionState]:
        """Return a stream of the changes of `state`; it ends after `CLOSED`."""
        return self._states.open(_STATES_BUFFERED)

    def use_key(self, key: str) -> None:
        """Restore this key before the next command."""
        self._conversation.use_key(key)
        self._has_messages.set()

    async def _run(self) -> None:
        try:
            error = await self._run_transports()
        except Exception as bug:  # The program gets the error, not the event loop.
            _log.exception("the connection to %s failed", self.shown_url)
            error = ConnectFailed(f"unexpected {type(bug).__name__}; the log has the traceback")
            error.__cause__ = bug
        self._finish(error)

    async def _run_transports(self) -> KeystayError:
        """Open one transport after the other; return the error that ends this."""
        await self._load_session()
        while True:
            disconnected = await self._run_transport()
            self._deliver(self._conversation.transport_lost())
            if disconnected.is_final or self.state is ConnectionState.CONNECTING:
                return disconnected.error
            if _is_unused(disconnected) and not self._conversation.has_work:
                self._enter(ConnectionState.IDLE)
                await self._wait_for_work()
            self._enter(ConnectionState.RECONNECTING)
            delay_s = self._delay_s(disconnected)
            _log.warning(
                "%s: %s; reconnecting in %.2f s", self.shown_url, disconnected, delay_s
            )
            await asyncio.sleep(delay_s)

    async def _load_session(self) -> None:
        stored = await self._saver.load()
        if stored is not None:
            try:
                self._conversation.resume(stored)
            except InvalidSessionKey as error:
                _log.warning("the stored session cannot be used: %s", error)

    async def _wait_for_work(self) -> None:
        while not self._conversation.has_work:
            self._has_messages.clear()
            await self._has_messages.wait()

    async def _run_transport(self) -> Disconnected:
        open_timeout_s = self._options.open_timeout_s
        deadline = asyncio.get_running_loop().time() + open_timeout_s
        try:
            transport = await Transport.open(self._url, self._options, open_timeout_s)
        except Disconnected as failed:
            return failed
        code = CloseCode.NORMAL
        try:
            async with asyncio.TaskGroup() as tasks:
                self._conversation.transport_opened()
                beside = [
                    tasks.create_task(self._write(transport), name="keystay-writer"),
                    tasks.create_task(transport.keep_alive(), name="keystay-pings"),
                ]
                disconnected = await self._read(transport, deadline)
                for task in beside:
                    task.cancel()
            code = disconnected.code
            return disconnected
        finally:
            await transport.close(code)

    async def _read(self, transport: Transport, deadline: float) -> Disconnected:
        """Read until the transport ends, is not open by the deadline, or is to be replaced."""
        try:
            async with Deadline(deadline) as limit:
                while True:
                    self._note_progress(limit)
                    self._deliver(self._conversation.receive(await transport.receive()))
        except Disconnected as disconnected:
            return disconnected
        except MalformedFrame as error:
            return Disconnected(error, code=CloseCode.MALFORMED_FRAME)
        except CommandError as error:
            return Disconnected(error, retry_after_s=error.retry_after_s or 0.0)
        except TimeoutError:
            if self._reconnect_at is None:
                return Disconnected(ConnectFailed("the session was not restored in time"))
        await self._drain(transport)
        return Disconnected(ConnectionLost("the server is shutting down"))

    def _note_progress(self, limit: Deadline) -> None:
        self._has_messages.set()  # A reply may allow further messages.
        if self._conversation.is_open and self.state is not ConnectionState.OPEN:
            self._enter(ConnectionState.OPEN)
            self._opened_at = asyncio.get_running_loop().time()
            limit.move(None)
        if self._reconnect_at is not None:
            limit.move(self._reconnect_at)

    async def _drain(self, transport: Transport) -> None:
        """Receive the replies to the commands that were sent."""
        with contextlib.suppress(TimeoutError, Disconnected, KeystayError):
            async with after(self._options.close_timeout_s):
                while self._conversation.in_flight:
                    self._deliver(self._conversation.receive(await transport.receive()))

    async def _write(self, transport: Transport) -> None:
        with contextlib.suppress(Disconnected):  # The reader gets it too, and handles it.
            while True:
                await self._has_messages.wait()
                self._has_messages.clear()
                while (message := self._conversation.next_message()) is not None:
                    await transport.send(message)

    def _deliver(self, items: list[Answer | Event] | list[Answer]) -> None:
        for item in items:
            match item:
                case Answer():
                    self.pending_calls.resolve(item)
                case Event():
                    if item.name == SERVER_DRAINING:
                        self._plan_reconnect(reconnect_after_s(item.data))
                    self._events.publish(item)
        self._saver.update(self._conversation.stored_session)

    def _plan_reconnect(self, wait_s: float | None) -> None:
        if wait_s is not None:
            # The server reads no more commands: later ones wait for the next transport.
            self._conversation.pause()
            self._reconnect_at = asyncio.get_running_loop().time() + wait_s

    def _delay_s(self, disconnected: Disconnected) -> float:
        now = asyncio.get_running_loop().time()
        reconnect_at, self._reconnect_at = self._reconnect_at, None
        if reconnect_at is not None and reconnect_at <= now:
            return 0.0  # The server chose the time, a different one for each client: no jitter.
        if self._opened_at is not None:
            self._backoff.connection_lasted(now - self._opened_at)
        self._opened_at = None
        at_least_s = disconnected.retry_after_s if reconnect_at is None else reconnect_at - now
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
            _log.warning("%s: closed: %s", self.shown_url, error)
        self._enter(ConnectionState.CLOSED)
        self.pending_calls.close(error)
        self._states.end()
        self._events.end(error)


def _is_unused(disconnected: Disconnected) -> bool:
    """Return whether the server closed the connection because it had no session."""
    error = disconnected.error
    return (
        isinstance(error, ClosedByServer) and error.close_code == CloseCode.NO_SESSION_IN_TIME
    )
