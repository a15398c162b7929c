"""
What a node should be like, without any of its parts: sessions, what happened to
them, and what each connection was told of it.

It knows nothing of streams, gaps and repairs, only of what the node has taken
notice of so far. What it takes notice of it sends at once.
"""

from dataclasses import dataclass, field

from keystay_protocol.commands import LogoutScope
from keystay_server.stores.events import Emitted, SessionSet, SessionUnset, StoredEvent
from keystay_server.stores.records import Policy
from keystay_server.stores.retention import Retention

SET, UNSET = "session.set", "session.unset"
TTL_MS = 1_800_000

Shown = tuple[str, int | str | None]
"""A message in short: an event's name and cursor, or `reply` and its error."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of an actor; `session_id` is None if it is for all of its sessions."""

    name: str
    session_id: str | None
    cursor: int
    at: int

    @classmethod
    def of(cls, event: StoredEvent, now: int) -> "Happening":
        """An event of the store, which happened now."""
        match event.change:
            case SessionSet(record):
                return cls(SET, record.id, event.cursor, now)
            case SessionUnset(session_id):
                return cls(UNSET, session_id, event.cursor, now)
            case Emitted(session_id, name):
                return cls(name, session_id, event.cursor, now)


@dataclass(eq=False, slots=True)
class ActorModel:
    """An actor, and what happened to it."""

    id: str
    retention: Retention
    sessions: list["SessionModel"] = field(default_factory=list)
    log: list[Happening] = field(default_factory=list)
    relayed: int | None = None
    """The last cursor that the node has taken notice of; None if nobody is bound here."""

    @property
    def last(self) -> int:
        """The cursor of the newest event."""
        return self.log[-1].cursor if self.log else 0

    def has(self, session: "SessionModel | None") -> bool:
        """Whether the session is one of the actor's."""
        return session is not None and session.actor is self

    def live(self, now: int) -> list["SessionModel"]:
        """The live sessions, oldest first."""
        return [session for session in self.sessions if session.error_at(now) is None]

    def history(self, after: int, now: int) -> tuple[list[Happening], bool]:
        """What the store remembers after a cursor, and whether that is all there was."""
        if not self.log or self.log[-1].at + self.retention.history_ms <= now:
            return [], after == self.last
        kept = self.log[-self.retention.history_events :]
        forgotten = self.log[: -len(kept)]
        floor = forgotten[-1].cursor if forgotten else kept[0].cursor - 1
        return [event for event in kept if event.cursor > after], floor <= after <= self.last

    def overdue(self, now: int) -> list["SessionModel"]:
        """The sessions whose time is over, and that nobody has ended yet."""
        return [one for one in self.sessions if one.reason is None and one.error_at(now)]

    def expired_under(self, policy: Policy, now: int) -> list["SessionModel"]:
        """Who is found to be over when there is no room for one more session."""
        unended = [one for one in self.sessions if one.reason is None]
        is_full = policy.limit is not None and len(unended) >= policy.limit
        return self.overdue(now) if is_full else []

    def replaced_under(self, policy: Policy, now: int) -> list["SessionModel"] | None:
        """Who has to go for one more session; None if that one is refused."""
        live = self.live(now)
        if policy.limit is None or len(live) < policy.limit:
            return []
        return None if policy.is_strict else live[: len(live) - policy.limit + 1]


@dataclass(eq=False, slots=True)
class SessionModel:
    """A session, dead or alive."""

    key: str
    id: str
    actor: ActorModel
    expires_at: int
    revision: int = 1
    reason: str | None = None

    def restore(self, now: int) -> None:
        """Extend it, if a third of its time is gone."""
        if (self.expires_at - now) * 3 <= TTL_MS * 2:
            self.expires_at = now + TTL_MS

    def error_at(self, now: int) -> str | None:
        """The code that its key answers."""
        return self.reason or ("expired" if now >= self.expires_at else None)

    def ended_by(self, scope: LogoutScope, now: int) -> list["SessionModel"]:
        """The sessions that a logout of this one ends."""
        if self.error_at(now) is not None:
            return []
        match scope:
            case LogoutScope.THIS:
                return [self]
            case LogoutScope.OTHERS:
                return [other for other in self.actor.live(now) if other is not self]
            case LogoutScope.ALL:
                return self.actor.live(now)


@dataclass(slots=True)
class PastModel:
    """What a connection was sent under its last session of an actor."""

    session: SessionModel
    since: int
    """From here on it was sent all of that session."""
    position: int
    """Up to here; and nothing beyond of any session of the actor."""

    def has_had(self, event: Happening) -> bool:
        """Whether the event was sent under it."""
        is_within = self.since < event.cursor <= self.position
        return is_within and event.session_id in (None, self.session.id)


@dataclass(eq=False, slots=True)
class ConnectionModel:
    """A connection, and all that it was sent."""

    session: SessionModel | None = None
    """The session that it is bound to."""
    pasts: dict[str, PastModel] = field(default_factory=dict)
    """By actor; that of the present session too."""
    paths: set[str] = field(default_factory=lambda: {"session"})
    shown: list[Shown] = field(default_factory=list)
    cursors: dict[str, list[int]] = field(default_factory=dict)
    """The cursors among that, by actor."""

    def hears(self, name: str) -> bool:
        """Whether it is subscribed to events of this name."""
        return name.split(".")[0] in self.paths

    def subscribe(self, path: str) -> None:
        """Subscribe to a path: what came before was not sent by it."""
        if path not in self.paths:
            self.paths.add(path)
            for past in self.pasts.values():
                past.since = past.position

    def tell(self, event: Happening) -> None:
        """What it is sent, if this is news of its session."""
        session = self.session
        if session is None or event.session_id not in (None, session.id):
            return
        past = self.pasts[session.actor.id]
        if event.cursor <= past.position:
            return
        past.position = event.cursor
        self.show(session.actor, event)
        if event.name == UNSET:
            self.session = None

    def show(self, actor: ActorModel, event: Happening) -> None:
        """What it is sent of an event that it is to be sent."""
        if self.hears(event.name):
            self.shown.append((event.name, event.cursor))
            self.cursors.setdefault(actor.id, []).append(event.cursor)

    def tell_status(self, now: int) -> None:
        """What it is sent where nobody knows any more what happened to its session."""
        if self.session is None:
            return
        name = SET if self.session.error_at(now) is None else UNSET
        self.tell_all(name)
        if name == UNSET:
            self.session = None

    def tell_all(self, name: str) -> None:
        """What it is sent that has no place in the order."""
        if self.hears(name):
            self.shown.append((name, None))

    def unsent(self, session: SessionModel, missed: list[Happening]) -> list[Happening] | None:
        """What it is to be sent of what it missed; None if some would come too late."""
        past = self.pasts.get(session.actor.id)
        news = [
            event
            for event in missed
            if event.session_id in (None, session.id)
            and not (past is not None and past.has_had(event))
        ]
        is_late = past is not None and any(event.cursor <= past.position for event in news)
        return None if is_late else news

    def bind(self, session: SessionModel, since: int, replay: list[Happening]) -> None:
        """Be bound to a session, and be sent what was missed of it."""
        actor = session.actor
        if self.session is session:
            since = min(since, self.pasts[actor.id].since)
        self.session, self.pasts[actor.id] = session, PastModel(session, since, 0)
        for event in replay:
            self.tell(event)
        self.pasts[actor.id].position = actor.last


@dataclass(slots=True)
class NodeModel:
    """A node: its actors, and its connections, those that are gone included."""

    retention: Retention
    now: int = 0
    actors: dict[str, ActorModel] = field(default_factory=dict)
    connections: list[ConnectionModel] = field(default_factory=list)

    def actor(self, actor_id: str) -> ActorModel:
        """The actor with this id."""
        return self.actors.setdefault(actor_id, ActorModel(actor_id, self.retention))

    def bound_to(self, actor: ActorModel) -> list[ConnectionModel]:
        """The connections that are bound to sessions of the actor."""
        return [one for one in self.connections if actor.has(one.session)]

    def notice(self, actor: ActorModel, coming: ConnectionModel | None = None) -> None:
        """
        Send what the node takes notice of, now that it does.

        A connection that is `coming` to another session of the actor is sent what
        concerns its old one after all others.
        """
        if actor.relayed is None:
            return
        events, is_whole = actor.history(actor.relayed, self.now)
        bound = self.bound_to(actor)
        for one in bound:
            if one is not coming:
                for event in events:
                    one.tell(event)
            if not is_whole:
                one.tell_status(self.now)
            if one is coming:
                for event in events:
                    one.tell(event)
        if events:
            actor.relayed = events[-1].cursor
        self.tidy()

    def restore(self, one: ConnectionModel, session: SessionModel, after: int | None) -> bool:
        """Bind a connection to a session that it restores; whether it is recovered."""
        actor, replay = session.actor, None
        if actor.has(one.session):
            self.notice(actor, one)
            actor.relayed = actor.last
        if after is not None:
            missed, is_complete = actor.history(after, self.now)
            replay = one.unsent(session, missed) if is_complete else None
        since = actor.last if replay is None or after is None else after
        one.bind(session, since, replay or [])
        one.tell_all(SET)
        if actor.relayed is None:
            actor.relayed = actor.last
        self.tidy()
        return replay is not None

    def open(self, one: ConnectionModel, session: SessionModel) -> None:
        """Bind a connection to the session that it has just opened."""
        actor = session.actor
        self.notice(actor, one)
        one.bind(session, actor.last, [])
        one.show(actor, actor.log[-1])
        actor.relayed = actor.last
        self.tidy()

    def look_again(self, one: ConnectionModel) -> None:
        """Send what the node takes notice of because a command meets the end of the session."""
        if one.session is not None and one.session.error_at(self.now) is not None:
            self.notice(one.session.actor)
            one.tell_status(self.now)

    def tidy(self) -> None:
        """Where nobody is bound the node takes no notice of anything."""
        for actor in self.actors.values():
            if not self.bound_to(actor):
                actor.relayed = None
