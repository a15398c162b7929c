"""
The client of a program: commands, events and the session, over one connection.
"""

from collections.abc import Callable, Coroutine, Generator
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, TypeVar, overload

from keystay._connection import Connection, ConnectionState
from keystay._conversation import Conversation
from keystay._handlers import Handler, Handlers, call
from keystay._pending_calls import Callback
from keystay._session_saver import SessionSaver
from keystay._stream import Broadcaster, Stream
from keystay._tasks import Tasks
from keystay.errors import ClientClosed
from keystay.options import Options
from keystay.session_store import SessionStore
from keystay_protocol.codec import FROM_SERVER
from keystay_protocol.commands import CommandName, LogoutScope
from keystay_protocol.errors import KeystayError, NoSession
from keystay_protocol.events import matches
from keystay_protocol.frames import Event
from keystay_protocol.session import Session

Scope = LogoutScope | Literal["this", "others", "all"]
State = ConnectionState | Literal["connecting", "open", "reconnecting", "idle", "closed"]

H = TypeVar("H", bound=Handler)

# Inside the class, `list` is the command.
_Params = list[Any]
_Sessions = list[Session]


def connect(
    url: str,
    *,
    key: str | None = None,
    session_store: SessionStore | None = None,
    timeout_s: float = 10.0,
    options: Options | None = None,
) -> "Client":
    """
    Return a client of the server at `url`.

    Use it as `async with connect(url) as client:`, or as `client = await connect(url)` with
    `await client.close()` at the end. Handlers that are added before that get every event.

    The first connection is attempted once, so that a wrong address is an error at once. A
    lost connection is reopened, however long that takes.

    Args:
        url: `ws://host:port` or `wss://host`; a ValueError is raised for any other.
        key: A session key to restore with the connection, as by `set_session_key`.
        session_store: Keeps the session between two runs of the program, such as
            `FileSessionStore(path)`. Unless a key is given, its session is restored, and
            missed events are replayed. A refused key is removed, and reported as by
            `set_session_key`.
        timeout_s: The deadline of a command, which includes waiting for a connection.
        options: Settings that rarely change.
    """
    client = Client(url, session_store, timeout_s, options or Options())
    if key is not None:
        client.set_session_key(key)
    return client


class Client:
    """
    A connection to a server and the session it is bound to. Made by `connect`.

    Every command raises the error that the server replies (`keystay.NoSession`,
    `keystay.Expired` ...), `Timeout` if there is no reply within `timeout_s`,
    `ClientClosed` when the client is closed, and `QueueFull`.

    When the connection breaks, the client reconnects, subscribes and restores the session
    before it sends any other command. Commands wait meanwhile. Those that had no reply are
    sent again, except `login` and `logout`: they raise `ConnectionLost`, because it is
    unknown whether they were executed. Missed events are replayed in order, followed by
    `session.recovered`, which says whether they are complete.
    If the session cannot be restored, `session` becomes None and handlers of `session.unset`
    get the reason. The client stays connected.

    It belongs to the event loop on which it was opened. Its repr, errors and logs never
    contain a key.
    """

    def __init__(
        self,
        url: str,
        session_store: SessionStore | None,
        timeout_s: float,
        options: Options,
    ) -> None:
        self._timeout_s = timeout_s
        self._options = options
        self._events: Broadcaster[Event] = Broadcaster()
        self._handlers = Handlers()
        self._for_handlers = self._events.open(options.event_buffer)
        self._conversation = Conversation(
            version=options.version,
            capacity=options.max_pending,
            limits=replace(FROM_SERVER, size=options.max_message_bytes),
            paths=options.paths,
        )
        self._saver = SessionSaver(session_store, options)
        self._connection = Connection(
            url, self._conversation, options, self._events, self._saver
        )
        self._pending_calls = self._connection.pending_calls
        self._tasks = Tasks()

    def __repr__(self) -> str:
        return f"<keystay.Client {self._connection.shown_url} {self.state}>"

    async def __aenter__(self) -> "Client":
        return await self._open()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __await__(self) -> Generator[Any, None, "Client"]:
        return self._open().__await__()

    async def _open(self) -> "Client":
        try:
            await self._connection.open()
        except BaseException:
            await self._saver.close()
            raise
        self._tasks.start(self._handlers.run(self._for_handlers))
        return self

    async def close(self) -> None:
        """
        Close the connection, and end everything that the client started.

        Handlers and callbacks have `close_timeout_s` to finish; one of them may be the
        caller. The session does not end: see `logout`. When this returns, the session store
        has the last state.
        """
        await self._connection.close()
        await self._tasks.finish(self._options.close_timeout_s)
        await self._saver.close()

    @property
    def state(self) -> ConnectionState:
        """The state of the connection."""
        return self._connection.state

    @property
    def error(self) -> KeystayError | None:
        """Why the client is closed, unless the program closed it."""
        return self._connection.error

    def states(self) -> Stream[ConnectionState]:
        """Return an iterator over the changes of `state`; it ends when the client is closed."""
        return self._connection.states()

    async def wait_for(self, state: State) -> None:
        """
        Wait until the connection is, or passes through, this state.

        Raises:
            ClientClosed: If the client is closed before; `__cause__` is `error`.
        """
        state = ConnectionState(state)
        states = self.states()
        if self.state is state:
            return
        async for new in states:
            if new is state:
                return
        raise ClientClosed from self.error

    @property
    def session(self) -> Session | None:
        """
        The session as the server sent it last; None if there is none.

        Updated before the handlers of a change are called. Unchanged while reconnecting.
        """
        return self._conversation.session

    @property
    def recovered(self) -> bool | None:
        """
        Whether all missed events were replayed when the session was last resumed.

        None until it was resumed: after a reconnect, or from a session store. False means that
        events may be missing: reload what the program derived from events. Each time, the event
        `session.recovered` has the same value.
        """
        return self._conversation.recovered

    def get_key(self) -> str | None:
        """Return the key of the session, or the one that is to be restored."""
        return self._conversation.key

    def set_session_key(self, key: str) -> None:
        """
        Restore this key before the next command.

        The client does so now or when it is connected, and after each reconnect. The outcome
        is an event: `session.set`; or, if the key is refused, `session.unset` with the code
        as its reason and None as its id. A session that was bound before then stays bound.

        Raises:
            InvalidSessionKey: If it is not a string that can be sent.
        """
        self._connection.use_key(key)

    @overload
    def is_valid(
        self, key: str | None, *, timeout_s: float | None = None
    ) -> Coroutine[Any, Any, None]: ...
    @overload
    def is_valid(
        self, key: str | None, callback: Callback, *, timeout_s: float | None = None
    ) -> None: ...
    def is_valid(
        self,
        key: str | None,
        callback: Callback | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Coroutine[Any, Any, None] | None:
        """
        Check whether the key opens a live session; None does not. Changes nothing.

        Await it, and it raises the error; or pass a callback, which needs no await.
        """
        return self._ask(CommandName.IS_VALID, [key or ""], callback, timeout_s)

    @overload
    def restore(
        self, key: str | None = None, *, timeout_s: float | None = None
    ) -> Coroutine[Any, Any, Session]: ...
    @overload
    def restore(
        self, key: str, callback: Callback, *, timeout_s: float | None = None
    ) -> None: ...
    @overload
    def restore(
        self, key: str | None = None, *, callback: Callback, timeout_s: float | None = None
    ) -> None: ...
    def restore(
        self,
        key: str | None = None,
        callback: Callback | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Coroutine[Any, Any, Session] | None:
        """
        Bind this connection to the session that the key opens.

        Without a key, the one of `get_key`. The session then lives for at least two thirds of
        its ttl; only this connection gets a `session.set`. If the key is refused, a session
        that was bound before stays bound. Await it, or pass a callback.
        """
        key = self.get_key() if key is None else key
        if key is None:
            if callback is None:
                raise NoSession("there is no key to restore")
            self._tasks.start(call(callback, NoSession.code))
            return None
        params = self._conversation.restore_params(key)
        return self._ask(CommandName.RESTORE, params, callback, timeout_s)

    async def login(
        self, method: str, credentials: object = None, *, timeout_s: float | None = None
    ) -> Session:
        """
        Open a session with one of the server's login methods, and bind to it.

        Args:
            method: `anonymous`, `jwt`, or another one of the server.
            credentials: What the method takes; plain data.
        """
        params = [method] if credentials is None else [method, credentials]
        session: Session = await self._answer(CommandName.LOGIN, params, timeout_s)
        return session

    @overload
    def logout(
        self, scope: Scope = "this", *, timeout_s: float | None = None
    ) -> Coroutine[Any, Any, None]: ...
    @overload
    def logout(
        self, scope: Scope = "this", *, callback: Callback, timeout_s: float | None = None
    ) -> None: ...
    def logout(
        self,
        scope: Scope = "this",
        *,
        callback: Callback | None = None,
        timeout_s: float | None = None,
    ) -> Coroutine[Any, Any, None] | None:
        """
        End this session, the actor's `others`, or `all`.

        Await it, or pass a callback. Without a session, or if it has ended, `this` does
        nothing; `others` and `all` raise `NoSession`, and no session ended.
        """
        scope = LogoutScope(scope)
        params = [] if scope is LogoutScope.THIS else [{"scope": scope}]
        return self._ask(CommandName.LOGOUT, params, callback, timeout_s)

    async def list(self, *, timeout_s: float | None = None) -> _Sessions:
        """Return the actor's live sessions, without keys; this one is marked `current`."""
        sessions: _Sessions = await self._answer(CommandName.LIST, [], timeout_s)
        return sessions

    async def subscribe(self, *paths: str, timeout_s: float | None = None) -> tuple[str, ...]:
        """
        Subscribe to the events of these paths and below them.

        Returns all subscribed paths. A client starts with `session`, without which it gets no
        `session.set` and `session.unset`; "" is all events.
        """
        return await self._answer_paths(CommandName.SUBSCRIBE, paths, timeout_s)

    async def unsubscribe(self, *paths: str, timeout_s: float | None = None) -> tuple[str, ...]:
        """Remove these paths. Returns the remaining ones."""
        return await self._answer_paths(CommandName.UNSUBSCRIBE, paths, timeout_s)

    @overload
    def on(self, path: str) -> Callable[[H], H]: ...
    @overload
    def on(self, path: str, handler: H) -> H: ...
    def on(self, path: str, handler: H | None = None) -> H | Callable[[H], H]:
        """
        Call `handler(name, data)` for each event of this path and below it.

        `data` is a `Session` for `session.set`, and for other events what the sender passed.
        Handlers, sync or async, run one at a time in the order of the events, and may await
        commands. Three events come from the client itself: `events.lost` with `{"count": n}`
        where events were dropped because handlers are too slow, `session.recovered` with
        `{"recovered": bool}` when the session was resumed, and `closed` with `error` when the
        client is closed for good. Works as a decorator too.
        """
        if handler is None:
            return lambda function: self.on(path, function)
        self._handlers.on(path, handler)
        return handler

    def off(self, path: str, handler: Handler) -> None:
        """Remove a handler that was added with `on`."""
        self._handlers.off(path, handler)

    def events(self, *paths: str, buffer: int = 256) -> Stream[Event]:
        """
        Return an iterator over the events of these paths, or all, from this call on.

        When `buffer` events wait to be taken, later ones are dropped, and the iteration raises
        `EventsLost` in their place; entered again, it continues. It ends when the client is
        closed, and raises `error` if the client failed.
        """
        wanted = paths or ("",)
        return self._events.open(
            buffer, lambda event: any(matches(path, event.name) for path in wanted)
        )

    async def now(self, *, timeout_s: float | None = None) -> int:
        """Return the server's time, in Unix milliseconds."""
        now: int = await self._answer(CommandName.NOW, [], timeout_s)
        return now

    def _ask(
        self,
        method: CommandName,
        params: _Params,
        callback: Callback | None,
        timeout_s: float | None,
    ) -> Coroutine[Any, Any, Any] | None:
        if callback is None:
            return self._answer(method, params, timeout_s)
        # Submitted before this returns, so that commands run in the order of the calls.
        pending = self._pending_calls.submit(method, params)
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        self._tasks.start(self._pending_calls.run_callback(pending, callback, timeout_s))
        return None

    async def _answer(
        self, method: CommandName, params: _Params, timeout_s: float | None
    ) -> Any:
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        return await self._pending_calls.wait(
            self._pending_calls.submit(method, params), timeout_s
        )

    async def _answer_paths(
        self, method: CommandName, paths: tuple[str, ...], timeout_s: float | None
    ) -> tuple[str, ...]:
        subscribed: tuple[str, ...] = await self._answer(method, [[*paths]], timeout_s)
        return subscribed
