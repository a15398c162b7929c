"""
What a store is, and what every store promises.

A store keeps sessions and the events that tell of them. It is the one place
where two commands about one actor meet, so every rule that must hold for the
whole installation is kept inside one of its methods:

1. Each method is atomic across all nodes; `end` of many sessions is so in steps.
2. Each write is announced once on each node where the actor has connections.
3. The events of one actor have one order. Their cursors grow, and each event
   names the cursor of the one before it.
4. A store that may have missed announcements reports it, and what was missed can
   be read by cursor, as far back as the history reaches.
5. A write that was answered survives a SIGKILL of the server. The extension of a
   session may be written up to a second after it was answered.
6. The creation, change and end of each session is once in the feed, in the order
   of its actor, as part of the same write.
7. A session ends at its deadline, however late a node comes to end it: there is
   always an event, a tombstone and a feed entry. One that is held on a live node
   is not ended because the store could not be written to for a while.
8. No method takes longer because the actor has many sessions, or had many.

`tests/server/stores/contract/test_sessions.py` states and proves them for each store.

Times are Unix milliseconds by the store's own clock, never the caller's.
A store holds a digest of a key, never the key.
"""

from collections.abc import Collection
from typing import Protocol

from keystay_protocol.commands import LogoutScope
from keystay_server.stores.events import Emitted, FeedPage, History, Restored, StoredEvent
from keystay_server.stores.position import Position
from keystay_server.stores.records import (
    UNLIMITED,
    Changes,
    Holding,
    NewSession,
    Policy,
    Record,
)

END_STEP = 100
"""Sessions that one script or transaction ends at most."""


class Listener(Protocol):
    """
    Who a store announces to: the hub of this node.

    Called on the event loop; must not block.
    """

    @property
    def actors(self) -> Collection[str]:
        """The actors with connections here, or about to have some; others are not announced."""

    def wants(self, actor_id: str, cursor: int) -> bool:
        """Whether an event of the actor with this cursor is news here, before it is decoded."""

    def announced(self, event: StoredEvent) -> None:
        """Take an event of one of the actors. It may come late, twice, or after a newer one."""

    def missed(self, actor_ids: Collection[str]) -> None:
        """Announcements about these actors may have been lost."""

    def announced_to_all(self, emitted: Emitted) -> None:
        """Take an event for every connection. It has no cursor, and is not repeated."""


class Store(Protocol):
    """
    Sessions and their events.

    Every method may raise `Unavailable`: the store is out of reach, and nothing
    was changed or it is unknown whether it was. A session past its `expires_at`
    is never returned, restored or changed: its key answers `Expired`.
    """

    async def start(self, listener: Listener) -> None:
        """
        Open the store.

        Raises:
            StoreError: If it can never work as configured. A store that is merely
                out of reach starts, and recovers by itself.
        """

    async def stop(self) -> None:
        """Finish what is in flight and release everything."""

    async def create(self, new: NewSession, policy: Policy = UNLIMITED) -> list[StoredEvent]:
        """
        Open a session, within what the policy allows the actor.

        Returns a `SessionUnset` "replaced" for each session that had to end, the
        oldest first, and then the `SessionSet` that carries the new record.

        Raises:
            SessionLimit: If the policy refuses one more. Nothing is changed.
            AlreadyApplied: If it is to be done `once` and was done before, or if that has
                been forgotten and there is, or was, a session with this digest.
            IdempotencyConflict: If something else was done under the name of its `once`.
        """

    async def probe(self) -> None:
        """
        Return if sessions can be created and ended now.

        Raises:
            Unavailable: If not: the store is out of reach, or refuses to write.
        """

    def peek(self, digest: bytes) -> "Record | None":
        """
        Return the live session with this digest if memory has it; None: ask `check`.

        Only an embedded store has anything in memory.
        """

    async def check(self, actor_id: str, digest: bytes) -> Record:
        """
        Return the live session that the key opens. Changes nothing.

        Raises:
            NoSession: If the key never opened a session, or one that is forgotten.
            SessionEnded: If the session ended; its code is the reason.
        """

    async def restore(self, actor_id: str, digest: bytes, after: int | None = None) -> Restored:
        """
        Return the live session that the key opens, extended, and what was missed.

        Announces nothing. The session is extended if at least a third of its ttl
        is gone; the record has the new deadline.

        Args:
            after: Return the actor's events after this cursor too.

        Raises:
            NoSession, SessionEnded: As `check` does.
        """

    async def touch(self, sessions: Collection[Holding]) -> None:
        """
        Extend sessions because connections are bound to them. Announces nothing.

        One that still has more than two thirds of its ttl is left as it is, so
        that a session held on many nodes is written once per third of its ttl.
        One whose deadline has passed and that has not been ended yet is extended
        all the same; one that has ended, or is past `ends_at`, is passed over.

        Raises:
            Unavailable: If some of them may not have been extended. Try all again.
        """

    async def expire(self) -> list[int]:
        """
        End sessions whose time is over, with a `SessionUnset` "expired" each.

        The nodes share the work: each session is ended once. Returns, for each that
        this call ended, by how many milliseconds that was late. Empty if none is due.

        A store that nobody asked for a while, because it or every node was away,
        ends nothing for a moment: nodes extend first what they hold. Until then it is
        not decided whether a session past its deadline is over: every method that is
        asked for one raises `Unavailable`, and it counts towards a policy's limit.
        """

    async def end(
        self, actor_id: str, session_id: str | None, scope: LogoutScope, reason: str
    ) -> list[StoredEvent]:
        """
        End sessions of the actor; one `SessionUnset` each, oldest session first.

        `session_id` is the session that asks. None asks for all of the actor's
        sessions (with `LogoutScope.ALL`), and then no session has to be live.

        Many are ended in steps of `END_STEP`; those created meanwhile live on.

        Raises:
            NoSession: If the session that asks is not live. Nothing is ended.
            ValueError: If there is no session that asks, and the scope is another.
        """

    async def change(
        self, actor_id: str, session_id: str, changes: Changes, revision: int | None
    ) -> StoredEvent:
        """
        Change a session; its `SessionSet` carries the record. It is not extended.

        Args:
            revision: The revision that the changes are meant for; None: any.

        Raises:
            NoSession: If it is not live.
            RevisionConflict: If it has another revision. Nothing is changed.
        """

    async def emit(self, actor_id: str, emitted: Emitted) -> StoredEvent:
        """
        Append an event of a backend to the actor's history.

        Raises:
            NoSession: If it is for a session, and that is not live.
            AlreadyApplied, IdempotencyConflict: As `create` does, by its `once`.
        """

    async def broadcast(self, emitted: Emitted) -> None:
        """Announce an event to every node, once at most: no history keeps it."""

    async def session(self, actor_id: str, session_id: str) -> Record:
        """
        Return a live session by its id.

        Raises:
            NoSession: If there is none.
        """

    async def sessions(
        self, actor_id: str, most: int, after: str | None = None, *, newest: bool = False
    ) -> list[Record]:
        """
        Return one page of the actor's live sessions, oldest first, `most` at most.

        Args:
            after: Begin after the session with this id; None: with the oldest.
            newest: Return the newest ones instead; not together with `after`.

        Raises:
            NoSession: If the session to begin after is not live.
        """

    async def history(self, actor_id: str, after: int) -> History:
        """Read the actor's events with a cursor greater than `after`, from 0 to 2**53 - 1."""

    async def read_feed(self, after: Position | None, most: int) -> FeedPage:
        """
        Read the entries of the feed after a position, of all actors, `most` at most.

        The entries of one actor are in their order, those of several as they were
        written, more or less. None stands for now: nothing is read but the position.

        Raises:
            NoFeed: If none is kept.
        """

    async def lease(self, name: str, node_id: str, ttl_ms: int) -> bool:
        """
        Have something for oneself for `ttl_ms`, if nobody else has; with 0 give it back.

        Whoever has it may ask again, for longer.
        """

    async def save_position(self, name: str, node_id: str, position: Position) -> bool:
        """Keep a position with what a node has leased; False, and no change, if it has not."""

    async def saved_position(self, name: str) -> Position | None:
        """Return what was saved last."""

    async def report(self, topic: str, node_id: str, data: bytes, ttl_ms: int) -> None:
        """
        Leave word of a node where every node can read it, for `ttl_ms`.

        It takes the place of what the node said on the topic before. It need not
        outlive the store's server.
        """

    async def reports(self, topic: str) -> dict[str, bytes]:
        """Return what nodes have left on the topic, by node, as far as its time is not over."""
