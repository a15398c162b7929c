"""
The `session.` commands (SPEC section 3).
"""

import asyncio
from collections.abc import Awaitable
from typing import Any

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import InvalidParams, LoginDisabled, NoSession
from keystay_protocol.frames import MAX_CURSOR
from keystay_server.delivery.hub import Bound
from keystay_server.gateway.context import Context
from keystay_server.sessions.service import SessionRequest, Sessions
from keystay_server.stores.events import Restored, StoredEvent

MAX_LISTED = 200
"""Sessions in one reply: with the largest meta each, they fit into what a client must take."""


def is_valid(context: Context, key: str) -> Awaitable[None] | None:
    """Return if the key opens a live session; change nothing."""
    sessions = context.services.sessions
    # Without a coroutine: half of the time.
    return None if sessions.is_known_to_be_live(key) else _checked(sessions, key)


async def _checked(sessions: Sessions, key: str) -> None:
    await sessions.check(key)


async def restore(context: Context, key: str, options: dict[str, Any] | None) -> dict[str, Any]:
    """Bind the connection to the session that the key opens, and extend it."""
    services = context.services
    after, version = _cursor(options or {}), _version(options or {})

    async def restored() -> Restored:
        return await services.sessions.restore(key, version, after)

    return _as_result(await services.hub.bind(context.peer, key, restored, after))


async def login(context: Context, method: str, credentials: Any) -> dict[str, Any]:
    """Open a session for whoever the credentials belong to, and bind the connection to it."""
    services = context.services
    authenticator = services.authenticators.get(method)
    if authenticator is None:
        raise LoginDisabled("this server does not offer that way to log in")
    # From here on in a task: what an embedding program registered may use timeouts.
    await asyncio.sleep(0)
    identity = await authenticator.authenticate(credentials)
    key, new = services.sessions.prepare(
        SessionRequest(identity.actor_id, identity.meta, identity.language)
    )

    async def created() -> StoredEvent:
        events = await services.sessions.create_prepared(new)
        await services.hub.relay(events)
        return events[-1]

    return _as_result(await services.hub.bind(context.peer, key, created))


async def logout(context: Context, options: dict[str, Any] | None) -> None:
    """End the bound session, the actor's other ones, or all of them."""
    scope = _scope(options)
    services, binding = context.services, context.peer.binding
    try:
        if binding is None:
            raise NoSession("the connection is not bound to a session")
        ended = await services.sessions.log_out(
            binding.stream.actor_id, binding.session_id, scope
        )
        await services.hub.relay(ended)
    except NoSession:
        # It has ended, and this connection may not have been sent that yet.
        await services.hub.verify(context.peer)
        if scope is not LogoutScope.THIS:
            raise  # Nothing was ended: that must not look like success.
    if scope is not LogoutScope.OTHERS:
        services.hub.unbind(context.peer)


async def list_(context: Context) -> list[dict[str, Any]]:
    """Return the actor's live sessions, oldest first, the caller's own marked `current`."""
    services, binding = context.services, context.peer.binding
    if binding is None:
        raise NoSession("the connection is not bound to a session")
    actor_id, own_id = binding.stream.actor_id, binding.session_id
    try:
        own = await services.sessions.get(own_id)
    except NoSession:
        await services.hub.verify(context.peer)
        raise NoSession("the session has ended") from None
    newest = await services.sessions.list_page(actor_id, MAX_LISTED, newest=True)
    if own_id not in {record.id for record in newest}:
        newest = [own, *newest[1 - MAX_LISTED :]]
    return [
        {**record.to_session().to_wire(), "current": record.id == own_id} for record in newest
    ]


def _as_result(bound: Bound) -> dict[str, Any]:
    return {"session": bound.session, "cursor": bound.cursor, "recovered": bound.is_recovered}


def _cursor(options: dict[str, Any]) -> int | None:
    cursor = options.get("cursor")
    if cursor is not None and (type(cursor) is not int or not 0 <= cursor <= MAX_CURSOR):
        raise InvalidParams("cursor must be an unsigned integer below 2^53")
    return cursor


def _version(options: dict[str, Any]) -> str | None:
    version = options.get("version")
    if version is not None and type(version) is not str:
        raise InvalidParams("version must be a string")
    return version


def _scope(options: dict[str, Any] | None) -> LogoutScope:
    scope = (options or {}).get("scope")
    try:
        return LogoutScope.THIS if scope is None else LogoutScope(scope)
    except ValueError:
        raise InvalidParams(f"scope must be one of {', '.join(LogoutScope)}") from None
