"""
Gives a session to another actor: the old one ends, and a new one is created.

Two actors are two places in the store, so this takes two writes. The end comes first:
of several requests at once one succeeds, and the others change nothing. If the server
dies between the writes, the user is logged out. A backend that got no answer repeats the
request and gets the new session, if there is one.
"""

import asyncio
from dataclasses import replace

from keystay_protocol.codec import unpack
from keystay_protocol.errors import InvalidParams, NoSession
from keystay_server.sessions.fields import checked_actor_id
from keystay_server.sessions.idempotency import IdempotencyKey
from keystay_server.sessions.service import CreatedSession, SessionRequest, Sessions
from keystay_server.stores.records import Record

_LOOKS, _LOOK_AGAIN_S = 5, 0.05


async def reassign(
    sessions: Sessions,
    session_id: str,
    actor_id: str,
    idempotency_key: IdempotencyKey | None = None,
) -> CreatedSession:
    """
    Give a session to another actor.

    The new one has the meta, language, version, ttl and maximum age of the old one, and
    begins anew. The event of the end is the first of its events.

    Raises:
        NoSession: If there is no live session with this id.
        InvalidParams: If there can be no such actor, or it is the same one.
        SessionLimit: If the policy refuses one more. The old one lives on, unless
            the last place was taken in this very moment.
        IdempotencyConflict, SessionEnded: As `Sessions.create` does.
    """
    if idempotency_key is not None and (
        repeat := await _created_by(sessions, idempotency_key, actor_id)
    ):
        return repeat
    try:
        old = await sessions.get(session_id)
        if checked_actor_id(actor_id) == old.actor_id:
            raise InvalidParams("actorId is that of the session already")
        await sessions.check_limit(actor_id)
        ended = await sessions.revoke(session_id, "reassigned")
    except NoSession:
        if idempotency_key is not None and (
            repeat := await _created_soon(sessions, idempotency_key, actor_id)
        ):
            return repeat
        raise
    created = await sessions.create(_like(old, actor_id), idempotency_key)
    return replace(created, events=[*ended, *created.events])


async def _created_by(
    sessions: Sessions, idempotency_key: IdempotencyKey, actor_id: str
) -> CreatedSession | None:
    key = idempotency_key.key(checked_actor_id(actor_id))
    try:
        return CreatedSession(key, await sessions.check(key), [], is_repeat=True)
    except NoSession:
        return None


async def _created_soon(
    sessions: Sessions, idempotency_key: IdempotencyKey, actor_id: str
) -> CreatedSession | None:
    """Wait a moment for the same request, which may be about to create the session."""
    for _ in range(_LOOKS):
        await asyncio.sleep(_LOOK_AGAIN_S)
        if repeat := await _created_by(sessions, idempotency_key, actor_id):
            return repeat
    return None


def _like(old: Record, actor_id: str) -> SessionRequest:
    """Ask for a session like the old one, for another actor."""
    return SessionRequest(
        actor_id,
        meta=unpack(old.meta),
        language=old.language,
        version=old.version,
        ttl_s=old.ttl_ms / 1000,
        max_age_s=old.ends_at and (old.ends_at - old.created_at) / 1000,
    )
