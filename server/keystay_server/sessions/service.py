"""
The rules of a session's life, the same for every door: a client's command, a
backend's request, the command line.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from keystay_protocol.codec import unpack
from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import (
    BadVersion,
    Expired,
    InvalidParams,
    NoSession,
    SessionLimit,
)
from keystay_protocol.session import split_key
from keystay_server.sessions.fields import (
    checked_actor_id,
    checked_event_name,
    checked_language,
    checked_reason,
    checked_version,
    milliseconds,
    packed_data,
    packed_meta,
)
from keystay_server.sessions.keys import IdempotencyKey, actor_of, new_key, new_session_id
from keystay_server.stores.base import (
    UNLIMITED,
    Changes,
    Emitted,
    NewSession,
    Policy,
    Record,
    Restored,
    SessionSet,
    Store,
    StoredEvent,
)
from keystay_server.stores.digest import digest_of
from keystay_server.stores.idempotency import AlreadyApplied, IdempotencyRecord

_LOOKS, _LOOK_AGAIN_S = 5, 0.05


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """Whose session is to be opened, and how; the times override the configured ones."""

    actor_id: str
    meta: Mapping[str, Any] | None = None
    language: str = "en"
    version: str | None = None
    ttl_s: float | None = None
    max_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every session that is not opened with other times of its own."""

    ttl_s: float
    """How long a session lives without activity."""
    max_age_s: float | None = None
    """How long it lives at most; None for no bound."""
    policy: Policy = UNLIMITED
    version: str | None = None
    """The application's version: a session of another major.minor is no good any more."""


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """
    A session that was opened for a backend, and the events that tell of it.

    A repeat was opened by the same request before: this is how it is now.
    """

    key: str = field(repr=False)
    record: Record
    events: list[StoredEvent]
    is_repeat: bool = False


class Held(Protocol):
    """What is bound to a session on this node, as far as the rules need it."""

    key: str
    session_id: str


ExtendHeld = Callable[[str, Callable[[Held], bool]], Awaitable[bool]]
"""`Expiry.extend_held`."""


class Sessions:
    """
    Opens, checks, extends and ends sessions, as the rules say.

    Args:
        extend_held: Extends a session that seems to be over and is held on this node.
    """

    def __init__(
        self, store: Store, rules: Rules, extend_held: ExtendHeld | None = None
    ) -> None:
        self._store = store
        self._rules = rules
        self._extend_held = extend_held

    def prepare(
        self, opening: SessionRequest, idempotency_key: IdempotencyKey | None = None
    ) -> tuple[str, NewSession]:
        """
        Make the key and the record of a session that is to be opened.

        Args:
            idempotency_key: For a request that may come twice: it is opened once.

        Raises:
            InvalidParams: If one of the fields is not acceptable; the text names it.
        """
        actor_id = checked_actor_id(opening.actor_id)
        rules = self._rules
        max_age_s = rules.max_age_s if opening.max_age_s is None else opening.max_age_s
        key = new_key(actor_id) if idempotency_key is None else idempotency_key.key(actor_id)
        return key, NewSession(
            id=new_session_id(actor_id),
            actor_id=actor_id,
            digest=digest_of(key),
            meta=packed_meta(opening.meta or {}),
            language=checked_language(opening.language),
            version=rules.version
            if opening.version is None
            else checked_version(opening.version),
            ttl_ms=milliseconds("ttl", rules.ttl_s if opening.ttl_s is None else opening.ttl_s),
            max_age_ms=None if max_age_s is None else milliseconds("maxAge", max_age_s),
            idempotency=_idempotency(idempotency_key, actor_id),
        )

    async def create(self, new: NewSession) -> list[StoredEvent]:
        """
        Open the session that `prepare` made; its `SessionSet` is the last of the events.

        Raises:
            SessionLimit: If the policy refuses one more.
            AlreadyApplied, IdempotencyConflict: As `Store.create`, with an idempotency key.
        """
        return await self._store.create(new, self._rules.policy)

    async def open(
        self, opening: SessionRequest, idempotency_key: IdempotencyKey | None = None
    ) -> OpenedSession:
        """
        Open a session for a backend; the one that it has, if it asks the same again.

        Raises:
            InvalidParams, SessionLimit: As `prepare` and `create` do.
            IdempotencyConflict: If it has asked something else under the same name.
            NoSession, SessionEnded: If it asks again, and the session has ended.
        """
        key, new = self.prepare(opening, idempotency_key)
        try:
            events = await self.create(new)
        except AlreadyApplied:
            return OpenedSession(key, await self.check(key), [], is_repeat=True)
        change = events[-1].change
        assert isinstance(change, SessionSet)
        return OpenedSession(key, change.record, events)

    def is_known_to_be_live(self, key: str) -> bool:
        """
        Tell whether memory has a live session that the key opens; if not, ask `check`.

        The digest of what is not a key is that of no session: the form needs no look.
        """
        record = self._store.peek(digest_of(key))
        return record is not None and self._has_our_version(record.version)

    async def check(self, key: str) -> Record:
        """
        Return the live session that the key opens. Changes nothing.

        Raises:
            InvalidSessionKey: If the string is not a key.
            NoSession, SessionEnded: If it opens none.
            BadVersion: If it was opened with another version of the application.
        """
        actor_id, _ = split_key(key)
        try:
            record = await self._store.check(actor_id, digest_of(key))
        except Expired:
            if not await self._extended(actor_id, lambda held: held.key == key):
                raise
            record = await self._store.check(actor_id, digest_of(key))
        self._check_version(record.version)
        return record

    async def restore(
        self, key: str, version: str | None = None, after: int | None = None
    ) -> Restored:
        """
        Return the session that the key opens, extended, and what was missed.

        Args:
            version: The version of the application that asks.
            after: The newest cursor of the actor that the client has seen.

        Raises:
            InvalidSessionKey, NoSession, SessionEnded, BadVersion: As `check` does.
        """
        actor_id, _ = split_key(key)
        if self._rules.version is not None:
            self._check_version(version)
            await self.check(key)
        try:
            return await self._store.restore(actor_id, digest_of(key), after)
        except Expired:
            if not await self._extended(actor_id, lambda held: held.key == key):
                raise
            return await self._store.restore(actor_id, digest_of(key), after)

    async def _extended(self, actor_id: str, is_meant: Callable[[Held], bool]) -> bool:
        """Whether a session seemed to be over only because it could not be extended."""
        return self._extend_held is not None and await self._extend_held(actor_id, is_meant)

    def _has_our_version(self, version: str | None) -> bool:
        ours = self._rules.version
        return ours is None or version is None or _minor(version) == _minor(ours)

    def _check_version(self, version: str | None) -> None:
        if not self._has_our_version(version):
            raise BadVersion

    async def log_out(
        self, actor_id: str, session_id: str, scope: LogoutScope
    ) -> list[StoredEvent]:
        """
        End the session, the actor's others, or both, as the session's own user wishes.

        Raises:
            NoSession: If the session is not live. Nothing is ended.
        """
        try:
            return await self._store.end(actor_id, session_id, scope, "loggedOut")
        except NoSession:
            if not await self._extended(actor_id, lambda held: held.session_id == session_id):
                raise
            return await self._store.end(actor_id, session_id, scope, "loggedOut")

    async def page(
        self, actor_id: str, most: int, after: str | None = None, *, newest: bool = False
    ) -> list[Record]:
        """
        Return one page of the actor's live sessions, oldest first, as `Store.sessions`.

        Raises:
            InvalidParams: If there can be no such actor.
            NoSession: If the session to begin after is not live.
        """
        return await self._store.sessions(
            checked_actor_id(actor_id), most, after, newest=newest
        )

    async def show(self, session_id: str) -> Record:
        """
        Return the live session with this id.

        Raises:
            NoSession: If there is none.
        """
        actor_id = _actor_with(session_id)
        try:
            return await self._store.session(actor_id, session_id)
        except NoSession:
            if not await self._extended(actor_id, lambda held: held.session_id == session_id):
                raise
            return await self._store.session(actor_id, session_id)

    async def revoke(self, session_id: str, reason: str = "revoked") -> list[StoredEvent]:
        """
        End the session with this id, as a backend wishes.

        Raises:
            NoSession: If there is none.
            InvalidParams: If the reason is not a word.
        """
        reason = checked_reason(reason)
        actor_id = _actor_with(session_id)
        return await self._store.end(actor_id, session_id, LogoutScope.THIS, reason)

    async def revoke_all(self, actor_id: str, reason: str = "revoked") -> list[StoredEvent]:
        """
        End every session of the actor, as a backend wishes.

        Raises:
            InvalidParams: If there can be no such actor, or the reason is not a word.
        """
        return await self._store.end(
            checked_actor_id(actor_id), None, LogoutScope.ALL, checked_reason(reason)
        )

    async def change(
        self,
        session_id: str,
        *,
        meta: Mapping[str, Any] | None = None,
        language: str | None = None,
        revision: int | None = None,
    ) -> StoredEvent:
        """
        Change the meta or the language of a session, as a backend wishes.

        Args:
            meta: Takes the place of the old one as a whole.
            revision: The revision that the change is meant for; None: any.

        Raises:
            NoSession: If there is no live session with this id.
            RevisionConflict: If it has another revision.
            InvalidParams: If one of the fields is not acceptable.
        """
        if meta is None and language is None:
            raise InvalidParams("there is nothing to change: give meta or language")
        changes = Changes(
            None if meta is None else packed_meta(meta),
            None if language is None else checked_language(language),
        )
        return await self._store.change(_actor_with(session_id), session_id, changes, revision)

    async def reassign(
        self, session_id: str, actor_id: str, idempotency_key: IdempotencyKey | None = None
    ) -> OpenedSession:
        """
        Give a session to another actor: the old one ends, and a new one opens for them.

        The new one has the meta, language, version and times to live of the old, and
        begins its life anew. The event of the end is the first of its events.

        Two actors are two places in the store. The end comes first, so that of several
        that ask at once one succeeds, and the others change nothing. If the server
        dies in between, the actor is logged out. A backend that has no answer and asks
        the same again gets the session, if there is one.

        Raises:
            NoSession: If there is no live session with this id.
            InvalidParams: If there can be no such actor, or it is the same one.
            SessionLimit: If the policy refuses one more. The old one lives on, unless
                the last place was taken in this very moment.
            IdempotencyConflict, SessionEnded: As `open` does.
        """
        if idempotency_key is not None and (
            repeat := await self._opened_by(idempotency_key, actor_id)
        ):
            return repeat
        try:
            old = await self.show(session_id)
            if checked_actor_id(actor_id) == old.actor_id:
                raise InvalidParams("actorId is that of the session already")
            await self._refuse_one_more(actor_id)
            ended = await self.revoke(session_id, "reassigned")
        except NoSession:
            if idempotency_key is not None and (
                repeat := await self._opened_soon(idempotency_key, actor_id)
            ):
                return repeat
            raise
        opened = await self.open(_like(old, actor_id), idempotency_key)
        return replace(opened, events=[*ended, *opened.events])

    async def _opened_by(
        self, idempotency_key: IdempotencyKey, actor_id: str
    ) -> OpenedSession | None:
        key = idempotency_key.key(checked_actor_id(actor_id))
        try:
            return OpenedSession(key, await self.check(key), [], is_repeat=True)
        except NoSession:
            return None

    async def _opened_soon(
        self, idempotency_key: IdempotencyKey, actor_id: str
    ) -> OpenedSession | None:
        """Wait a moment for the same request, which may be about to open the session."""
        for _ in range(_LOOKS):
            await asyncio.sleep(_LOOK_AGAIN_S)
            if repeat := await self._opened_by(idempotency_key, actor_id):
                return repeat
        return None

    async def _refuse_one_more(self, actor_id: str) -> None:
        policy = self._rules.policy
        if policy.limit is None or not policy.is_strict:
            return
        if len(await self._store.sessions(actor_id, policy.limit)) >= policy.limit:
            raise SessionLimit

    async def emit(
        self,
        actor_id: str,
        name: str,
        data: object,
        idempotency_key: IdempotencyKey | None = None,
    ) -> StoredEvent:
        """
        Say something to all sessions of the actor.

        It has its place among the events of the actor, and is recovered as they are.

        Raises:
            InvalidParams: If there can be no such actor, or the name or the data is
                not acceptable.
            AlreadyApplied, IdempotencyConflict: As `Store.emit`, if there is a idempotency_key.
        """
        once = _idempotency(idempotency_key, checked_actor_id(actor_id))
        emitted = Emitted(None, checked_event_name(name), packed_data(data), once)
        return await self._store.emit(actor_id, emitted)

    async def emit_to_session(
        self,
        session_id: str,
        name: str,
        data: object,
        idempotency_key: IdempotencyKey | None = None,
    ) -> StoredEvent:
        """
        Say something to one session; otherwise as `emit`.

        Raises:
            NoSession: If there is no live session with this id.
            InvalidParams: If the name or the data is not acceptable.
        """
        actor_id = _actor_with(session_id)
        once = _idempotency(idempotency_key, actor_id)
        emitted = Emitted(session_id, checked_event_name(name), packed_data(data), once)
        return await self._store.emit(actor_id, emitted)

    async def broadcast(self, name: str, data: object) -> None:
        """
        Say something to all that are connected now. It is not repeated.

        Raises:
            InvalidParams: If the name or the data is not acceptable.
        """
        emitted = Emitted(None, checked_event_name(name), packed_data(data))
        await self._store.broadcast(emitted)

    async def probe(self) -> None:
        """
        Return if the store answers. Changes nothing.

        Raises:
            Unavailable: If it is out of reach.
        """
        # Not a check, which the embedded store answers from memory.
        await self._store.sessions("nobody", 1)


def _actor_with(session_id: str) -> str:
    """The actor that a session with this id belongs to; whether there is one is not said."""
    actor_id = actor_of(session_id)
    if actor_id is None:
        raise NoSession("no live session has this id")
    return actor_id


def _like(old: Record, actor_id: str) -> SessionRequest:
    """A session for the actor that is like another one, and begins its life anew."""
    return SessionRequest(
        actor_id,
        meta=unpack(old.meta),
        language=old.language,
        version=old.version,
        ttl_s=old.ttl_ms / 1000,
        max_age_s=old.ends_at and (old.ends_at - old.created_at) / 1000,
    )


def _idempotency(
    idempotency_key: IdempotencyKey | None, actor_id: str
) -> IdempotencyRecord | None:
    if idempotency_key is None:
        return None
    return IdempotencyRecord(idempotency_key.name_for(actor_id), idempotency_key.content.hex())


def _minor(version: str) -> list[str]:
    """Major and minor number: what two versions must share to go together."""
    return version.split(".")[:2]
