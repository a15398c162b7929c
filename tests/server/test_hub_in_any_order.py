"""
The promise of the hub under a feed that loses, doubles and swaps announcements at random.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from keystay_protocol.errors import CommandError
from keystay_protocol.session import split_key
from keystay_server.keys import actor_of
from keystay_server.stores.base import Retention, SessionSet, StoredEvent
from tests.server.memory_node import Client, MemoryNode, running_node

ROUNDS = 50
WHOLE = Retention(history_events=10_000)
ACTORS = ("alice", "bob")
INVENTED = ["alice:kst_" + "A" * 43, "bob:kst_" + "A" * 43]


@pytest.mark.parametrize("seed", range(20))
async def test_each_connection_hears_its_sessions_whole_and_in_order(seed: int) -> None:
    """
    What is sent to the session it is bound to and to its actor, from its binding on until it
    moves, each once, and nothing of any other session or actor.
    """
    random = Random(seed)
    async with running_node(retention=WHOLE, max_in_flight=1000) as node:
        keys = [await node.open_session(actor_id) for actor_id in ACTORS for _ in range(2)]
        clients = [node.connect() for _ in range(4)]
        for client in clients:
            await client.call("events.subscribe", ["game"])
        node.store.hold_announcements()
        elsewhere: list[asyncio.Task[None]] = []
        for number in range(ROUNDS):
            random.choice(clients).send("session.restore", random.choice(keys + INVENTED))
            change = random.choice((extend, say)) if number < ROUNDS - 3 else end
            elsewhere.append(asyncio.create_task(change(node, random.choice(keys))))
            for _ in range(random.randrange(30)):
                await asyncio.sleep(0)
            announce_some(node, random)
        await asyncio.gather(*elsewhere, *(client.call("time.now") for client in clients))
        node.hub.missed(ACTORS)
        histories = {actor: (await node.store.history(actor, 0)).events for actor in ACTORS}
        for client in clients:
            await until_told(client, histories)


async def extend(node: MemoryNode, key: str) -> None:
    """A client elsewhere restores the session."""
    with suppress(CommandError):
        await node.extend(key)


async def say(node: MemoryNode, key: str) -> None:
    """A backend elsewhere says something to all sessions of the actor."""
    await node.elsewhere.emit(split_key(key)[0], "game.move", split_key(key)[0])


async def end(node: MemoryNode, key: str) -> None:
    """A backend elsewhere ends the session, if nobody did."""
    with suppress(CommandError):
        await node.revoke(key)


def announce_some(node: MemoryNode, random: Random) -> None:
    """Lose some of the announcements, and bring the others in any order and number."""
    on_the_way = node.store.take_announcements()
    for event in random.choices(on_the_way, k=len(on_the_way)):
        node.hub.announced(event)


@dataclass(frozen=True, slots=True)
class Stay:
    """From the event of a binding on: whose session it was, and which."""

    cursor: int
    actor_id: str
    session_id: str

    def is_owed(self, event: StoredEvent) -> bool:
        """Whether it is to hear of the event, unless it has moved before."""
        return event.cursor >= self.cursor and session_of(event) in (None, self.session_id)


def stays_of(client: Client) -> list[Stay]:
    """The stays of a client, by the answers to its restores."""
    return [
        Stay(result["cursor"], result["session"]["actorId"], result["session"]["id"])
        for _, error, result in client.wire.replies()
        if error is None and isinstance(result, dict)
    ]


async def until_told(client: Client, histories: dict[str, list[StoredEvent]]) -> None:
    """Wait until the client was told what it is owed, and nothing else."""
    stays = stays_of(client)
    told = told_to(client)
    for stay, following in pairwise(stays):
        length = told.index((following.actor_id, following.cursor))
        owed = owed_during(stay, histories)
        if following.actor_id == stay.actor_id:
            owed = [event for event in owed if (event[1] or 0) < following.cursor]
            assert told[:length] == owed
        assert told[:length] == owed[:length], "from the binding on, without a hole"
        told = told[length:]
    before = len(told_to(client)) - len(told)
    owed = owed_during(stays[-1], histories)
    with suppress(TimeoutError):
        await client.wire.until(lambda _: len(told_to(client)) - before >= len(owed))
    assert told_to(client)[before:] == owed


def told_to(client: Client) -> list[tuple[str, int | None]]:
    """The events that the client was told: whose, and the cursor."""
    return [(actor_told_of(data), cursor) for _, data, cursor in client.wire.events()]


def actor_told_of(data: Any) -> str:
    """Whose event it is, by its data: the actor's name, a session, or the end of one."""
    if isinstance(data, str):
        return data
    return str(data["actorId"] if "actorId" in data else actor_of(data["id"]))


def owed_during(
    stay: Stay, histories: dict[str, list[StoredEvent]]
) -> list[tuple[str, int | None]]:
    """What a client is owed that never moves on."""
    return [(e.actor_id, e.cursor) for e in histories[stay.actor_id] if stay.is_owed(e)]


def session_of(event: StoredEvent) -> str | None:
    """The id of the session that the event is about; None if it is for all of the actor's."""
    change = event.change
    return change.record.id if isinstance(change, SessionSet) else change.session_id
