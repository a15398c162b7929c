"""
The rules of a session's life, the same for every door: a client's command, a
backend's request, the command line.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keystay_protocol.codec import Limits, pack, unpack
from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import InvalidParams, MalformedFrame, NoSession, is_reason
from keystay_protocol.session import (
    MAX_ACTOR_ID_BYTES,
    MAX_META_DEPTH,
    is_actor_id,
    split_key,
)
from keystay_server.keys import actor_of, digest_of, new_key, new_session_id
from keystay_server.stores.base import NewSession, Record, Store, StoredEvent

MAX_META_BYTES = 4096
# A session lies some levels deep in a frame, which a client decodes under limits of its own.
_META_LIMITS = Limits(size=MAX_META_BYTES, depth=MAX_META_DEPTH)
MAX_LANGUAGE_LENGTH = 64
MAX_VERSION_LENGTH = 64
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")  # BCP 47, by form


@dataclass(frozen=True, slots=True)
class Opening:
    """Whose session is to be opened, and how; the times override the configured ones."""

    actor_id: str
    meta: Mapping[str, Any] | None = None
    language: str = "en"
    version: str | None = None
    ttl_s: float | None = None
    max_age_s: float | None = None


class Sessions:
    """
    Opens, checks, extends and ends sessions.

    Args:
        ttl_s: How long a session lives without activity.
        max_age_s: How long it lives at most; None for no bound.
    """

    def __init__(self, store: Store, *, ttl_s: float, max_age_s: float | None) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._max_age_s = max_age_s

    def prepare(self, opening: Opening) -> tuple[str, NewSession]:
        """
        Make the key and the record of a session that is to be opened.

        Raises:
            InvalidParams: If one of the fields is not acceptable; the text names it.
        """
        actor_id = _checked_actor_id(opening.actor_id)
        max_age_s = self._max_age_s if opening.max_age_s is None else opening.max_age_s
        key = new_key(actor_id)
        return key, NewSession(
            id=new_session_id(actor_id),
            actor_id=actor_id,
            digest=digest_of(key),
            meta=_packed_meta(opening.meta or {}),
            language=_checked_language(opening.language),
            version=_checked_version(opening.version),
            ttl_ms=_milliseconds(
                "ttl", self._ttl_s if opening.ttl_s is None else opening.ttl_s
            ),
            max_age_ms=None if max_age_s is None else _milliseconds("maxAge", max_age_s),
        )

    async def create(self, new: NewSession) -> StoredEvent:
        """Open the session that `prepare` made."""
        return await self._store.create(new)

    async def check(self, key: str) -> Record:
        """
        Return the live session that the key opens. Changes nothing.

        Raises:
            InvalidSessionKey: If the string is not a key.
            NoSession, SessionEnded: If it opens none.
        """
        actor_id, _ = split_key(key)
        return await self._store.check(actor_id, digest_of(key))

    async def restore(self, key: str) -> StoredEvent:
        """
        Extend the session that the key opens.

        Raises:
            InvalidSessionKey, NoSession, SessionEnded: As `check` does.
        """
        actor_id, _ = split_key(key)
        return await self._store.restore(actor_id, digest_of(key))

    async def log_out(
        self, actor_id: str, session_id: str, scope: LogoutScope
    ) -> list[StoredEvent]:
        """End the session, the actor's others, or both, as the session's own user wishes."""
        return await self._store.end(actor_id, session_id, scope, "loggedOut")

    async def of_actor(self, actor_id: str) -> list[Record]:
        """
        Return the actor's live sessions, oldest first.

        Raises:
            InvalidParams: If there can be no such actor.
        """
        return await self._store.sessions(_checked_actor_id(actor_id))

    async def show(self, session_id: str) -> Record:
        """
        Return the live session with this id.

        Raises:
            NoSession: If there is none.
        """
        actor_id = actor_of(session_id)
        if actor_id is not None:
            for record in await self._store.sessions(actor_id):
                if record.id == session_id:
                    return record
        raise NoSession("no live session has this id")

    async def revoke(self, session_id: str, reason: str = "revoked") -> list[StoredEvent]:
        """
        End the session with this id, as a backend wishes.

        Raises:
            NoSession: If there is none.
            InvalidParams: If the reason is not a word.
        """
        reason = _checked_reason(reason)
        actor_id = actor_of(session_id)
        if actor_id is not None:
            ended = await self._store.end(actor_id, session_id, LogoutScope.THIS, reason)
            if ended:
                return ended
        raise NoSession("no live session has this id")

    async def revoke_all(self, actor_id: str, reason: str = "revoked") -> list[StoredEvent]:
        """
        End every session of the actor, as a backend wishes.

        Raises:
            InvalidParams: If there can be no such actor, or the reason is not a word.
        """
        return await self._store.end(
            _checked_actor_id(actor_id), None, LogoutScope.ALL, _checked_reason(reason)
        )

    async def probe(self) -> None:
        """
        Return if the store answers. Changes nothing.

        Raises:
            Unavailable: If it is out of reach.
        """
        # Not a check, which the embedded store answers from memory.
        await self._store.sessions("nobody")


def _checked_actor_id(actor_id: str) -> str:
    if not is_actor_id(actor_id):
        raise InvalidParams(f"actorId must be 1 to {MAX_ACTOR_ID_BYTES} bytes of UTF-8")
    return actor_id


def _checked_language(language: str) -> str:
    if len(language) > MAX_LANGUAGE_LENGTH or not _LANGUAGE.fullmatch(language):
        raise InvalidParams("language must be a BCP 47 tag")
    return language


def _checked_version(version: str | None) -> str | None:
    if version is not None and not (
        len(version) <= MAX_VERSION_LENGTH and version.isprintable()
    ):
        raise InvalidParams(f"version must be at most {MAX_VERSION_LENGTH} visible characters")
    return version


def _packed_meta(meta: Mapping[str, Any]) -> bytes:
    try:
        plain = dict(meta)
        packed = pack(plain)
        unpack(packed, _META_LIMITS)
        # Backends read it as JSON, which has neither bytes nor NaN.
        json.dumps(plain, allow_nan=False)
    except MalformedFrame as error:
        raise InvalidParams(f"meta: {error}") from None
    except (TypeError, ValueError, OverflowError):
        raise InvalidParams("meta must be a map of plain data, as JSON has it") from None
    return packed


def _milliseconds(name: str, seconds: float) -> int:
    # The bound keeps every deadline an exact integer in languages whose numbers are doubles.
    if not 0 < seconds <= 100 * 365 * 86_400:
        raise InvalidParams(f"{name} must be more than 0 seconds and at most a hundred years")
    return max(1, round(seconds * 1000))


def _checked_reason(reason: str) -> str:
    if not is_reason(reason):
        raise InvalidParams("reason must be a word, and none of the other error codes")
    return reason
