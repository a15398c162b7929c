"""
What a backend holds: a method for each endpoint of the control plane.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from keystay.control._answer import field_of, understood
from keystay.control._request import delete, get, given, patch, post, post_once, segment
from keystay.control.feed import FeedStream
from keystay.control.session import ControlSession
from keystay.control.stats import BoundConnection, Stats
from keystay.options import ControlOptions
from keystay_protocol.errors import InvalidParams, NoSession

if TYPE_CHECKING:
    from keystay.control._transport import Door


class Control:
    """
    A server's control plane, for backends: open, change and end sessions, and tell clients.

        async with keystay.Control("http://127.0.0.1:8331", api_key) as control:
            session = await control.create_session("player:7")

    Every method raises the error it is refused with (`keystay.NoSession`,
    `keystay.SessionLimit`, `keystay.Forbidden` ...), `ConnectFailed` and
    `ConnectionLost`, `Timeout` if it is not answered within `timeout_s`,
    `UnexpectedAnswer` if something else than a control plane answers, and
    `ClientClosed` after the end.

    Requests are sent again by themselves where that is safe: when the line
    breaks, and when the server is out of reach or asks to come back later, a few
    times, and never beyond `timeout_s`. What opens sessions or says something to them
    carries an idempotency key, by which the server knows a repetition. It is made anew for each
    call; a program that itself tries again, perhaps after a restart, gives its own.

    Use it from any number of tasks, in one event loop. The API key never shows in
    its repr, its errors or its logs.

    Args:
        url: `http://host:port` or `https://host`, perhaps with a path before `/v1`.
        api_key: One of the server's API keys.
        timeout_s: How long a call may take, all of its attempts included.
        options: What is rarely tuned.

    Raises:
        ValueError: If the URL or the key cannot be one.
        ImportError: If httpx is not installed, which comes with `keystay[control]`.
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
        self._door = _door(self._url, _checked_key(api_key), timeout_s, self._options)

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
        """Close every connection. Feeds that are still iterated over raise `ClientClosed`."""
        await self._door.close()

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
        Open a session. This is the one answer with its key: hand it to the client.

        What is left out is as the server's configuration has it.

        Args:
            meta: Plain data, as JSON has it, for the client to see.
            ttl_s: How long it lives without activity.
            max_age_s: How long it lives at most.

        Raises:
            SessionLimit: If the policy refuses one more.
        """
        fields = given(
            actorId=actor_id,
            meta=None if meta is None else dict(meta),
            language=language,
            version=version,
            ttl=ttl_s,
            maxAge=max_age_s,
        )
        answer = await self._door.ask(post("/v1/sessions", fields, idempotency_key))
        return _read_session(answer)

    async def get_session(self, session_id: str) -> ControlSession:
        """
        Return a live session.

        Raises:
            NoSession: If there is none with this id.
        """
        answer = await self._door.ask(get(_session(session_id)))
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
        Change the meta or the language, each as a whole; its holders get `session.set`.

        Args:
            revision: The revision that the change is meant for, so that nobody else's is
                overwritten. Such a change is sent once: after a `ConnectionLost`, read
                the session to see whether it was made.

        Raises:
            NoSession: If there is no live session with this id.
            RevisionConflict: If it has another revision.
        """
        fields = given(
            meta=None if meta is None else dict(meta), language=language, revision=revision
        )
        request = patch(_session(session_id), fields, is_repeatable=revision is None)
        return _read_session(await self._door.ask(request))

    async def reassign_session(
        self, session_id: str, actor_id: str, *, idempotency_key: str | None = None
    ) -> ControlSession:
        """
        Open a session like this one for another actor, and end this one as `reassigned`.

        Returns the new one, with its key.

        Raises:
            NoSession: If there is no live session with this id.
            SessionLimit: If the policy refuses one more. The old one lives on.
        """
        path = f"{_session(session_id)}/reassign"
        answer = await self._door.ask(post(path, {"actorId": actor_id}, idempotency_key))
        return _read_session(answer)

    async def revoke_session(self, session_id: str, *, reason: str | None = None) -> None:
        """
        End a session; its holders are told the reason, `revoked` if none is given.

        Raises:
            NoSession: If there is no live session with this id.
        """
        await self._door.ask(delete(_session(session_id), query=given(reason=reason).items()))

    async def list_sessions(self, actor_id: str) -> AsyncIterator[ControlSession]:
        """Iterate over the actor's live sessions, oldest first, each once."""
        told: set[str] = set()
        after: str | None = None
        while True:
            try:
                sessions, after = await self._page(actor_id, after)
            except NoSession:  # It was the last of its page, and has ended since.
                if after is None:
                    raise
                sessions, after = await self._page(actor_id, None)
            for session in sessions:
                if session.id not in told:
                    told.add(session.id)
                    yield session
            if after is None:
                return

    async def _page(
        self, actor_id: str, after: str | None
    ) -> tuple[list[ControlSession], str | None]:
        query = given(after=after).items()
        page = await self._door.ask(get(f"{_actor(actor_id)}/sessions", query=query))
        with understood():
            entries = field_of(page, "sessions", list)
        next_ = page.get("next")
        sessions = [_read_session(entry) for entry in entries]
        return sessions, next_ if isinstance(next_, str) else None

    async def revoke_sessions(self, actor_id: str, *, reason: str | None = None) -> int:
        """
        End all sessions of an actor; return how many there were.

        When it had to be sent twice, those that the first ended are not counted.
        """
        path = f"{_actor(actor_id)}/sessions"
        answer = await self._door.ask(delete(path, query=given(reason=reason).items()))
        with understood():
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
        Say something to all sessions of an actor; who is away hears it when they come back.

        Returns its cursor.

        Args:
            name: Words joined by dots. Clients hear it that are subscribed to its path.
            data: Plain data, as JSON has it.
        """
        path = f"{_actor(actor_id)}/events"
        return await self._emit(path, name, data, idempotency_key)

    async def emit_to_session(
        self,
        session_id: str,
        name: str,
        data: object = None,
        *,
        idempotency_key: str | None = None,
    ) -> int:
        """
        Say something to one session; otherwise as `emit_to_actor`.

        Raises:
            NoSession: If there is no live session with this id.
        """
        path = f"{_session(session_id)}/events"
        return await self._emit(path, name, data, idempotency_key)

    async def broadcast(self, name: str, data: object = None) -> None:
        """
        Say something to whoever is connected now. Who is away never hears it.

        It is sent once: after a `ConnectionLost` or `Unavailable` it may have been said.
        """
        await self._door.ask(post_once("/v1/events", {"name": name, "data": data}))

    async def stats(self) -> Stats:
        """Return what the nodes count."""
        answer = await self._door.ask(get("/v1/stats"))
        with understood():
            return Stats.from_json(answer)

    async def connections(self, actor_id: str) -> list[BoundConnection]:
        """Return the connections that hold a session of the actor; 200 of them at most."""
        answer = await self._door.ask(get(f"{_actor(actor_id)}/connections"))
        with understood():
            entries = field_of(answer, "connections", list)
            return [BoundConnection.from_json(entry) for entry in entries]

    def feed(self, *, actors: Sequence[str] = (), position: str | None = None) -> FeedStream:
        """
        Listen to what happens to the sessions of these actors, or of all.

            async with control.feed() as feed:
                async for event in feed:
                    ...

        Args:
            position: The `position` of the last event of which is known, from this
                program or from one before; without it, what happens from now on is heard.

        Raises:
            InvalidParams: If that was never a position.
        """
        if position is not None and not (position.isascii() and position.isprintable()):
            raise InvalidParams("a position is what an event of the feed said it was")
        return FeedStream(self._door, actors, position, self._options)

    async def _emit(
        self, path: str, name: str, data: object, idempotency_key: str | None
    ) -> int:
        fields = {"name": name, "data": data}
        answer = await self._door.ask(post(path, fields, idempotency_key))
        with understood():
            return field_of(answer, "cursor", int)


def _door(url: str, api_key: str, timeout_s: float, options: ControlOptions) -> "Door":
    try:
        from keystay.control._transport import Door
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        raise ImportError(
            "keystay.Control needs httpx: pip install 'keystay[control]'", name="httpx"
        ) from None
    return Door(url, api_key, timeout_s, options)


def _checked_url(url: str, options: ControlOptions) -> str:
    parts = urlsplit(url)
    try:
        is_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # the port is no number
        is_url = False
    if not is_url or parts.username is not None or parts.query or parts.fragment:
        # It is not quoted: somebody may have put a key into it.
        raise ValueError("the URL of a control plane is http://HOST:PORT or https://HOST:PORT")
    if options.ssl is not None and parts.scheme != "https":
        raise ValueError("ControlOptions.ssl is for https://")
    return url.rstrip("/")


def _checked_key(api_key: str) -> str:
    if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise ValueError("an API key is visible ASCII, without spaces")
    return api_key


def _session(session_id: str) -> str:
    return f"/v1/sessions/{segment(session_id)}"


def _actor(actor_id: str) -> str:
    return f"/v1/actors/{segment(actor_id)}"


def _read_session(answer: Any) -> ControlSession:
    with understood():
        return ControlSession.from_wire(answer)
