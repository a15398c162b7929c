"""
What goes wrong in a run, and when: planned from the seed, before anything runs.

Short faults come one after another, whatever else there is. Outages last longer
than the shortest sessions live without being extended, one at a time.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from tests.soak.connection import Client
from tests.soak.nodes import Node
from tests.soak.player import Player
from tests.soak.recorder import Recorder
from tests.support.valkey import Valkey, free_port

BETWEEN_S = (1.0, 4.0)
DOWN_S = (0.2, 3.0)
PAUSE_MS = 300
BREAKS = 8
BREAK_S = 0.3
DROPPED = 0.1
"""The part of the clients whose connections break at once."""

FAULTS = {
    "kill a node": 4,
    "kill both nodes": 1,
    "drain a node": 3,
    "break the announcements": 6,
    "break the links": 4,
    "pause the store": 3,
    "drop clients": 3,
}
"""What can go wrong for a moment, and how often it does."""

OUTAGE_S = (9.0, 12.0)
BETWEEN_OUTAGES_S = (4.0, 10.0)
OUTAGES = (
    "stop the store",
    "pause the store for long",
    "pause writes",
    "stop a node",
    "stop both nodes",
    "refuse writes: out of memory",
    "refuse writes: read-only",
    "refuse writes: too few replicas",
)
"""What can be away for long; each comes once before any comes again."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, at a time after the start."""

    at_s: float
    name: str
    node: int
    lasts_s: float
    seed: int


def plan(rng: random.Random, seconds: float) -> list[Fault]:
    """Decide what goes wrong within a time."""
    faults: list[Fault] = []
    at_s = rng.uniform(*BETWEEN_S)
    while at_s < seconds:
        [name] = rng.choices(list(FAULTS), list(FAULTS.values()))
        faults.append(_fault(rng, at_s, name, DOWN_S))
        at_s += rng.uniform(*BETWEEN_S)
    outages: list[str] = []
    at_s = rng.uniform(*BETWEEN_OUTAGES_S)
    while at_s < seconds:
        outages = outages or rng.sample(OUTAGES, len(OUTAGES))
        faults.append(_fault(rng, at_s, outages.pop(), OUTAGE_S))
        at_s += faults[-1].lasts_s + rng.uniform(*BETWEEN_OUTAGES_S)
    return sorted(faults, key=lambda fault: fault.at_s)


def _fault(rng: random.Random, at_s: float, name: str, lasts_s: tuple[float, float]) -> Fault:
    return Fault(at_s, name, rng.randrange(2), rng.uniform(*lasts_s), rng.randrange(2**32))


class Chaos:
    """Lets the faults happen."""

    def __init__(
        self,
        recorder: Recorder,
        nodes: Sequence[Node],
        players: Sequence[Player],
        valkey: Valkey,
        store: Redis,
    ) -> None:
        self._recorder = recorder
        self._nodes = nodes
        self._players = players
        self._valkey = valkey
        self._store = store

    async def happen(self, faults: Sequence[Fault]) -> None:
        """Go through the plan; return when everything is there again."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with asyncio.TaskGroup() as running:
            for fault in faults:
                await asyncio.sleep(start + fault.at_s - loop.time())
                self._recorder.counts[f"fault: {fault.name}"] += 1
                running.create_task(self._let(fault))

    async def _let(self, fault: Fault) -> None:
        node = self._nodes[fault.node]
        match fault.name:
            case "kill a node":
                await self._down(node, fault.lasts_s, is_killed=True)
            case "kill both nodes":
                async with asyncio.TaskGroup() as group:
                    for each in self._nodes:
                        group.create_task(self._down(each, fault.lasts_s, is_killed=True))
            case "drain a node":
                await self._down(node, fault.lasts_s, is_killed=False)
            case "break the announcements":
                await self.break_announcements(random.Random(fault.seed))
            case "break the links":
                await self._store.client_kill_filter(_type="normal")
            case "pause the store":
                with self._recorder.absent("store"):
                    await self._store.client_pause(PAUSE_MS)
                    await asyncio.sleep(PAUSE_MS / 1000)
            case "drop clients":
                self._drop(random.Random(fault.seed))
            case _:
                await self._outage(fault, node)

    async def _outage(self, fault: Fault, node: Node) -> None:
        match fault.name:
            case "stop a node":
                await node.stop_for(fault.lasts_s)
            case "stop both nodes":
                async with asyncio.TaskGroup() as group:
                    for each in self._nodes:
                        group.create_task(each.stop_for(fault.lasts_s))
            case _:
                with self._recorder.absent("store"):
                    await self._store_outage(fault)

    async def _store_outage(self, fault: Fault) -> None:
        match fault.name:
            case "stop the store":
                self._valkey.pause()
                try:
                    await asyncio.sleep(fault.lasts_s)
                finally:
                    self._valkey.resume()
            case "pause the store for long":
                await self._store.client_pause(round(fault.lasts_s * 1000))
                await asyncio.sleep(fault.lasts_s)
            case "pause writes":
                await self._store.client_pause(round(fault.lasts_s * 1000), all=False)
                await asyncio.sleep(fault.lasts_s)
            case "refuse writes: out of memory":
                await self._refuse("maxmemory", "1", "0", fault.lasts_s)
            case "refuse writes: too few replicas":
                await self._refuse("min-replicas-to-write", "1", "0", fault.lasts_s)
            case _:
                await self._store.replicaof("127.0.0.1", free_port())
                await asyncio.sleep(fault.lasts_s)
                await self._store.replicaof("NO", "ONE")

    async def _refuse(self, name: str, value: str, usual: str, seconds: float) -> None:
        await self._store.config_set(name, value)
        await asyncio.sleep(seconds)
        await self._store.config_set(name, usual)

    async def break_announcements(self, rng: random.Random) -> None:
        """Break their connections again and again: what is announced meanwhile is missed."""
        for _ in range(BREAKS):
            await self._store.client_kill_filter(_type="pubsub")
            self._recorder.counts["announcements broken"] += 1
            await asyncio.sleep(rng.uniform(0, BREAK_S))

    async def _down(self, node: Node, seconds: float, *, is_killed: bool) -> None:
        if not node.is_up:
            return  # It is away already.
        if is_killed:
            await node.kill()
            self._recorder.counts["nodes killed"] += 1
        else:
            code = await node.drain()
            self._recorder.counts[f"nodes drained, exit code {code}"] += 1
        await asyncio.sleep(seconds)
        await node.start()

    def _drop(self, rng: random.Random) -> None:
        clients: list[Client] = [player.client for player in self._players if player.client]
        for client in rng.sample(clients, int(len(clients) * DROPPED)):
            client.abort()
