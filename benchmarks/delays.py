"""
From something that happens on one of two nodes to the client that gets it.

Each function measures one such way, and returns its delays in seconds.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from itertools import chain, zip_longest

from benchmarks.crowd import Guest, Said, a_few_at_once, come, crowd
from benchmarks.servers import Nodes, Server
from keystay_server.sessions.policy import Rules
from keystay_server.sessions.service import SessionRequest, Sessions
from keystay_server.stores import open_store
from keystay_server.stores.events import Emitted, StoredEvent
from keystay_server.stores.retention import Retention

PAIRS = 20
"""Connections on each node that log out, again and again."""
EVERY_S = 0.2
"""Between two logouts of a pair."""
PATIENCE_S = 60.0
TTL_S = 1800.0


async def log_out_elsewhere(nodes: Nodes, connections: int, logouts: int) -> list[float]:
    """From a logout on one node to the event on the other, while many hold sessions."""
    pairs = min(PAIRS, logouts)
    async with (
        _split_crowd(nodes, connections) as idle,
        crowd(nodes.first, pairs) as here,
        crowd(nodes.second, pairs) as there,
        asyncio.timeout(PATIENCE_S + logouts * EVERY_S / pairs),
    ):
        await a_few_at_once(guest.ask("session.login", "anonymous") for guest in idle)
        delays = await asyncio.gather(
            *(
                _log_out_often(*pair, logouts // pairs, number * EVERY_S / pairs)
                for number, pair in enumerate(zip(here, there, strict=True))
            )
        )
        assert not any(guest.end.done() for guest in idle), "a session ended by itself"
    return list(chain.from_iterable(delays))


async def _log_out_often(here: Guest, there: Guest, times: int, wait_s: float) -> list[float]:
    """Logouts of new sessions that both hold, now from here and now from there."""
    await asyncio.sleep(wait_s)
    delays = []
    loop = asyncio.get_running_loop()
    for _ in range(times):
        next_at = loop.time() + EVERY_S
        opened = await here.ask("session.login", "anonymous")
        await there.ask("session.restore", opened.what["session"]["key"])
        await asyncio.sleep(next_at - loop.time())
        left_at = time.time()
        await here.ask("session.logout")
        ended = await there.end
        assert ended.what == "loggedOut"
        delays.append(ended.at - left_at)
        here, there = there, here
    return delays


async def expire_together(nodes: Nodes, connections: int, within_ms: int) -> list[float]:
    """From the deadlines of many sessions, all about the same time, to the events."""
    async with _split_crowd(nodes, connections) as guests, _sessions(nodes.store) as sessions:
        # Enough to open the sessions and to bind the connections before.
        first_at = time.time() + 1.5 + 0.002 * connections
        keys = await a_few_at_once(
            _ending_at(sessions, first_at + random.random() * within_ms / 1000) for _ in guests
        )
        await a_few_at_once(
            guest.ask("session.restore", key) for guest, key in zip(guests, keys, strict=True)
        )
        assert time.time() < first_at, "they expired before all were bound"
        async with asyncio.timeout(first_at - time.time() + PATIENCE_S):
            ends = await asyncio.gather(*(guest.end for guest in guests))
        assert all(end.what == "expired" for end in ends)
        return [
            end.at - guest.session["endsAt"] / 1000
            for guest, end in zip(guests, ends, strict=True)
        ]


async def come_back(nodes: Nodes, connections: int) -> list[float]:
    """From the death of a node's connections to the replies of the other node."""
    async with crowd(nodes.first, connections) as guests:
        await a_few_at_once(guest.ask("session.login", "anonymous") for guest in guests)
        nodes.first.kill()
        await asyncio.gather(*(guest.gone for guest in guests))
        began_at = time.time()
        async with asyncio.timeout(PATIENCE_S):
            returned = await asyncio.gather(*(_return(nodes.second, guest) for guest in guests))
        for guest, _ in returned:
            guest.leave()
        return [restored.at - began_at for _, restored in returned]


async def _return(server: Server, lost: Guest) -> tuple[Guest, Said]:
    """Connect and restore, as a client does that lost its connection."""
    guest = await come(server)
    key, options = lost.session["key"], {"cursor": lost.cursor}
    restored = await guest.ask("session.restore", key, options)
    assert restored.what["recovered"], "events may have been missed"
    assert restored.what["session"]["id"] == lost.session["id"]
    return guest, restored


@asynccontextmanager
async def _split_crowd(nodes: Nodes, count: int) -> AsyncIterator[list[Guest]]:
    """Connections to both nodes in turn."""
    async with (
        crowd(nodes.first, count - count // 2) as some,
        crowd(nodes.second, count // 2) as others,
    ):
        both = chain.from_iterable(zip_longest(some, others))
        yield [guest for guest in both if guest is not None]


class _Nobody:
    """Watches no actor, so nothing is announced."""

    actors: Collection[str] = ()

    def wants(self, actor_id: str, cursor: int) -> bool:
        return False

    def announced(self, event: StoredEvent) -> None:
        pass

    def announced_to_all(self, emitted: Emitted) -> None:
        pass

    def missed(self, actor_ids: Collection[str]) -> None:
        pass


@asynccontextmanager
async def _sessions(url: str) -> AsyncIterator[Sessions]:
    """What opens sessions in this store, past the nodes."""
    store = open_store(url, Retention())
    await store.start(_Nobody())
    try:
        yield Sessions(store, Rules(TTL_S))
    finally:
        await store.stop()


async def _ending_at(sessions: Sessions, at: float) -> str:
    """Open a session of a new actor that ends then, however it is held; return its key."""
    actor_id = f"player-{random.getrandbits(64):x}"
    key, new = sessions.prepare(SessionRequest(actor_id, max_age_s=at - time.time()))
    await sessions.create_prepared(new)
    return key
