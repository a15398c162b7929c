"""
What goes wrong in a run, and when: planned from the seed, before anything runs.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from tests.soak.line import Line
from tests.soak.nodes import Node
from tests.soak.player import Player
from tests.soak.recorder import Recorder

BETWEEN_S = (1.0, 4.0)
DOWN_S = (0.2, 3.0)
PAUSE_MS = 300
FEED_BREAKS = 8
FEED_BREAK_S = 0.3
DROPPED = 0.1
"""The part of the clients whose connections break at once."""

TROUBLES = {
    "kill a node": 4,
    "kill both nodes": 1,
    "drain a node": 3,
    "break the feeds": 6,
    "break the links": 4,
    "pause the store": 3,
    "drop clients": 3,
}
"""What can go wrong, and how often it does."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that goes wrong, some time after the one before."""

    after_s: float
    name: str
    node: int
    down_s: float
    seed: int


def plan(rng: random.Random, seconds: float) -> list[Trouble]:
    """Decide what goes wrong within a time."""
    troubles: list[Trouble] = []
    while seconds > 0:
        after_s = rng.uniform(*BETWEEN_S)
        [name] = rng.choices(list(TROUBLES), list(TROUBLES.values()))
        node, down_s, seed = rng.randrange(2), rng.uniform(*DOWN_S), rng.randrange(2**32)
        seconds -= after_s
        if seconds > 0:
            troubles.append(Trouble(after_s, name, node, down_s, seed))
    return troubles


class Chaos:
    """Lets the troubles happen."""

    def __init__(
        self,
        recorder: Recorder,
        nodes: Sequence[Node],
        players: Sequence[Player],
        store: Redis,
    ) -> None:
        self._recorder = recorder
        self._nodes = nodes
        self._players = players
        self._store = store

    async def happen(self, troubles: Sequence[Trouble]) -> None:
        """Go through the plan; return when all nodes are up again."""
        async with asyncio.TaskGroup() as restarts:
            for trouble in troubles:
                await asyncio.sleep(trouble.after_s)
                self._recorder.counts[f"trouble: {trouble.name}"] += 1
                restarts.create_task(self._let(trouble))

    async def _let(self, trouble: Trouble) -> None:
        match trouble.name:
            case "kill a node":
                await self._stop(self._nodes[trouble.node], trouble.down_s, is_killed=True)
            case "kill both nodes":
                async with asyncio.TaskGroup() as group:
                    for node in self._nodes:
                        group.create_task(self._stop(node, trouble.down_s, is_killed=True))
            case "drain a node":
                await self._stop(self._nodes[trouble.node], trouble.down_s, is_killed=False)
            case "break the feeds":
                await self.break_feeds(random.Random(trouble.seed))
            case "break the links":
                await self._store.client_kill_filter(_type="normal")
            case "pause the store":
                await self._store.client_pause(PAUSE_MS)
            case "drop clients":
                self._drop(random.Random(trouble.seed))

    async def break_feeds(self, rng: random.Random) -> None:
        """Break them again and again: what is announced meanwhile, nobody hears."""
        for _ in range(FEED_BREAKS):
            await self._store.client_kill_filter(_type="pubsub")
            self._recorder.counts["feeds broken"] += 1
            await asyncio.sleep(rng.uniform(0, FEED_BREAK_S))

    async def _stop(self, node: Node, down_s: float, *, is_killed: bool) -> None:
        if not node.is_up:
            return  # It is away already.
        if is_killed:
            await node.kill()
            self._recorder.counts["nodes killed"] += 1
        else:
            code = await node.drain()
            self._recorder.counts[f"nodes drained, exit code {code}"] += 1
        await asyncio.sleep(down_s)
        await node.start()

    def _drop(self, rng: random.Random) -> None:
        lines: list[Line] = [player.line for player in self._players if player.line]
        for line in rng.sample(lines, int(len(lines) * DROPPED)):
            line.abort()
