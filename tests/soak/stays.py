"""
The stays of a connection: one for each time that it is bound to a session.

A stay begins with the restore or login and ends with the session, with the
connection, or with the move to another session.
"""

from dataclasses import dataclass, field

from tests.soak.record import Answered, Asked, Connection, Heard, Moment

OPENING = ("session.restore", "session.login")


@dataclass(slots=True)
class Stay:
    """
    One binding, as the connection's log tells of it.

    `shared` are cursors of the application's events that came while the
    connection was moving from one session to another: either may have been
    told of them. `newest` is the greatest cursor of what it heard outside of
    this stay and before it: nothing older can be replayed in order. `told` are
    those that the connection had heard before: they need not be sent again,
    whatever cursor the client came with.
    """

    connection: Connection
    opening: Asked
    heard: list[Heard] = field(default_factory=list)
    shared: list[int] = field(default_factory=list)
    told: frozenset[int] = frozenset()
    newest: int = 0
    opened: Answered | None = None
    """The first reply that said it was bound; None: it broke before."""
    closed: Moment | None = None
    is_refused: bool = False
    """There was none: nothing is owed to the connection, and nothing to be sent."""
    is_logged_out: bool = False
    """It ended because the connection itself asked for that."""

    @property
    def session_id(self) -> str:
        """The session it is bound to; of a login without a reply, the one it heard of."""
        if self.opened is not None:
            return self.opened.session_id
        named = (event.session_id for event in self.heard if event.session_id)
        return self.opening.session_id or next(named, "")

    def __str__(self) -> str:
        return f"a connection of {self.connection.actor_id} with {self.session_id or 'nothing'}"


class _Log:
    """Divides the log of one connection: where it is bound, and where it is being bound."""

    def __init__(self, connection: Connection) -> None:
        self.stays: list[Stay] = []
        self._connection = connection
        self._current: Stay | None = None
        self._coming: Stay | None = None
        self._told: set[int] = set()
        self._newest = 0

    def read(self) -> list[Stay]:
        """Return the stays."""
        for item in self._connection.log:
            match item:
                case Asked(method=method) if method in OPENING:
                    self._begin(item)
                case Answered(asked=Asked(method=method)) if method in OPENING:
                    self._answered(item)
                case Answered(error=None, asked=Asked(scope="this" | "all")):
                    self._log_out(item)
                case Heard() if not item.name.startswith("server."):
                    self._hear(item)
        self._close(self._current, self._connection.closed)
        if self._coming is not None:
            self._coming.newest = self._newest
        self._close(self._coming, self._connection.closed)
        return self.stays

    def _begin(self, item: Asked) -> None:
        current = self._current
        if current is None or current.session_id != item.session_id:
            self._coming = Stay(self._connection, item, told=frozenset(self._told))

    def _answered(self, item: Answered) -> None:
        coming, self._coming = self._coming, None
        if coming is None:
            return
        coming.newest = self._newest
        if item.error is not None:
            coming.is_refused = True
            self._close(coming, item.at)
            return
        coming.opened = item
        self._close(self._current, item.at)
        self._current = coming
        self._newest = max(self._newest, item.cursor or 0)
        if coming.closed is not None:
            self._close(coming, coming.closed)
            self._current = None

    def _log_out(self, item: Answered) -> None:
        if self._current is not None:
            self._current.is_logged_out = True
            self._close(self._current, item.at)
            self._current = None

    def _hear(self, item: Heard) -> None:
        current, coming = self._current, self._coming
        if coming is None:
            self._newest = max(self._newest, item.cursor or 0)
        if item.number is not None and item.cursor is not None:
            self._told.add(item.cursor)
            if current and coming:
                self._newest = max(self._newest, item.cursor)
                current.shared.append(item.cursor)
                coming.shared.append(item.cursor)
                return
        is_current = current is not None and current.session_id == item.session_id
        stay = current if is_current else coming or current
        if is_current:
            self._newest = max(self._newest, item.cursor or 0)
        if stay is None:
            stay = Stay(self._connection, Asked(item.at, ""), [item], is_refused=True)
            self._close(stay, item.at)
            return
        stay.heard.append(item)
        if item.name == "session.unset":
            stay.closed = item.at
            if stay is current:
                self._close(stay, item.at)
                self._current = None

    def _close(self, stay: Stay | None, at: Moment | None) -> None:
        if stay is not None:
            stay.closed = stay.closed or at
            self.stays.append(stay)


def stays_of(connection: Connection) -> list[Stay]:
    """Divide the log of a connection into stays."""
    return _Log(connection).read()
