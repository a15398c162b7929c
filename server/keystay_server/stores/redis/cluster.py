"""
A cluster: a server for each master, a partition on the one that has its hash slot.

Which node has a slot can change at any time. A node says so when it is asked
for a slot it does not have, or falls silent; then the map is read anew, and each
server subscribes to the partitions that it has now. They are probed at once:
what was lost on the way shows by the numbers.

While a slot is on its way from one node to another, commands on its partition
may be refused (`Unavailable`) and have to be tried again.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.exceptions import AskError, MovedError

from keystay_protocol.errors import Unavailable
from keystay_server.stores.errors import StoreError, out_of_reach
from keystay_server.stores.redis.address import Location
from keystay_server.stores.redis.announcements import Announcements
from keystay_server.stores.redis.layout import Layout
from keystay_server.stores.redis.link import Link
from keystay_server.stores.redis.partitions import Partitions
from keystay_server.stores.redis.scripts import Script
from keystay_server.stores.redis.server import Server
from keystay_server.stores.redis.slots import Node, SlotMap, by_node, node_of, read_slots
from keystay_server.stores.redis.trouble import Outage, advice
from keystay_server.stores.redis.tuning import Tuning
from keystay_server.stores.redis.wire import Word
from keystay_server.timing.tasks import Background

_REDIRECTIONS = 3
_READ_MAP_EVERY_S = 0.1


class Cluster:
    """The partitions on all nodes of a cluster."""

    def __init__(
        self,
        location: Location,
        partitions: Partitions,
        announcements: Announcements,
        layout: Layout,
        tuning: Tuning,
    ) -> None:
        self._location = location
        self._partitions = partitions
        self._announcements = announcements
        self._layout = layout
        self._tuning = tuning
        self._slots: SlotMap = {}
        self._servers: dict[Node, Server] = {}
        self._seeds = {
            node: Link(location.server(*node).wire, tuning.link) for node in location.hosts
        }
        self._outage = Outage("the map of the redis cluster")
        self._stale = asyncio.Event()
        self._read: asyncio.Future[None] | None = None
        self._reader = Background(self._keep_map, "map of the cluster")

    async def start(self) -> None:
        """
        Open; return after the first attempt to connect, even if it failed.

        Raises:
            StoreError: If it failed in a way that more attempts will not heal.
        """
        for seed in self._seeds.values():
            seed.start()
        try:
            await self._read_map()
        except Unavailable as error:
            if words := advice(error.__cause__):
                raise StoreError(words) from None
            self._lost(error)
        self._reader.start()
        for server in list(self._servers.values()):
            cause = await server.subscription.attempted
            if isinstance(cause, StoreError):
                raise cause
            # A slot that has just moved is none of an operator's business.
            if not isinstance(cause, AskError) and (words := advice(cause)):
                raise StoreError(words)

    async def stop(self) -> None:
        """Finish what is in flight and release everything."""
        await self._reader.stop()
        await asyncio.gather(
            *(server.stop() for server in self._servers.values()),
            *(seed.stop() for seed in self._seeds.values()),
        )

    def groups(self) -> Sequence[Sequence[int]]:
        """The partitions of each node, and those that no node has."""
        covered = by_node(self._partitions.roots, self._slots).values()
        lost = set(range(self._partitions.count)).difference(*covered)
        return [group for group in (*covered, sorted(lost)) if group]

    async def run(self, script: Script, key: str, *words: Word) -> Any:
        """Run a script on the node that has the key, wherever that has moved."""
        return await self._follow_moves(key, lambda link: link.run(script, key, *words))

    async def send(self, key: str, *words: Word) -> Any:
        """Send a command to the node that has the key, wherever that has moved."""
        return await self._follow_moves(key, lambda link: link.send(*words))

    async def _follow_moves(self, key: str, do: Callable[[Link], Awaitable[Any]]) -> Any:
        for _ in range(_REDIRECTIONS):
            try:
                return await do(self._server_of(key).link)
            except Unavailable as error:
                self._stale.set()
                # It was not run, so it can be sent again.
                if not isinstance(error.__cause__, MovedError):
                    raise
            await self._map_is_read()
        raise out_of_reach("the store does not answer")

    def _server_of(self, name: str) -> Server:
        node = node_of(name, self._slots)
        if node is None:
            self._stale.set()
            raise out_of_reach("the store does not answer")
        return self._servers[node]

    async def _keep_map(self) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                await self._read_map()
            except Unavailable as error:
                self._lost(error)
            else:
                self._outage.over()
            await asyncio.sleep(_READ_MAP_EVERY_S)

    def _lost(self, error: Unavailable) -> None:
        self._outage.begun(error.__cause__ or error)
        self._stale.set()

    async def _map_is_read(self) -> None:
        """Wait until the map has been read once more."""
        if self._read is None:
            self._read = asyncio.get_running_loop().create_future()
        # `asyncio.timeout` needs a task, and a command's first step runs outside of any.
        done, _ = await asyncio.wait([self._read], timeout=self._tuning.link.deadline_s)
        if not done:
            raise out_of_reach("the store does not answer")

    async def _read_map(self) -> None:
        """
        Ask any node for the map, and follow it.

        Raises:
            Unavailable: If none answers.
        """
        links = self._seeds | {node: server.link for node, server in self._servers.items()}
        last: Unavailable = out_of_reach("the store does not answer")
        for host, port in random.sample(sorted(links), len(links)):
            try:
                answer = await links[host, port].send("CLUSTER", "SLOTS")
            except Unavailable as error:
                last = error
            else:
                await self._follow(read_slots(answer, host))
                return
        raise last

    async def _follow(self, slots: SlotMap) -> None:
        self._slots = slots
        covered = by_node(self._partitions.roots, slots)
        for node, partitions in covered.items():
            known = self._servers.get(node)
            server = known or self._server(node)
            server.subscription.cover(partitions)
            if known is None:
                self._servers[node] = server
                server.open()
        gone = [self._servers.pop(node) for node in self._servers.keys() - covered.keys()]
        if self._read is not None:
            self._read.set_result(None)
            self._read = None
        await asyncio.gather(*(server.stop() for server in gone))

    def _server(self, node: Node) -> Server:
        address = self._location.server(*node)
        return Server(address, self._partitions, self._announcements, self._check, self._tuning)

    async def _check(self) -> None:
        # A subscription that connects anew may do so because slots have moved.
        self._stale.set()
        await self._layout.check(self.send)
