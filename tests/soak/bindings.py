"""
The bindings of a connection: one for each time that it is bound to a session.

A binding begins with a restore or login and ends with the session, with the
connection, or with the next restore or login.
"""

from dataclasses import dataclass, field

from tests.soak.record import Command, Connection, Event, Moment, Reply

OPENING = ("session.restore", "session.login")


@dataclass(slots=True)
class Binding:
    """
    One binding, as the connection's log shows it.

    `events` are all that came while it was or while it was being made, except for
    those of the other session where the connection moved from one to another.
    `newest` is the greatest cursor of the actor that the connection had received
    when the restore was carried out: nothing older can be replayed in order.
    """

    connection: Connection
    command: Command
    session_id: str
    actor_id: str
    events: list[Event] = field(default_factory=list)
    newest: int = 0
    opened: Reply | None = None
    """The reply to the restore or login; None: the connection broke before."""
    is_refused: bool = False
    closed: Moment | None = None
    """None: it was there to the last."""
    is_logged_out: bool = False
    """It ended because the connection itself asked for that."""
    moved_at: int | None = None
    """The position at which the connection moved to another session of the actor."""

    @property
    def cursors(self) -> list[int]:
        """The cursors of what it received."""
        return [event.cursor for event in self.events if event.cursor is not None]

    @property
    def unset(self) -> Event | None:
        """The end of the session, if it received that."""
        return next((event for event in self.events if event.name == "session.unset"), None)

    def __str__(self) -> str:
        return f"a connection of {self.actor_id} bound to {self.session_id or 'nothing'}"


@dataclass(slots=True)
class Bindings:
    """
    The bindings of one connection.

    `received` has each event with the bindings that it may have been for; none if
    the connection was not bound.
    """

    connection: Connection
    all: list[Binding] = field(default_factory=list)
    received: list[tuple[Event, list[Binding]]] = field(default_factory=list)


class _Log:
    """Divides the log of one connection: where it is bound, and where it is being bound."""

    def __init__(self, connection: Connection) -> None:
        self.bindings = Bindings(connection)
        self._connection = connection
        self._current: Binding | None = None
        self._coming: Binding | None = None
        self._newest: dict[str, int] = {}

    def read(self) -> Bindings:
        """Return the bindings."""
        for item in self._connection.log:
            match item:
                case Command(method=method) if method in OPENING:
                    self._coming = self._begin(item)
                case Reply(command=Command(method=method)) if method in OPENING:
                    self._replied(item)
                case Reply(error=None, command=Command(scope="this" | "all")):
                    if self._current is not None:
                        self._current.is_logged_out = True
                    self._end(self._current, item.at)
                case Event() if not item.name.startswith("server."):
                    self._receive(item)
        for binding in (self._current, self._coming):
            self._end(binding, self._connection.closed)
        return self.bindings

    def _begin(self, item: Command) -> Binding:
        binding = Binding(self._connection, item, item.session_id, item.actor_id)
        binding.newest = self._newest.get(item.actor_id, 0)
        self.bindings.all.append(binding)
        return binding

    def _replied(self, item: Reply) -> None:
        coming, self._coming = self._coming, None
        if coming is None:
            return
        if item.error is not None:
            coming.is_refused, coming.closed = True, item.at
            return
        coming.opened, coming.session_id = item, item.session_id
        current, cursor = self._current, item.cursor or 0
        if current is not None and current.actor_id == coming.actor_id:
            current.moved_at = cursor
            seen = [each for each in current.cursors if each <= cursor]
            coming.newest = max([coming.newest, *seen])
        self._end(current, item.at)
        if coming.closed is None:
            self._current = coming
        self._note(coming.actor_id, cursor)

    def _receive(self, item: Event) -> None:
        current, coming = self._current, self._coming
        is_known = current is not None and current.session_id == item.session_id
        if coming and item.name == "session.set" and not coming.session_id and not is_known:
            coming.session_id = item.session_id  # It is being opened.
        owners: list[Binding] = [
            binding
            for binding in (current, coming)
            if binding is not None and _may_be_for(binding, item)
        ]
        if item.name == "session.set" and item.cursor is None:
            owners = owners[-1:]  # It belongs to the restore that is under way.
        for binding in owners:
            binding.events.append(item)
            if item.name == "session.unset":
                self._end(binding, item.at)
        self.bindings.received.append((item, owners))
        self._note(item.actor_id, item.cursor or 0)

    def _note(self, actor_id: str, cursor: int) -> None:
        self._newest[actor_id] = max(self._newest.get(actor_id, 0), cursor)

    def _end(self, binding: Binding | None, at: Moment | None) -> None:
        if binding is None:
            return
        binding.closed = binding.closed or at
        if binding is self._current:
            self._current = None


def _may_be_for(binding: Binding, event: Event) -> bool:
    if event.session_id:
        return event.session_id == binding.session_id
    return event.actor_id == binding.actor_id


def bindings_of(connection: Connection) -> Bindings:
    """Divide the log of a connection into bindings."""
    return _Log(connection).read()
