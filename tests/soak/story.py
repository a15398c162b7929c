"""
Records made by hand, for the tests of the checker.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from keystay_server.stores.records import UNLIMITED, Policy
from tests.soak.checker import check
from tests.soak.record import (
    Absence,
    Command,
    Connection,
    Entry,
    Event,
    FeedItem,
    Item,
    Moment,
    Record,
    Reply,
    Request,
)
from tests.soak.violations import Kind

ACTOR = "player:7"
OTHER = "player:8"
TTL_MS = 1_800_000
SHORT_TTL_MS = 5000
STEP_MS = 10


def with_(item: Item, **changes: Any) -> Item:
    """The item of a log, with other values."""
    return replace(item, **changes)


@dataclass
class Story:
    """A record made by hand: what happens in the store, and what connections see of it."""

    policy: Policy = UNLIMITED
    record: Record = field(init=False)
    ms: int = 1_000_000
    order: int = 0

    def __post_init__(self) -> None:
        self.record = Record(128, self.policy, history={ACTOR: [], OTHER: []})

    def now(self, later_ms: int = STEP_MS) -> Moment:
        self.ms += later_ms
        self.order += 1
        return Moment(self.order, self.ms)

    def kinds(self, *live: str) -> set[Kind]:
        """What the checker finds, if these sessions are live in the end."""
        for actor_id, entries in self.record.history.items():
            ids = {entry.session_id for entry in entries if entry.kind == "set"}
            self.record.live[actor_id] = frozenset(ids & set(live))
        self.record.live[ACTOR] |= frozenset(set(live) - frozenset(self._known()))
        self.record.read = self.now()
        return {violation.kind for violation in check(self.record)}

    def _known(self) -> set[str]:
        entries = [entry for each in self.record.history.values() for entry in each]
        return {entry.session_id for entry in entries}

    # In the store.

    def write(self, kind: str, id_: str = "", *, actor_id: str = ACTOR, **more: Any) -> int:
        """Append to the history; return the cursor."""
        entries = self.record.history[actor_id]
        previous = entries[-1].cursor if entries else 0
        cursor = self.now().ms * 1024
        if kind == "set":
            before = [each for each in entries if (each.kind, each.session_id) == ("set", id_)]
            more = {"ttl_ms": TTL_MS, "revision": len(before) + 1, "state": "0 en", **more}
        entries.append(Entry(cursor, previous, kind, id_, **more))
        return cursor

    def end(self, id_: str = "s1", reason: str = "ban1", **more: Any) -> int:
        """Write that the session ended, for a reason that a backend gave; return the cursor."""
        cursor = self.write("unset", id_, reason=reason, **more)
        if reason.startswith("ban"):
            self.request("end", 204, session_id=id_, reason=reason)
        return cursor

    def newest(self, actor_id: str = ACTOR) -> int:
        """The position of the actor."""
        entries = self.record.history[actor_id]
        return entries[-1].cursor if entries else 0

    # On a connection.

    def connect(self, node: int = 0, *, hears_app: bool = False) -> Connection:
        self.record.connections.append(Connection(node, hears_app))
        return self.record.connections[-1]

    def ask(self, to: Connection, method: str, id_: str = "", **options: Any) -> Command:
        options = {"actor_id": ACTOR, **options}
        command = Command(self.now(), f"session.{method}", session_id=id_, **options)
        to.log.append(command)
        return command

    def answer(self, to: Connection, command: Command, **result: Any) -> None:
        to.log.append(Reply(self.now(), command, **result))

    def send_set(
        self, to: Connection, cursor: int | None, id_: str = "s1", **more: Any
    ) -> None:
        more = {"actor_id": ACTOR, "state": "0 en", **more}
        to.log.append(Event(self.now(), "session.set", cursor, session_id=id_, **more))

    def send_unset(
        self, to: Connection, cursor: int | None, reason: str = "ban1", id_: str = "s1"
    ) -> None:
        to.log.append(Event(self.now(), "session.unset", cursor, ACTOR, id_, reason))

    def send_app(self, to: Connection, cursor: int, number: int, actor_id: str = ACTOR) -> None:
        to.log.append(Event(self.now(), "game.tick", cursor, actor_id, number=number))

    # All at once.

    def log_in(
        self,
        to: Connection,
        id_: str = "s1",
        *,
        actor_id: str = ACTOR,
        ttl_ms: int = TTL_MS,
        makes_room: tuple[str, ...] = (),
    ) -> int:
        """Open a session as it should be; return its cursor."""
        command = self.ask(to, "login", actor_id=actor_id)
        for replaced in makes_room:
            self.end(replaced, "replaced", actor_id=actor_id, by=id_)
        cursor = self.write("set", id_, actor_id=actor_id, ttl_ms=ttl_ms)
        self.send_set(to, cursor, id_, actor_id=actor_id)
        self.answer(to, command, session_id=id_, cursor=cursor, state="0 en")
        return cursor

    def restore(
        self,
        to: Connection,
        after: int | None = None,
        *missed: int,
        id_: str = "s1",
        state: str = "0 en",
        recovered: bool | None = None,
        **more: Any,
    ) -> int:
        """Restore a session as it should be, and be sent what was missed; return the cursor."""
        is_recovered = after is not None if recovered is None else recovered
        command = self.ask(to, "restore", id_, after=after)
        position = self.newest()
        for each in missed:
            self.send_set(to, each, id_)
        self.send_set(to, None, id_, state=state)
        self.answer(
            to,
            command,
            session_id=id_,
            cursor=position,
            recovered=is_recovered,
            state=state,
            **more,
        )
        return position

    def log_out(self, to: Connection, scope: str = "this") -> int:
        """Log out `s1` as it should be; return the cursor."""
        command = self.ask(to, "logout", "s1", scope=scope)
        cursor = self.end("s1", "loggedOut")
        self.send_unset(to, cursor, "loggedOut")
        self.answer(to, command)
        return cursor

    def close(self, connection: Connection) -> None:
        connection.closed = self.now()

    # Around it.

    def request(self, kind: str, status: int, **more: Any) -> None:
        """A backend's request, answered now, that was sent before anything else."""
        sent, answered = Moment(0, 0), self.now()
        more = {"actor_id": ACTOR, "at": sent, "answered": answered, "status": status, **more}
        self.record.requests.append(Request(kind, **more))

    def stop(self, node: int, for_ms: int) -> None:
        """A node is stopped from now on for a time."""
        self.record.absences.append(Absence("stopped", self.ms, self.ms + for_ms, node))

    def read_feed(self) -> list[FeedItem]:
        """Somebody reads the feed as it should be."""
        items = [
            FeedItem(actor_id, entry.cursor, entry.session_id)
            for actor_id, entries in self.record.history.items()
            for entry in entries
            if entry.kind != "app"
        ]
        self.record.feeds.append(items)
        return items
