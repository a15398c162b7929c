"""
What a program holds: commands, events and the session, over one connection.
"""

from collections.abc import Callable, Coroutine, Generator
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, TypeVar, overload

from keystay._connection import Connection, ConnectionState
from keystay._conversation import Link
from keystay._handlers import Handler, Handlers, call
from keystay._pending_calls import Callback
from keystay._session_saver import Keeper
from keystay._stream import Feed, Stream
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
    Make a client for the server at `url`.

    Use it as `async with connect(url) as client:`, or as
    `client = await connect(url)` with `await client.close()` at the end. Handlers
    registered before that hear everything from the first event on.

    The first connection is tried once, so that a wrong address shows at once;
    a lost one is reopened for as long as it takes.

    Args:
        url: `ws://host:port` or `wss://host`; a ValueError is raised for any other.
        key: A session key to restore with the connection, as by `set_session_key`.
        session_store: Keeps the session between two runs of the program, such as
            `FileSessionStore(path)`. What is in it is restored with the connection,
            unless a key is given; what was missed since is heard then. A key that is
            refused is told as by `set_session_key`, and removed.
        timeout_s: How long a command may take, waiting for a connection included.
        options: What is rarely tuned.
    """
    client = Client(url, session_store, timeout_s, options or Options())
    if key is not None:
        client.set_session_key(key)
    return client


class Client:
    """
    A connection to a server and the session it is bound to. `connect` makes one.

    Every command raises the error it is refused with (`keystay.NoSession`,
    `keystay.Expired` ...), `Timeout` if it is not answered within `timeout_s`,
    `ClientClosed` after the end, and `QueueFull`.

    When the line breaks, the client reconnects, subscribes and restores the
    session by itself, before any other command goes out. Commands given
    meanwhile wait. Those that were on their way are sent again, except `login`
    and `logout`: they raise `ConnectionLost`, for it is unknown whether they ran.
    What happened to it meanwhile is heard then, in order, and `session.recovered`
    tells whether that was all of it.
    If the session cannot be restored any more, `session` becomes None and
    handlers of `session.unset` are told the reason; the client stays connected.

    It belongs to the event loop it was opened on. A key never shows in its
    repr, its errors or its logs.
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
        self._events: Feed[Event] = Feed()
        self._handlers = Handlers()
        self._for_handlers = self._events.open(options.event_buffer)
        self._link = Link(
            version=options.version,
            capacity=options.max_pending,
            limits=replace(FROM_SERVER, size=options.max_message_bytes),
            paths=options.paths,
        )
        self._keeper = Keeper(session_store, options)
        self._connection = Connection(url, self._link, options, self._events, self._keeper)
        self._questions = self._connection.questions
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
            await self._keeper.close()
            raise
        self._tasks.start(self._handlers.run(self._for_handlers))
        return self

    async def close(self) -> None:
        """
        Say goodbye and end everything the client started.

        Handlers and callbacks get `close_timeout_s` to finish with what was
        heard; one of them may call this itself. The session lives on: see `logout`.
        A session store holds the last state when this returns.
        """
        await self._connection.close()
        await self._tasks.finish(self._options.close_timeout_s)
        await self._keeper.close()

    @property
    def state(self) -> ConnectionState:
        """How things stand with the connection."""
        return self._connection.state

    @property
    def error(self) -> KeystayError | None:
        """Why the client is closed, if it was not the program that closed it."""
        return self._connection.error

    def states(self) -> Stream[ConnectionState]:
        """Iterate over the changes of `state` from now on; ends when the client is closed."""
        return self._connection.states()

    async def wait_for(self, state: ConnectionState) -> None:
        """
        Wait until the connection is, or passes through, this state.

        Raises:
            ClientClosed: If it never will be; the cause is `error`.
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
        The session as the server told it last; None if there is none.

        Already new when a handler hears of the change. While reconnecting, what it was.
        """
        return self._link.session

    @property
    def recovered(self) -> bool | None:
        """
        Whether the session was last taken up without a gap, all that was missed being replayed.

        None until it was taken up: after a reconnect, or from a session store.
        False means that events are missing: load anew what the program remembers
        beside `session`. The event `session.recovered` tells of each time.
        """
        return self._link.recovered

    def get_key(self) -> str | None:
        """The key of the session, or the one that is about to be restored."""
        return self._link.key

    def set_session_key(self, key: str) -> None:
        """
        Speak for this key from the next command on.

        The client restores it by itself, now or as soon as it is connected, and
        after each reconnect. The outcome comes as an event: `session.set`, or
        `session.unset` with the code as its reason and None as its id if the key
        is refused (a session that was bound before then stays bound).

        Raises:
            InvalidSessionKey: If it is not even a string that can be sent.
        """
        self._connection.adopt(key)

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

        Await it, and it raises why not; or give a callback, which needs no await.
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

        Without a key, the one of `get_key`. The session lives on for at least two
        thirds of its ttl; only this connection is sent a `session.set`. A refusal changes
        nothing about a session that is bound already. Await it, or give a callback.
        """
        key = self.get_key() if key is None else key
        if key is None:
            if callback is None:
                raise NoSession("there is no key to restore")
            self._tasks.start(call(callback, NoSession.code))
            return None
        params = self._link.restore_params(key)
        return self._ask(CommandName.RESTORE, params, callback, timeout_s)

    async def login(
        self, method: str, credentials: object = None, *, timeout_s: float | None = None
    ) -> Session:
        """
        Open a session with one of the server's authenticators, and bind to it.

        Args:
            method: `anonymous`, `jwt`, or what the server calls it.
            credentials: What the authenticator wants; plain data.
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

        Await it, or give a callback. Without a session, or if it has just ended, `this`
        does nothing; `others` and `all` raise `NoSession`, and no session was ended.
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
        Have the server send the events of these paths, and of everything below them.

        Returns all subscribed paths. A client starts with `session`, without
        which `session.set` and `session.unset` do not arrive; "" is everything.
        """
        return await self._answer_paths(CommandName.SUBSCRIBE, paths, timeout_s)

    async def unsubscribe(self, *paths: str, timeout_s: float | None = None) -> tuple[str, ...]:
        """Undo `subscribe` for these paths. Returns all that remain."""
        return await self._answer_paths(CommandName.UNSUBSCRIBE, paths, timeout_s)

    @overload
    def on(self, path: str) -> Callable[[H], H]: ...
    @overload
    def on(self, path: str, handler: H) -> H: ...
    def on(self, path: str, handler: H | None = None) -> H | Callable[[H], H]:
        """
        Call `handler(path, data)` for each event of this path and everything below it.

        `path` is then the event's own name; `data` is a `Session` for
        `session.set`, and what the sender gave for any other. Handlers, sync or async,
        run one at a time in the order of the events, and may await commands.
        If they are so slow that events must be dropped, they are told
        `events.lost` with `{"count": n}`; when the session was taken up again,
        `session.recovered` with `{"recovered": bool}`. Works as a decorator too.
        """
        if handler is None:
            return lambda function: self.on(path, function)
        self._handlers.on(path, handler)
        return handler

    def off(self, path: str, handler: Handler) -> None:
        """Undo `on`."""
        self._handlers.off(path, handler)

    def events(self, *paths: str, buffer: int = 256) -> Stream[Event]:
        """
        Iterate over the events of these paths, or over all, from this call on.

        When more than `buffer` of them wait to be taken, later ones are dropped
        and the iteration raises `EventsLost` in their place; entered again, it goes
        on. It ends when the client is closed, and raises `error` if it failed.
        """
        heard = paths or ("",)
        return self._events.open(
            buffer, lambda event: any(matches(path, event.name) for path in heard)
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
        # Given before this returns, so that commands run in the order of the calls.
        question = self._questions.give(method, params)
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        self._tasks.start(self._questions.call_back(question, callback, timeout_s))
        return None

    async def _answer(
        self, method: CommandName, params: _Params, timeout_s: float | None
    ) -> Any:
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        return await self._questions.wait(self._questions.give(method, params), timeout_s)

    async def _answer_paths(
        self, method: CommandName, paths: tuple[str, ...], timeout_s: float | None
    ) -> tuple[str, ...]:
        subscribed: tuple[str, ...] = await self._answer(method, [[*paths]], timeout_s)
        return subscribed
