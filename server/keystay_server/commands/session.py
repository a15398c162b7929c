"""
The `session.` commands (SPEC section 3).
"""

import asyncio
from typing import Any

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import InvalidParams, LoginDisabled, NoSession
from keystay_protocol.frames import MAX_CURSOR
from keystay_server.context import Context
from keystay_server.hub import Bound
from keystay_server.sessions import Opening
from keystay_server.stores.base import SessionSet, StoredEvent

MAX_LISTED = 200
"""Sessions in one reply: with the largest meta each, they fit into what a client must take."""


async def is_valid(context: Context, key: str) -> None:
    """Return if the key opens a live session; change nothing."""
    await context.services.sessions.check(key)


async def restore(context: Context, key: str, options: dict[str, Any] | None) -> dict[str, Any]:
    """Bind the connection to the session that the key opens, and extend it."""
    services = context.services
    after, version = _cursor(options or {}), _version(options or {})

    async def restored() -> list[StoredEvent]:
        return [await services.sessions.restore(key, version)]

    bound = await services.hub.bind(context.peer, key, restored, after)
    return _as_result(bound, key)


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
        Opening(identity.actor_id, identity.meta, identity.language)
    )
    bound = await services.hub.bind(context.peer, key, lambda: services.sessions.create(new))
    return _as_result(bound, key)


async def logout(context: Context, options: dict[str, Any] | None) -> None:
    """End the bound session, the actor's other ones, or all of them. Unbound is success."""
    scope = _scope(options)
    services, seat = context.services, context.peer.seat
    if seat is None:
        return
    ended = await services.sessions.log_out(seat.audience.actor_id, seat.session_id, scope)
    await services.hub.relay(ended)
    if scope is not LogoutScope.OTHERS:
        # It may have ended already, and this connection not have heard of it yet.
        await services.hub.look_again(context.peer)
        services.hub.unbind(context.peer)


async def list_(context: Context) -> list[dict[str, Any]]:
    """Return the actor's live sessions, oldest first, the caller's own marked `current`."""
    seat = context.peer.seat
    if seat is None:
        raise NoSession("the connection is not bound to a session")
    services = context.services
    records = await services.sessions.of_actor(seat.audience.actor_id)
    own = [record for record in records if record.id == seat.session_id]
    if not own:
        await services.hub.look_again(context.peer)
        raise NoSession("the session has ended")
    newest = records[-MAX_LISTED:]
    return [
        {**record.to_session().to_wire(), "current": record.id == seat.session_id}
        for record in (newest if own[0] in newest else own + newest[1:])
    ]


def _as_result(bound: Bound, key: str) -> dict[str, Any]:
    event = bound.event
    assert isinstance(event.change, SessionSet)
    session = event.change.record.to_session(key).to_wire()
    return {"session": session, "cursor": event.cursor, "recovered": bound.is_recovered}


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
