"""
The life of a session: created, checked, restored, updated, ended.

Clients' commands and backends' requests follow the same rules here.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

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
from keystay_server.sessions.idempotency import IdempotencyKey
from keystay_server.sessions.keys import actor_of, new_key, new_session_id
from keystay_server.sessions.policy import Rules
from keystay_server.stores.base import Store
from keystay_server.stores.errors import AlreadyApplied
from keystay_server.stores.events import Emitted, Restored, SessionSet, StoredEvent
from keystay_server.stores.records import (
    Changes,
    IdempotencyRecord,
    NewSession,
    Record,
    digest_of,
)
from keystay_server.timing.turns import Turns

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """A session to be created; the times override the configured ones."""

    actor_id: str
    meta: Mapping[str, Any] | None = None
    language: str = "en"
    version: str | None = None
    ttl_s: float | None = None
    max_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class CreatedSession:
    """
    A session that was created for a backend, and the events of its creation.

    For a repeated request: the session as it is now, and no events.
    """

    key: str = field(repr=False)
    record: Record
    events: list[StoredEvent]
    is_repeat: bool = False


class Held(Protocol):
    """A binding of this node, as far as the rules need it."""

    key: str
    session_id: str


ExtendHeld = Callable[[str, Callable[[Held], bool]], Awaitable[bool]]
"""`Expiry.extend_held`."""


class Sessions:
    """
    Creates, checks, extends and ends sessions by the rules.

    Args:
        extend_held: Extends a session that is held on this node although its deadline passed.
    """

    def __init__(
        self, store: Store, rules: Rules, extend_held: ExtendHeld | None = None
    ) -> None:
        self._store = store
        self._rules = rules
        self._extend_held = extend_held
        self._lists = Turns()

    def prepare(
        self, request: SessionRequest, idempotency_key: IdempotencyKey | None = None
    ) -> tuple[str, NewSession]:
        """
        Make the key and the record of a session that is to be created.

        Args:
            idempotency_key: For a request that may be repeated: the session is created once.

        Raises:
            InvalidParams: If one of the fields is not acceptable; the text names it.
        """
        actor_id = checked_actor_id(request.actor_id)
        rules = self._rules
        ttl_s = rules.ttl_s if request.ttl_s is None else request.ttl_s
        max_age_s = rules.max_age_s if request.max_age_s is None else request.max_age_s
        version = request.version
        key = new_key(actor_id) if idempotency_key is None else idempotency_key.key(actor_id)
        return key, NewSession(
            id=new_session_id(actor_id),
            actor_id=actor_id,
            digest=digest_of(key),
            meta=packed_meta(request.meta or {}),
            language=checked_language(request.language),
            version=rules.version if version is None else checked_version(version),
            ttl_ms=milliseconds("ttl", ttl_s),
            max_age_ms=None if max_age_s is None else milliseconds("maxAge", max_age_s),
            idempotency=_record(idempotency_key, actor_id),
        )

    async def create_prepared(self, new: NewSession) -> list[StoredEvent]:
        """
        Create the session that `prepare` made; its `SessionSet` is the last of the events.

        Raises:
            SessionLimit: If the policy refuses one more.
            AlreadyApplied, IdempotencyConflict: As `Store.create`, with an idempotency key.
        """
        return await self._store.create(new, self._rules.policy)

    async def create(
        self, request: SessionRequest, idempotency_key: IdempotencyKey | None = None
    ) -> CreatedSession:
        """
        Create a session for a backend; return the same one if the request is repeated.

        Raises:
            InvalidParams, SessionLimit: As `prepare` and `create_prepared` do.
            IdempotencyConflict: If another request had the same idempotency key.
            NoSession, SessionEnded: If the request is repeated, and the session has ended.
        """
        key, new = self.prepare(request, idempotency_key)
        try:
            events = await self.create_prepared(new)
        except AlreadyApplied:
            return CreatedSession(key, await self.check(key), [], is_repeat=True)
        change = events[-1].change
        assert isinstance(change, SessionSet)
        return CreatedSession(key, change.record, events)

    async def check_limit(self, actor_id: str) -> None:
        """
        Return if the policy would create one more session for the actor.

        Raises:
            SessionLimit: If it refuses one more.
        """
        policy = self._rules.policy
        if policy.limit is None or not policy.is_strict:
            return
        if len(await self._store.sessions(actor_id, policy.limit)) >= policy.limit:
            raise SessionLimit

    def is_known_to_be_live(self, key: str) -> bool:
        """
        Return whether memory has a live session with this key; if not, ask `check`.

        The form of the key is not checked: what is not a key has no session's digest.
        """
        record = self._store.peek(digest_of(key))
        return record is not None and self._has_our_version(record.version)

    async def check(self, key: str) -> Record:
        """
        Return the live session with this key. Changes nothing.

        Raises:
            InvalidSessionKey: If the string is not a key.
            NoSession, SessionEnded: If no live session has it.
            BadVersion: If it was created with another version of the application.
        """
        actor_id, _ = split_key(key)
        record = await self._unless_held(
            actor_id,
            Expired,  # A key that opens nothing costs no search among those held.
            lambda held: held.key == key,
            lambda: self._store.check(actor_id, digest_of(key)),
        )
        self._check_version(record.version)
        return record

    async def restore(
        self, key: str, version: str | None = None, after: int | None = None
    ) -> Restored:
        """
        Return the session with this key, extended, and the events that were missed.

        Args:
            version: The client's version of the application.
            after: The newest cursor of the actor that the client has seen.

        Raises:
            InvalidSessionKey, NoSession, SessionEnded, BadVersion: As `check` does.
        """
        actor_id, _ = split_key(key)
        if self._rules.version is not None:
            self._check_version(version)
            await self.check(key)
        return await self._unless_held(
            actor_id,
            Expired,  # A key that opens nothing costs no search among those held.
            lambda held: held.key == key,
            lambda: self._store.restore(actor_id, digest_of(key), after),
        )

    async def get(self, session_id: str) -> Record:
        """
        Return the live session with this id.

        Raises:
            NoSession: If there is none.
        """
        actor_id = _actor_of(session_id)
        return await self._of_live(
            session_id, lambda: self._store.session(actor_id, session_id)
        )

    async def list_page(
        self, actor_id: str, most: int, after: str | None = None, *, newest: bool = False
    ) -> list[Record]:
        """
        Return one page of the actor's live sessions, oldest first, as `Store.sessions`.

        One list of an actor at a time, so that one client cannot keep the store busy.

        Raises:
            InvalidParams: If there can be no such actor.
            NoSession: If the session to begin after is not live.
        """
        async with self._lists.turn(checked_actor_id(actor_id)):
            return await self._store.sessions(actor_id, most, after, newest=newest)

    async def newest_events(self, actor_id: str, most: int) -> list[StoredEvent]:
        """
        Return the newest events of the actor that the history still has, oldest first.

        Raises:
            InvalidParams: If there can be no such actor.
        """
        async with self._lists.turn(checked_actor_id(actor_id)):
            return (await self._store.history(actor_id, 0)).events[-most:]

    async def update(
        self,
        session_id: str,
        *,
        meta: Mapping[str, Any] | None = None,
        language: str | None = None,
        revision: int | None = None,
    ) -> StoredEvent:
        """
        Change the meta or the language of a session for a backend.

        Args:
            meta: Replaces the old one as a whole.
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
        actor_id = _actor_of(session_id)
        return await self._of_live(
            session_id, lambda: self._store.change(actor_id, session_id, changes, revision)
        )

    async def log_out(
        self, actor_id: str, session_id: str, scope: LogoutScope
    ) -> list[StoredEvent]:
        """
        End the session, the actor's others, or both, for the user of the session.

        Raises:
            NoSession: If the session is not live. Nothing is ended.
        """
        return await self._of_live(
            session_id, lambda: self._store.end(actor_id, session_id, scope, "loggedOut")
        )

    async def revoke(self, session_id: str, reason: str = "revoked") -> list[StoredEvent]:
        """
        End the session with this id for a backend.

        Raises:
            NoSession: If there is none.
            InvalidParams: If the reason is not a word.
        """
        reason = checked_reason(reason)
        actor_id = _actor_of(session_id)
        return await self._of_live(
            session_id,
            lambda: self._store.end(actor_id, session_id, LogoutScope.THIS, reason),
        )

    async def revoke_all(self, actor_id: str, reason: str = "revoked") -> list[StoredEvent]:
        """
        End every session of the actor for a backend.

        Raises:
            InvalidParams: If there can be no such actor, or the reason is not a word.
        """
        return await self._store.end(
            checked_actor_id(actor_id), None, LogoutScope.ALL, checked_reason(reason)
        )

    async def emit_to_actor(
        self,
        actor_id: str,
        name: str,
        data: object,
        idempotency_key: IdempotencyKey | None = None,
    ) -> StoredEvent:
        """
        Send a backend's event to all sessions of the actor.

        It is one of the actor's events: ordered and recovered as the others are.

        Raises:
            InvalidParams: If there can be no such actor, or the name or the data is
                not acceptable.
            AlreadyApplied, IdempotencyConflict: As `Store.emit`, with an idempotency key.
        """
        record = _record(idempotency_key, checked_actor_id(actor_id))
        emitted = Emitted(None, checked_event_name(name), packed_data(data), record)
        return await self._store.emit(actor_id, emitted)

    async def emit_to_session(
        self,
        session_id: str,
        name: str,
        data: object,
        idempotency_key: IdempotencyKey | None = None,
    ) -> StoredEvent:
        """
        Send a backend's event to one session; otherwise as `emit_to_actor`.

        Raises:
            NoSession: If there is no live session with this id.
            InvalidParams: If the name or the data is not acceptable.
        """
        actor_id = _actor_of(session_id)
        record = _record(idempotency_key, actor_id)
        emitted = Emitted(session_id, checked_event_name(name), packed_data(data), record)
        return await self._of_live(session_id, lambda: self._store.emit(actor_id, emitted))

    async def broadcast(self, name: str, data: object) -> None:
        """
        Send a backend's event to all that are connected now. It is not repeated.

        Raises:
            InvalidParams: If the name or the data is not acceptable.
        """
        emitted = Emitted(None, checked_event_name(name), packed_data(data))
        await self._store.broadcast(emitted)

    async def probe(self) -> None:
        """
        Return if sessions can be created and ended.

        Raises:
            Unavailable: If the store is out of reach, or refuses to write.
        """
        await self._store.probe()

    async def _of_live(self, session_id: str, operation: Callable[[], Awaitable[T]]) -> T:
        """Run an operation on the session with this id, which may be held here."""
        actor_id = _actor_of(session_id)
        return await self._unless_held(
            actor_id, NoSession, lambda held: held.session_id == session_id, operation
        )

    async def _unless_held(
        self,
        actor_id: str,
        over: type[Exception],
        is_meant: Callable[[Held], bool],
        operation: Callable[[], Awaitable[T]],
    ) -> T:
        """
        Run an operation on a session; run it again if the session only seems to be over.

        It may be held here, while its extension could not be written for a while.
        """
        try:
            return await operation()
        except over:
            if self._extend_held is None or not await self._extend_held(actor_id, is_meant):
                raise
            return await operation()

    def _has_our_version(self, version: str | None) -> bool:
        ours = self._rules.version
        return ours is None or version is None or _minor(version) == _minor(ours)

    def _check_version(self, version: str | None) -> None:
        if not self._has_our_version(version):
            raise BadVersion


def _actor_of(session_id: str) -> str:
    actor_id = actor_of(session_id)
    if actor_id is None:
        raise NoSession("no live session has this id")
    return actor_id


def _record(idempotency_key: IdempotencyKey | None, actor_id: str) -> IdempotencyRecord | None:
    return None if idempotency_key is None else idempotency_key.record_for(actor_id)


def _minor(version: str) -> list[str]:
    """Major and minor number: two versions that share them go together."""
    return version.split(".")[:2]
