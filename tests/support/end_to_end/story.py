"""
What happens to sessions on one node, and what the connections on another are told of it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from keystay_server.sessions.keys import actor_of
from keystay_server.sessions.policy import Rules
from keystay_server.sessions.service import SessionRequest, Sessions
from keystay_server.stores.base import Store
from keystay_server.stores.events import SessionSet, SessionUnset, StoredEvent
from keystay_server.stores.redis import RedisStore
from keystay_server.stores.retention import Retention
from tests.support.raw_client import RawClient, connected
from tests.support.stores.installation import Heard

EVENTS = 10_000
"""How many an actor's history holds: the store remembers the whole story."""
META = {"name": "x" * 2000}
ACTORS = ("alice", "bob", "carol")
SESSIONS, HOLDERS = 2, 3
"""Of each actor, and of each session."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A connection that holds a session, and gets what happens after the cursor `since`."""

    client: RawClient
    key: str
    since: int

    def owed(self, history: list[StoredEvent], id_: str) -> list[tuple[str, Any, int]]:
        """What it is to be told, exactly."""
        return [
            _told(event, self.key)
            for event in history
            if event.cursor > self.since and _session_of(event) == id_
        ]

    async def hear(self, number: int) -> None:
        """Wait until it was told so many events and, behind them, the time."""
        while len(self.heard()) < number:
            await self.client.receive()
        assert (await self.client.call("time.now"))[0] is None

    def heard(self) -> list[tuple[str, Any, int | None]]:
        """What it was told, after the session that its restore brought."""
        restored, *events = self.client.events()
        assert restored[0] == "session.set"
        assert restored[2] is None
        return events


class Story:
    """Sessions that connections to one node hold, and things that happen on another one."""

    def __init__(
        self, node_url: str, store: Store, random: Random, cleanup: AsyncExitStack
    ) -> None:
        self.holders: dict[str, list[Holder]] = {}
        """By the id of the session."""
        self._node_url = node_url
        self._cleanup = cleanup
        self._store = store
        self._random = random
        self._sessions = Sessions(store, Rules(1800))
        self._held: dict[str, str] = {}  # Keys, by the id of the session.
        self._unheld: list[str] = []  # Ids.

    async def begin(self) -> None:
        """Open the sessions, and have each held by some connections."""
        for actor_id in ACTORS * SESSIONS:
            id_, key = await self._open(actor_id)
            self._held[id_] = key
            self.holders[id_] = [await self._join(key) for _ in range(HOLDERS)]

    async def join(self) -> None:
        """Have one more connection hold one of the sessions."""
        id_ = self._random.choice(list(self._held))
        self.holders[id_].append(await self._join(self._held[id_]))

    async def go_on(self, changes: int) -> None:
        """Let things happen to sessions, some of which nobody holds; many at once."""
        await asyncio.gather(*(self._change() for _ in range(changes)))

    async def end_some(self) -> None:
        """End half of the sessions that are held."""
        for id_ in self._random.sample(sorted(self._held), k=(len(self._held) + 1) // 2):
            del self._held[id_]
            await self._sessions.revoke(id_)

    async def show_up(self) -> None:
        """Let one more thing happen to each actor, to sessions that nobody holds."""
        for actor_id in ACTORS:
            await self._open(actor_id)

    async def check_what_was_told(self) -> None:
        """Each holder hears what the store's history has for it: no more, no less, in order."""
        for id_, holders in self.holders.items():
            actor_id = actor_of(id_)
            assert actor_id is not None
            history = (await self._store.history(actor_id, 0)).events
            assert history[0].previous == 0, "some of the story was forgotten"
            owed = [holder.owed(history, id_) for holder in holders]
            async with asyncio.timeout(15):
                for holder, events in zip(holders, owed, strict=True):
                    await holder.hear(len(events))
            assert [holder.heard() for holder in holders] == owed

    async def _change(self) -> None:
        match self._random.choices(("change", "open", "end"), weights=(8, 1, 1)):
            case ["change"] if self._held:
                await self._sessions.update(self._random.choice(list(self._held)), meta=META)
            case ["end"] if self._unheld:
                await self._sessions.revoke(self._unheld.pop())
            case _:
                id_, _ = await self._open(self._random.choice(ACTORS))
                self._unheld.append(id_)

    async def _join(self, key: str) -> Holder:
        connecting = connected(self._node_url, max_queue=None)
        client = await self._cleanup.enter_async_context(connecting)
        error, result = await client.call("session.restore", key)
        assert error is None, error
        return Holder(client, key, result["cursor"])

    async def _open(self, actor_id: str) -> tuple[str, str]:
        key, new = self._sessions.prepare(SessionRequest(actor_id, META))
        await self._sessions.create_prepared(new)
        return new.id, key


@asynccontextmanager
async def telling(node_url: str, store_url: str, random: Random) -> AsyncIterator[Story]:
    """Begin a story on that node; what happens comes from another one over the store."""
    store = RedisStore.from_url(store_url, Retention(history_events=EVENTS))
    await store.start(Heard())
    try:
        async with AsyncExitStack() as cleanup:
            story = Story(node_url, store, random, cleanup)
            await story.begin()
            yield story
    finally:
        await store.stop()


def _told(event: StoredEvent, key: str) -> tuple[str, Any, int]:
    """The event as a holder of the key gets it: name, data, cursor."""
    change = event.change
    if isinstance(change, SessionSet):
        return "session.set", change.record.to_session(key).to_wire(), event.cursor
    assert isinstance(change, SessionUnset)
    return "session.unset", {"reason": change.reason, "id": change.session_id}, event.cursor


def _session_of(event: StoredEvent) -> str | None:
    change = event.change
    return change.record.id if isinstance(change, SessionSet) else change.session_id
