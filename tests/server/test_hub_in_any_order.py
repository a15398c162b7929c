"""
The promise of the hub under a feed that loses, doubles and swaps announcements at random.
"""

import asyncio
from contextlib import suppress
from random import Random

import pytest

from keystay_protocol.errors import CommandError
from keystay_server.stores.base import Retention, SessionSet, StoredEvent
from tests.server.memory_node import Client, MemoryNode, running_node

ROUNDS = 50
WHOLE = Retention(history_events=10_000)


@pytest.mark.parametrize("seed", range(20))
async def test_each_connection_hears_its_sessions_whole_and_in_order(seed: int) -> None:
    """The events of the session it is bound to, from its binding on, each once, no other."""
    random = Random(seed)
    async with running_node(retention=WHOLE, max_in_flight=1000) as node:
        keys = [await node.open_session() for _ in range(3)]
        clients = [node.connect() for _ in range(4)]
        node.store.hold_announcements()
        elsewhere: list[asyncio.Task[None]] = []
        for number in range(ROUNDS):
            random.choice(clients).send("session.restore", random.choice(keys))
            change = extend if number < ROUNDS - 3 else end
            elsewhere.append(asyncio.create_task(change(node, random.choice(keys))))
            for _ in range(random.randrange(30)):
                await asyncio.sleep(0)
            announce_some(node, random)
        await asyncio.gather(*elsewhere, *(client.call("time.now") for client in clients))
        node.hub.missed(["alice"])
        history = await node.store.history("alice", 0)
        for client in clients:
            await until_told(client, owed_to(client, history.events))


async def extend(node: MemoryNode, key: str) -> None:
    """A client elsewhere restores the session."""
    await node.extend(key)


async def end(node: MemoryNode, key: str) -> None:
    """A backend elsewhere ends the session, if nobody did."""
    with suppress(CommandError):
        await node.revoke(key)


def announce_some(node: MemoryNode, random: Random) -> None:
    """Lose some of the announcements, and bring the others in any order and number."""
    on_the_way = node.store.take_announcements()
    for event in random.choices(on_the_way, k=len(on_the_way)):
        node.hub.announced(event)


def owed_to(client: Client, events: list[StoredEvent]) -> list[int]:
    """The cursors of what a client is to hear, by the answers to its restores."""
    bindings = [
        (result["cursor"], result["session"]["id"])
        for _, error, result in client.wire.replies()
        if error is None and isinstance(result, dict)
    ]

    def is_owed(event: StoredEvent) -> bool:
        ids = [id_ for cursor, id_ in bindings if cursor <= event.cursor]
        return ids[-1:] == [session_of(event)]

    return [event.cursor for event in events if is_owed(event)]


async def until_told(client: Client, owed: list[int]) -> None:
    """Wait until the client was told what it is owed, and nothing else."""
    with suppress(TimeoutError):
        await client.wire.until(lambda wire: len(wire.cursors()) >= len(owed))
    assert client.wire.cursors() == owed


def session_of(event: StoredEvent) -> str | None:
    """The id of the session that the event is about."""
    change = event.change
    return change.record.id if isinstance(change, SessionSet) else change.session_id
