"""
Reads the store's history while it is made, and who is live in the end.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress

from keystay_protocol.codec import unpack
from keystay_protocol.errors import NoSession, Unavailable
from keystay_server.stores import open_store
from keystay_server.stores.events import Emitted, SessionSet, SessionUnset, StoredEvent
from keystay_server.stores.retention import Retention
from tests.soak.record import Entry, Record
from tests.soak.recorder import state_of

READ_EVERY_S = 1.0
PAGE = 100

# That the store is lost now and then is what a run is about.
logging.getLogger("keystay.store").setLevel(logging.CRITICAL)


class Nobody:
    """A listener that no actor has connections to."""

    actors: Collection[str] = ()

    def wants(self, actor_id: str, cursor: int) -> bool:
        """Want nothing."""
        return False

    def announced(self, event: StoredEvent) -> None:
        """Take nothing."""

    def missed(self, actor_ids: Collection[str]) -> None:
        """Miss nothing."""

    def announced_to_all(self, emitted: Emitted) -> None:
        """Take nothing."""


class HistoryReader:
    """
    Copies each actor's history, from the first event on, faster than the store forgets it.

    It has a connection of its own to the store, and asks no node.
    """

    def __init__(self, url: str, retention: Retention, record: Record) -> None:
        self._store = open_store(url, retention)
        self._record = record

    async def start(self) -> None:
        """Connect."""
        await self._store.start(Nobody())

    async def stop(self) -> None:
        """Disconnect."""
        await self._store.stop()

    async def read_until(self, is_over: asyncio.Event, actor_ids: Sequence[str]) -> None:
        """Copy, again and again."""
        while not is_over.is_set():
            with suppress(Unavailable):
                await self.read(actor_ids)
            with suppress(TimeoutError):
                async with asyncio.timeout(READ_EVERY_S):
                    await is_over.wait()

    async def read(self, actor_ids: Sequence[str]) -> None:
        """
        Copy what was added since the last time.

        Raises:
            Unavailable: If the store is out of reach; the copy is good, but not all there is.
        """
        read = await asyncio.gather(*map(self._read_one, actor_ids), return_exceptions=True)
        for error in read:
            if isinstance(error, BaseException):
                raise error

    async def _read_one(self, actor_id: str) -> None:
        entries = self._record.history.setdefault(actor_id, [])
        last = entries[-1].cursor if entries else 0
        history = await self._store.history(actor_id, last)
        if entries and not history.complete:
            raise RuntimeError(f"the store forgot events of {actor_id} before they were read")
        entries.extend(map(_as_entry, history.events))

    async def read_live(self, actor_ids: Sequence[str]) -> None:
        """
        Note who is live.

        Raises:
            Unavailable: If the store is out of reach.
        """
        for actor_id in actor_ids:
            self._record.live[actor_id] = frozenset(await self._live(actor_id))

    async def _live(self, actor_id: str) -> list[str]:
        while True:
            live: list[str] = []
            with suppress(NoSession):  # The last one of a page ended: begin anew.
                while True:
                    page = await self._store.sessions(
                        actor_id, PAGE, live[-1] if live else None
                    )
                    live += [record.id for record in page]
                    if len(page) < PAGE:
                        return live


def _as_entry(event: StoredEvent) -> Entry:
    match event.change:
        case SessionSet(record):
            state = state_of(unpack(record.meta).get("number"), record.language)
            return Entry(
                event.cursor,
                event.previous,
                "set",
                record.id,
                ttl_ms=record.ttl_ms,
                revision=record.revision,
                state=state,
            )
        case SessionUnset(session_id, reason, by):
            return Entry(
                event.cursor,
                event.previous,
                "unset",
                session_id,
                reason,
                by="" if by is None else by.id,
            )
        case _:
            return Entry(event.cursor, event.previous, "app")
