"""
The feed of all sessions on this node: subscriptions from any position on.

One task reads the store's feed while there are subscriptions, and gives each of them
the new entries. A subscription that starts in the past reads by itself until it has
reached the present. The queue of each is bounded: a subscriber that reads too slowly is
cut off, and can resume from the position of the last entry it got.
"""

import asyncio
import json
import logging
from collections import deque
from dataclasses import dataclass
from typing import Any

from keystay_protocol.errors import Unavailable
from keystay_protocol.events import SESSION_SET, SESSION_UNSET
from keystay_server.stores.base import Store
from keystay_server.stores.errors import NoFeed
from keystay_server.stores.events import (
    FeedEntry,
    FeedPage,
    SessionSet,
    SessionUnset,
    moment_of,
)
from keystay_server.stores.position import Position, has_read, moved_to
from keystay_server.stores.records import Record
from keystay_server.telemetry.counts import Counts

FEED_LOST = "feed.lost"
"""The name of the event that stands for missing entries."""

MAX_SUBSCRIPTIONS = 100
MAX_WAITING = 4096
READ_EVERY_S = 0.1
AT_ONCE = 1024

log = logging.getLogger("keystay.feed")


class FeedClosed(Exception):
    """The subscription is over: the server stops, or the subscriber was too slow."""


class TooManySubscriptions(Exception):
    """This node has as many as it serves."""


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An event of the feed, and the position after it."""

    name: str
    data: bytes
    """JSON."""
    position: Position


def name_of(entry: FeedEntry) -> str:
    """Return the name of the entry's event."""
    match entry.change:
        case SessionSet():
            return SESSION_SET
        case SessionUnset():
            return SESSION_UNSET


def json_of(entry: FeedEntry) -> dict[str, Any]:
    """Return the data of the entry's event, for JSON. There is no key in it."""
    head = {
        "actorId": entry.actor_id,
        "cursor": entry.cursor,
        "at": moment_of(entry.cursor),
    }
    match entry.change:
        case SessionSet(record):
            return {**head, "session": _session(record)}
        case SessionUnset(session_id, reason, by):
            unset = {**head, "id": session_id, "reason": reason}
            return unset if by is None else {**unset, "by": by.to_wire()}


def _session(record: Record) -> dict[str, Any]:
    return {**record.to_session().to_wire(), "revision": record.revision}


@dataclass(frozen=True, slots=True)
class _Encoded:
    """An entry, encoded once for all subscriptions."""

    entry: FeedEntry | None
    name: str
    data: bytes


_LOST = _Encoded(None, FEED_LOST, b"{}")


class Subscription:
    """
    One subscriber's events, from a position on.

    Args:
        actors: The actors whose events it gets; none: all.
        most: How many entries may wait.
    """

    def __init__(
        self, feed: "Feed", position: Position, actors: frozenset[str], most: int
    ) -> None:
        self.position = position
        """All entries up to here were returned, or were about other actors."""
        self._feed = feed
        self._actors = actors
        self._most = most
        self._is_live = False
        self._has_caught_up = False
        self._is_closed = False
        self._waiting: deque[_Encoded] = deque()
        self._wake = asyncio.Event()

    async def take(self) -> list[FeedEvent]:
        """
        Wait for the next events, and return them; there may be none.

        Raises:
            FeedClosed: If the subscription is over.
            Unavailable: If the store is out of reach.
        """
        if not self._has_caught_up and not self._is_closed:
            return await self._catch_up()
        if not self._waiting and not self._is_closed:
            self._wake.clear()
            await self._wake.wait()
        if self._is_closed:
            raise FeedClosed
        entries, self._waiting = self._waiting, deque()
        return self._events(entries)

    def close(self) -> None:
        """End the subscription."""
        self._is_closed = True
        self._waiting.clear()
        self._wake.set()
        self._feed.leave(self)

    def cut_off(self) -> None:
        """End the subscription, because the subscriber reads too slowly."""
        if not self._is_closed:
            log.info("a subscriber of the feed is too slow, and is cut off")
            self._feed.counts.feed_cut_off += 1
            self.close()

    def put(self, entries: list[_Encoded]) -> None:
        """Queue entries; cut the subscriber off if there are too many."""
        self._waiting.extend(entries)
        if len(self._waiting) > self._most:
            self.cut_off()
        else:
            self._wake.set()

    async def _catch_up(self) -> list[FeedEvent]:
        page = await self._feed.read(self.position)
        if page.is_end and not self._is_live:
            # New entries are queued from here on. One more page has those until here.
            await self._feed.join(self)
            self._is_live = True
        elif page.is_end:
            self._has_caught_up = True
        if not page.is_complete:
            self.position = _start_of(page)
        events = self._events(_encoded(page))
        self.position = tuple(map(max, self.position, page.position))
        return events

    def _events(self, entries: "list[_Encoded] | deque[_Encoded]") -> list[FeedEvent]:
        events = []
        for each in entries:
            entry = each.entry
            if entry is not None:
                if has_read(self.position, entry.log, entry.number):
                    continue
                self.position = moved_to(self.position, entry.log, entry.number)
            if entry is None or not self._actors or entry.actor_id in self._actors:
                events.append(FeedEvent(each.name, each.data, self.position))
        return events


class Feed:
    """
    Gives the entries of the store's feed to the subscriptions of this node.

    Args:
        most: How many entries may wait for one subscription.
    """

    def __init__(
        self, store: Store, counts: Counts | None = None, most: int = MAX_WAITING
    ) -> None:
        self.counts = counts or Counts()
        self._store = store
        self._most = most
        self._subscriptions: set[Subscription] = set()
        self._live: set[Subscription] = set()
        self._reading: asyncio.Task[None] | None = None
        self._has_begun = asyncio.Event()
        self._is_stopped = False

    async def stop(self) -> None:
        """End all subscriptions, and accept no more."""
        self._is_stopped = True
        for subscription in list(self._subscriptions):
            subscription.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def subscribe(
        self, after: Position | None = None, actors: frozenset[str] = frozenset()
    ) -> Subscription:
        """
        Subscribe to what comes after a position, or from now on. The caller closes it.

        Raises:
            NoFeed: If none is kept.
            FeedClosed: If the server stops.
            TooManySubscriptions: If there are too many.
            Unavailable: If the store is out of reach.
        """
        self._check_there_is_room()
        now = (await self._store.read_feed(None, 1)).position
        self._check_there_is_room()  # Others may have come meanwhile.
        subscription = Subscription(self, after or now, actors, self._most)
        self._subscriptions.add(subscription)
        self._count()
        return subscription

    def _check_there_is_room(self) -> None:
        if self._is_stopped:
            raise FeedClosed
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise TooManySubscriptions

    def leave(self, subscription: Subscription) -> None:
        """Remove a subscription."""
        self._subscriptions.discard(subscription)
        self._live.discard(subscription)
        self._count()

    def _count(self) -> None:
        self.counts.feed_listeners_now = len(self._subscriptions)

    async def join(self, subscription: Subscription) -> None:
        """Queue what is written from the return on; it may get older entries too."""
        if self._is_stopped:
            return
        self._live.add(subscription)
        if self._reading is None or self._reading.done():
            self._has_begun = begun = asyncio.Event()
            self._reading = asyncio.create_task(self._read_on(), name="read the feed")
            # `join` must not wait for a task that has ended, perhaps before it ran at all.
            self._reading.add_done_callback(lambda _: begun.set())
        await self._has_begun.wait()

    async def read(self, after: Position) -> FeedPage:
        """Read a page, as `Store.read_feed` does."""
        return await self._store.read_feed(after, AT_ONCE)

    async def _read_on(self) -> None:
        try:
            await self._pass_on()
        except Exception:
            log.exception("reading the feed failed: its subscriptions are closed")
            for subscription in list(self._live):
                subscription.close()

    async def _pass_on(self) -> None:
        position: Position | None = None
        while self._live:
            try:
                page = await self._store.read_feed(position, AT_ONCE)
            except (Unavailable, NoFeed):
                await asyncio.sleep(READ_EVERY_S)
                continue
            position = page.position
            self._has_begun.set()
            if entries := _encoded(page):
                for subscription in list(self._live):
                    subscription.put(entries)
            if page.is_end:
                await asyncio.sleep(READ_EVERY_S)


def _start_of(page: FeedPage) -> Position:
    """Return the position before the page."""
    start = list(page.position)
    for entry in reversed(page.entries):
        start[entry.log] = entry.number - 1
    return tuple(start)


def _encoded(page: FeedPage) -> list[_Encoded]:
    entries = [] if page.is_complete else [_LOST]
    for entry in page.entries:
        data = json.dumps(json_of(entry), ensure_ascii=False, separators=(",", ":"))
        entries.append(_Encoded(entry, name_of(entry), data.encode()))
    return entries
