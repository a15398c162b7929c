"""
What a node should be like, without any of its parts: sessions, what happened to
them, and what each connection was told of it.

It knows nothing of seats, holes and healing, only of what the node has taken
notice of so far. What it takes notice of it tells at once.
"""

from dataclasses import dataclass, field

from keystay_protocol.commands import LogoutScope
from keystay_server.stores.base import (
    Emitted,
    Policy,
    Retention,
    SessionSet,
    SessionUnset,
    StoredEvent,
)

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


@dataclass(eq=False, slots=True)
class ConnectionModel:
    """A connection, and all that it was sent."""

    session: SessionModel | None = None
    actor: ActorModel | None = None
    """Whose session it is bound to, or was last."""
    stay: SessionModel | None = None
    """The session that it is bound to, or was last."""
    since: int = -1
    """From here on it has been told what it is owed of that session."""
    after: int = -1
    """Up to here it has been told what it is owed of that actor."""
    sent: int = -1
    """The last cursor of the actor that it heard."""
    paths: set[str] = field(default_factory=lambda: {"session"})
    shown: list[Shown] = field(default_factory=list)
    cursors: dict[str, list[int]] = field(default_factory=dict)
    """The cursors among that, by actor."""

    def hears(self, name: str) -> bool:
        """Whether it is subscribed to events of this name."""
        return name.split(".")[0] in self.paths

    def tell(self, event: Happening) -> None:
        """What it is sent, if this is news of its session."""
        session = self.session
        if session is None or event.cursor <= self.after:
            return
        if event.session_id not in (None, session.id):
            return
        self.after = event.cursor
        if self.hears(event.name):
            self.sent = event.cursor
            self.shown.append((event.name, event.cursor))
            self.cursors.setdefault(session.actor.id, []).append(event.cursor)
        if event.name == UNSET:
            self.session = None

    def tell_how_it_stands(self, now: int) -> None:
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

    def has_had(self, event: Happening) -> bool:
        """Whether the event was news to it during its last stay."""
        stay = self.stay
        is_of_the_stay = self.since < event.cursor <= self.after
        return stay is not None and is_of_the_stay and event.session_id in (None, stay.id)

    def recover(self, session: SessionModel, after: int, missed: list[Happening]) -> bool:
        """What it is sent of what it missed of a session; whether that is all of it."""
        late = [
            event
            for event in missed
            if event.cursor <= self.sent
            and event.session_id in (None, session.id)
            and not self.has_had(event)
        ]
        if late:
            return False
        if self.stay is not session:
            self.since = max(after, self.sent)
        self.session = self.stay = session
        self.after = self.sent
        for event in missed:
            self.tell(event)
        return True

    def open(self, session: SessionModel, opening: Happening) -> None:
        """What it is sent when it is bound to a session."""
        self.session = self.stay = session
        self.after = opening.cursor - 1
        self.tell(opening)


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
        return [one for one in self.connections if one.session in actor.sessions]

    def notice(self, actor: ActorModel, coming: ConnectionModel | None = None) -> None:
        """
        Tell what the node takes notice of, now that it does.

        A connection that is `coming` to the session of the last event is told of its
        old one what precedes that.
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
                one.tell_how_it_stands(self.now)
            if one is coming:
                for event in events[:-1]:
                    one.tell(event)
        if events:
            actor.relayed = events[-1].cursor
        self.tidy()

    def bind(self, one: ConnectionModel, session: SessionModel, after: int | None) -> bool:
        """Bind a connection to the session that was just opened; whether it is recovered."""
        actor = session.actor
        opening = actor.log[-1]
        missed, is_recovered = (
            actor.history(after, self.now) if after is not None else ([], False)
        )
        self.notice(actor, one)
        if one.actor is not actor:
            one.actor, one.stay = actor, None
            one.since = one.after = one.sent = -1
        is_recovered = is_recovered and one.recover(session, after or 0, missed[:-1])
        if not is_recovered and one.session is not session:
            one.since = opening.cursor - 1
        one.open(session, opening)
        actor.relayed = opening.cursor
        self.tidy()
        return is_recovered

    def look_again(self, one: ConnectionModel) -> None:
        """Tell what the node takes notice of because a command meets the end of the session."""
        if one.session is not None and one.session.error_at(self.now) is not None:
            self.notice(one.session.actor)
            one.tell_how_it_stands(self.now)

    def tidy(self) -> None:
        """Where nobody is bound the node takes no notice of anything."""
        for actor in self.actors.values():
            if not self.bound_to(actor):
                actor.relayed = None
