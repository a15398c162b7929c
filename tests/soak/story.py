"""
Records made by hand, for the tests of the checker.
"""

from dataclasses import dataclass, field

from tests.soak.checker import check
from tests.soak.record import (
    Answered,
    Asked,
    Connection,
    Entry,
    Heard,
    Moment,
    Record,
    Request,
)
from tests.soak.violations import Kind

ACTOR = "player:7"
TTL_MS = 1_800_000
SHORT_TTL_MS = 5000
STEP_MS = 10


@dataclass
class Story:
    """A record made by hand: what happens in the store, and what connections see of it."""

    record: Record = field(default_factory=lambda: Record(128, history={ACTOR: []}))
    ms: int = 1_000_000
    order: int = 0

    def now(self, later_ms: int = STEP_MS) -> Moment:
        self.ms += later_ms
        self.order += 1
        return Moment(self.order, self.ms)

    def kinds(self, *live: str) -> set[Kind]:
        """What the checker finds, if these sessions are live in the end."""
        self.record.live[ACTOR] = frozenset(live)
        self.record.read = self.now()
        return {violation.kind for violation in check(self.record)}

    # In the store.

    def write(self, kind: str, id_: str = "", reason: str = "", ttl_ms: int = TTL_MS) -> int:
        """Append to the history; return the cursor."""
        entries = self.record.history[ACTOR]
        previous = entries[-1].cursor if entries else 0
        cursor = self.now().ms * 1024
        entries.append(Entry(cursor, previous, kind, id_, reason, ttl_ms))
        return cursor

    # On a connection.

    def connect(self, *, hears_app: bool = False) -> Connection:
        self.record.connections.append(Connection(ACTOR, hears_app))
        return self.record.connections[-1]

    def ask(self, to: Connection, method: str, id_: str = "", **options: object) -> Asked:
        asked = Asked(self.now(), f"session.{method}", id_, **options)  # type: ignore[arg-type]
        to.log.append(asked)
        return asked

    def answer(self, to: Connection, asked: Asked, **result: object) -> None:
        to.log.append(Answered(self.now(), asked, **result))  # type: ignore[arg-type]

    def tell_set(self, to: Connection, cursor: int | None, id_: str = "s1") -> None:
        to.log.append(Heard(self.now(), "session.set", cursor, id_))

    def tell_unset(self, to: Connection, cursor: int, reason: str, id_: str = "s1") -> None:
        to.log.append(Heard(self.now(), "session.unset", cursor, id_, reason))

    def tell_app(self, to: Connection, cursor: int, number: int) -> None:
        to.log.append(Heard(self.now(), "game.tick", cursor, number=number))

    # All at once.

    def log_in(self, to: Connection, id_: str = "s1", ttl_ms: int = TTL_MS) -> int:
        """Open a session as it should be; return its cursor."""
        asked = self.ask(to, "login")
        cursor = self.write("set", id_, ttl_ms=ttl_ms)
        self.tell_set(to, cursor, id_)
        self.answer(to, asked, session_id=id_, cursor=cursor)
        return cursor

    def restore(
        self, to: Connection, after: int | None, *missed: int, recovered: bool = True
    ) -> int:
        """Restore `s1` and be sent this; return the cursor."""
        asked = self.ask(to, "restore", "s1", after=after)
        cursor = self.write("set", "s1")
        for each in (*missed, cursor):
            self.tell_set(to, each)
        self.answer(to, asked, session_id="s1", cursor=cursor, recovered=recovered)
        return cursor

    def log_out(self, to: Connection, scope: str = "this") -> int:
        """Log out `s1` as it should be; return the cursor."""
        asked = self.ask(to, "logout", "s1", scope=scope)
        cursor = self.write("unset", "s1", "loggedOut")
        self.tell_unset(to, cursor, "loggedOut")
        self.answer(to, asked)
        return cursor

    def close(self, connection: Connection) -> None:
        connection.closed = self.now()

    def request(self, kind: str, status: int, **more: object) -> None:
        """A backend's request, answered now, that was sent before anything else."""
        answered = self.now()
        self.record.requests.append(
            Request(kind, ACTOR, Moment(0, 0), answered=answered, status=status, **more)  # type: ignore[arg-type]
        )
