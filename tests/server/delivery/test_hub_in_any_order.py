"""
The promise of the hub where announcements get lost, come twice and are swapped at random.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from keystay_protocol.errors import CommandError
from keystay_protocol.frames import MAX_CURSOR
from keystay_protocol.session import split_key
from keystay_server.sessions.keys import actor_of
from keystay_server.stores.events import SessionSet, StoredEvent
from keystay_server.stores.retention import Retention
from tests.support.server.memory_node import Client, MemoryNode, running_node

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
            happening = random.choice((change, say)) if number < ROUNDS - 3 else end
            elsewhere.append(asyncio.create_task(happening(node, random.choice(keys))))
            for _ in range(random.randrange(30)):
                await asyncio.sleep(0)
            announce_some(node, random)
        await asyncio.gather(*elsewhere, *(client.call("time.now") for client in clients))
        node.hub.missed(ACTORS)
        histories = {actor: (await node.store.history(actor, 0)).events for actor in ACTORS}
        for client in clients:
            await until_told(client, histories)


async def change(node: MemoryNode, key: str) -> None:
    """A backend elsewhere changes the session."""
    with suppress(CommandError):
        await node.change(key)


async def say(node: MemoryNode, key: str) -> None:
    """A backend elsewhere says something to all sessions of the actor."""
    await node.elsewhere.emit_to_actor(split_key(key)[0], "game.move", split_key(key)[0])


async def end(node: MemoryNode, key: str) -> None:
    """A backend elsewhere ends the session, if nobody did."""
    with suppress(CommandError):
        await node.revoke(key)


def announce_some(node: MemoryNode, random: Random) -> None:
    """Lose some of the announcements, and bring the others in any order and number."""
    on_the_way = node.store.take_announcements()
    for event in random.choices(on_the_way, k=len(on_the_way)):
        node.hub.announced(event)


Told = tuple[str, int | None]
"""An event that a client was sent: whose, and its cursor."""


@dataclass(frozen=True, slots=True)
class Stay:
    """From the position of a binding on: whose session it was, and which."""

    cursor: int
    actor_id: str
    session_id: str

    def is_owed(self, event: StoredEvent) -> bool:
        """Whether it is to be sent the event, unless it has moved before."""
        return event.cursor > self.cursor and session_of(event) in (None, self.session_id)

    def owed(
        self, histories: dict[str, list[StoredEvent]], until: int = MAX_CURSOR
    ) -> list[Told]:
        """What the client is to be sent of it, up to a cursor."""
        return [
            (event.actor_id, event.cursor)
            for event in histories[self.actor_id]
            if self.is_owed(event) and event.cursor <= until
        ]


def stays_of(client: Client) -> list[Stay]:
    """The stays of a client, by the answers to its restores."""
    return [
        Stay(result["cursor"], result["session"]["actorId"], result["session"]["id"])
        for _, error, result in client.wire.replies()
        if error is None and isinstance(result, dict)
    ]


async def until_told(client: Client, histories: dict[str, list[StoredEvent]]) -> None:
    """Wait until the client was sent what it is owed, and nothing else."""
    stays = stays_of(client)
    last = stays[-1].owed(histories)
    with suppress(TimeoutError):
        await client.wire.until(lambda _: len(told_by_stay(client)[-1]) > len(last))
    told = told_by_stay(client)
    assert [some[0] for some in told] == [(stay.actor_id, None) for stay in stays]
    for (stay, following), (_, *events) in zip(pairwise(stays), told, strict=False):
        if following.actor_id == stay.actor_id:
            assert events == stay.owed(histories, following.cursor)
        else:
            # The other actor's cursors do not say how far it got in this one.
            assert events == stay.owed(histories)[: len(events)], "without a hole"
    assert told[-1][1:] == last


def told_by_stay(client: Client) -> list[list[Told]]:
    """What a client was sent, divided by its restores: each begins with the session."""
    stays: list[list[Told]] = []
    for _, data, cursor in client.wire.events():
        if cursor is None:
            stays.append([])
        stays[-1].append((actor_told_of(data), cursor))
    return stays


def actor_told_of(data: Any) -> str:
    """Whose event it is, by its data: the actor's name, a session, or the end of one."""
    if isinstance(data, str):
        return data
    return str(data["actorId"] if "actorId" in data else actor_of(data["id"]))


def session_of(event: StoredEvent) -> str | None:
    """The id of the session that the event is about; None if it is for all of the actor's."""
    change = event.change
    return change.record.id if isinstance(change, SessionSet) else change.session_id
