"""
The client of a backend: a method for each operation of the HTTP API.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from keystay.control._answer import as_unexpected_answer, field_of
from keystay.control._request import delete, get, patch, post, post_once, without_none
from keystay.control.feed import FeedStream
from keystay.control.session import ControlSession
from keystay.control.stats import BoundConnection, Stats
from keystay.options import ControlOptions
from keystay_protocol.errors import InvalidParams, NoSession

if TYPE_CHECKING:
    from keystay.control._transport import HttpTransport

_SESSION_ID = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Control:
    """
    The HTTP API of a server, for backends: create, update and revoke sessions, send events.

        async with keystay.Control("http://127.0.0.1:8331", api_key) as control:
            session = await control.create_session("player:7")

    Every method raises the error that the server answers (`keystay.NoSession`,
    `keystay.SessionLimit`, `keystay.Forbidden` ...), `ConnectFailed` and `ConnectionLost`,
    `Timeout` without an answer within `timeout_s`, `UnexpectedAnswer` if another server
    answers, and `ClientClosed` when it is closed.

    Requests are repeated where that is safe: when the connection breaks, and when the server
    is unreachable or asks to retry, a few times and within `timeout_s`. Requests that create
    sessions or send events have an idempotency key, by which the server recognises a
    repetition. Each call has a new one; a program that repeats calls itself, also after a
    restart, passes its own.

    Use it from any number of tasks, in one event loop. Its repr, errors and logs never
    contain the API key.

    Args:
        url: `http://host:port` or `https://host`, with an optional path before `/v1`.
        api_key: One of the server's API keys.
        timeout_s: The deadline of a call, which includes all attempts.
        options: Settings that rarely change.

    Raises:
        ValueError: If the URL or the API key has the wrong form.
        ImportError: If h11 is not installed: `pip install 'keystay[control]'`.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        timeout_s: float = 10.0,
        options: ControlOptions | None = None,
    ) -> None:
        self._options = options or ControlOptions()
        self._url = _checked_url(url, self._options)
        self._transport = _make_transport(
            self._url, _checked_key(api_key), timeout_s, self._options
        )

    def __repr__(self) -> str:
        return f"<keystay.Control {self._url}>"

    async def __aenter__(self) -> "Control":
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection. Feeds that are iterated over raise `ClientClosed`."""
        self._transport.close()

    async def create_session(
        self,
        actor_id: str,
        *,
        meta: Mapping[str, Any] | None = None,
        language: str | None = None,
        version: str | None = None,
        ttl_s: float | None = None,
        max_age_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> ControlSession:
        """
        Create a session. Only this answer has its key: pass it to the client.

        The server's configuration has the defaults.

        Args:
            meta: JSON values that the client can read.
            ttl_s: How long the session lives without activity.
            max_age_s: How long it lives at most.

        Raises:
            SessionLimit: If the policy allows no more sessions.
        """
        fields = without_none(
            actorId=actor_id,
            meta=None if meta is None else dict(meta),
            language=language,
            version=version,
            ttl=ttl_s,
            maxAge=max_age_s,
        )
        answer = await self._transport.call(post("/v1/sessions", fields, idempotency_key))
        return _read_session(answer)

    async def get_session(self, session_id: str) -> ControlSession:
        """
        Return a live session.

        Raises:
            NoSession: If there is no live session with this id.
        """
        answer = await self._transport.call(get(_session(session_id)))
        return _read_session(answer)

    async def update_session(
        self,
        session_id: str,
        *,
        meta: Mapping[str, Any] | None = None,
        language: str | None = None,
        revision: int | None = None,
    ) -> ControlSession:
        """
        Replace the meta or the language. Connections bound to the session get `session.set`.

        Args:
            revision: The expected revision, so that no other change is overwritten. Such a
                request is not repeated: after a `ConnectionLost`, read the session to see
                whether it was executed.

        Raises:
            NoSession: If there is no live session with this id.
            RevisionConflict: If it has another revision.
        """
        fields = without_none(
            meta=None if meta is None else dict(meta), language=language, revision=revision
        )
        request = patch(_session(session_id), fields, is_repeatable=revision is None)
        return _read_session(await self._transport.call(request))

    async def reassign_session(
        self, session_id: str, actor_id: str, *, idempotency_key: str | None = None
    ) -> ControlSession:
        """
        Create a session like this one for another actor, and end this one as `reassigned`.

        Returns the new session, with its key.

        Raises:
            NoSession: If there is no live session with this id.
            SessionLimit: If the policy allows no more sessions. The old one does not end.
        """
        path = f"{_session(session_id)}/reassign"
        answer = await self._transport.call(post(path, {"actorId": actor_id}, idempotency_key))
        return _read_session(answer)

    async def revoke_session(self, session_id: str, *, reason: str | None = None) -> None:
        """
        End a session. Its connections get the reason, by default `revoked`.

        Raises:
            NoSession: If there is no live session with this id.
        """
        await self._transport.call(
            delete(_session(session_id), query=without_none(reason=reason).items())
        )

    async def list_sessions(self, actor_id: str) -> AsyncIterator[ControlSession]:
        """Iterate over the actor's live sessions, oldest first, each once."""
        seen: set[str] = set()
        after: str | None = None
        while True:
            try:
                sessions, after = await self._page(actor_id, after)
            except NoSession:  # The last session of the page has ended since.
                if after is None:
                    raise
                sessions, after = await self._page(actor_id, None)
            for session in sessions:
                if session.id not in seen:
                    seen.add(session.id)
                    yield session
            if after is None:
                return

    async def _page(
        self, actor_id: str, after: str | None
    ) -> tuple[list[ControlSession], str | None]:
        query = {**_actor(actor_id), **without_none(after=after)}
        page = await self._transport.call(get("/v1/sessions", query=query.items()))
        with as_unexpected_answer():
            entries = field_of(page, "sessions", list)
        next_ = page.get("next")
        sessions = [_read_session(entry) for entry in entries]
        return sessions, next_ if isinstance(next_, str) else None

    async def revoke_sessions(self, actor_id: str, *, reason: str | None = None) -> int:
        """
        End all sessions of an actor; return how many.

        If the request was repeated, those ended by the first attempt are not counted.
        """
        query = {**_actor(actor_id), **without_none(reason=reason)}
        answer = await self._transport.call(delete("/v1/sessions", query=query.items()))
        with as_unexpected_answer():
            return field_of(answer, "ended", int)

    async def emit_to_actor(
        self,
        actor_id: str,
        name: str,
        data: object = None,
        *,
        idempotency_key: str | None = None,
    ) -> int:
        """
        Send an event to all sessions of an actor; clients that are away get it later.

        Returns its cursor.

        Args:
            name: Words joined by dots. Clients that are subscribed to its path get the event.
            data: JSON values.
        """
        fields = {**_actor(actor_id), "name": name, "data": data}
        return await self._emit("/v1/emit", fields, idempotency_key)

    async def emit_to_session(
        self,
        session_id: str,
        name: str,
        data: object = None,
        *,
        idempotency_key: str | None = None,
    ) -> int:
        """
        Send an event to one session; otherwise as `emit_to_actor`.

        Raises:
            NoSession: If there is no live session with this id.
        """
        fields = {"name": name, "data": data}
        return await self._emit(f"{_session(session_id)}/events", fields, idempotency_key)

    async def broadcast(self, name: str, data: object = None) -> None:
        """
        Send an event to all clients that are connected now, and to no others later.

        The request is not repeated: after `ConnectionLost` or `Unavailable` it may have been
        executed.
        """
        await self._transport.call(post_once("/v1/broadcast", {"name": name, "data": data}))

    async def stats(self) -> Stats:
        """Return the counters of the nodes."""
        answer = await self._transport.call(get("/v1/stats"))
        with as_unexpected_answer():
            return Stats.from_json(answer)

    async def connections(self, actor_id: str) -> list[BoundConnection]:
        """Return the connections bound to a session of the actor, at most 200."""
        query = _actor(actor_id).items()
        answer = await self._transport.call(get("/v1/connections", query=query))
        with as_unexpected_answer():
            entries = field_of(answer, "connections", list)
            return [BoundConnection.from_json(entry) for entry in entries]

    def feed(self, *, actors: Sequence[str] = (), position: str | None = None) -> FeedStream:
        """
        Follow the sessions of these actors, or of all.

            async with control.feed() as feed:
                async for event in feed:
                    ...

        Args:
            position: The `position` of the last event that is known, also from an earlier
                run; None begins now.

        Raises:
            InvalidParams: If it cannot be a position.
        """
        if position is not None and not (position.isascii() and position.isprintable()):
            raise InvalidParams("a position is the `position` of an event of the feed")
        return FeedStream(self._transport, actors, position, self._options)

    async def _emit(
        self, path: str, fields: Mapping[str, Any], idempotency_key: str | None
    ) -> int:
        answer = await self._transport.call(post(path, fields, idempotency_key))
        with as_unexpected_answer():
            return field_of(answer, "cursor", int)


def _make_transport(
    url: str, api_key: str, timeout_s: float, options: ControlOptions
) -> "HttpTransport":
    try:
        from keystay.control._transport import HttpTransport
    except ModuleNotFoundError as error:
        if error.name != "h11":
            raise
        raise ImportError(
            "keystay.Control needs h11: pip install 'keystay[control]'", name="h11"
        ) from None
    return HttpTransport(url, api_key, timeout_s, options)


def _checked_url(url: str, options: ControlOptions) -> str:
    parts = urlsplit(url)
    try:
        is_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # The port is not a number.
        is_url = False
    if not is_url or parts.username is not None or parts.query or parts.fragment:
        # The text omits the URL, which may contain a key.
        raise ValueError("the URL of a control port is http://HOST:PORT or https://HOST:PORT")
    if options.ssl is not None and parts.scheme != "https":
        raise ValueError("ControlOptions.ssl is for https://")
    return url.rstrip("/")


def _checked_key(api_key: str) -> str:
    if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise ValueError("an API key is visible ASCII, without spaces")
    return api_key


def _session(session_id: str) -> str:
    # Any other text is not an id, and could become another path on its way.
    if not _SESSION_ID.fullmatch(session_id):
        raise NoSession("no live session has this id")
    return f"/v1/sessions/{session_id}"


def _actor(actor_id: str) -> dict[str, str]:
    # Never in the path: proxies decode it, and remove dot segments and slashes.
    if not actor_id:
        raise InvalidParams("the id of an actor must not be empty")
    return {"actorId": actor_id}


def _read_session(answer: Any) -> ControlSession:
    with as_unexpected_answer():
        return ControlSession.from_wire(answer)
