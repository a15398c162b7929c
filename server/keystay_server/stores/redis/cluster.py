"""
A cluster: a server for each master, an actor on the one that has its hash slot.

Which node has a slot can change at any time. A node says so when it is asked
for a slot it does not have, or falls silent; then the map is read anew, and
the watched channels whose slot has moved are taken over by the feed of the
new node, which says for all of them that events may be missing.

While a slot is on its way from one node to another, commands on its actors may
be refused (`Unavailable`) and have to be tried again.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from redis.exceptions import AskError, MovedError

from keystay_protocol.errors import Unavailable
from keystay_server.stores.base import Listener, StoreError, out_of_reach
from keystay_server.stores.redis.address import Location
from keystay_server.stores.redis.layout import EVERYBODY, channel_of
from keystay_server.stores.redis.link import Link
from keystay_server.stores.redis.scripts import Script
from keystay_server.stores.redis.server import Server
from keystay_server.stores.redis.slots import (
    Node,
    SlotMap,
    moved,
    neighbours,
    node_of,
    read_slots,
    word_on,
)
from keystay_server.stores.redis.trouble import Outage, advice
from keystay_server.stores.redis.tuning import Tuning
from keystay_server.stores.redis.waiting import in_time
from keystay_server.stores.redis.wire import Word

_REDIRECTIONS = 3
_READ_MAP_EVERY_S = 0.1


class Cluster:
    """The actors on all nodes of a cluster."""

    def __init__(self, location: Location, tuning: Tuning) -> None:
        self._location = location
        self._tuning = tuning
        self._slots: SlotMap = {}
        self._servers: dict[Node, Server] = {}
        self._seeds = {
            node: Link(location.server(*node).wire, tuning.link) for node in location.hosts
        }
        self._outage = Outage("the map of the redis cluster")
        self._stale = asyncio.Event()
        self._read: asyncio.Future[None] | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self, listener: Listener) -> None:
        """
        Open; return after the first attempt to connect, even if it failed.

        Raises:
            StoreError: If it failed in a way that more attempts will not heal.
        """
        self._listener = listener
        for seed in self._seeds.values():
            seed.start()
        try:
            await self._read_map()
        except Unavailable as error:
            if words := advice(error.__cause__):
                raise StoreError(words) from None
            self._lost(error)
        self._reader = asyncio.create_task(self._keep_map(), name="map of the cluster")
        for server in list(self._servers.values()):
            cause = await server.feed.attempted
            # A slot that has just moved is none of an operator's business.
            if not isinstance(cause, AskError) and (words := advice(cause)):
                raise StoreError(words)

    async def stop(self) -> None:
        """Finish what is in flight and release everything."""
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
        await asyncio.gather(
            *(server.stop() for server in self._servers.values()),
            *(seed.stop() for seed in self._seeds.values()),
        )

    async def run(self, script: Script, root: str, *words: Word) -> Any:
        """Run a script on the node that has the root, wherever that has moved."""
        for _ in range(_REDIRECTIONS):
            try:
                return await self._server_of(root.encode()).run(script, root, *words)
            except Unavailable as error:
                self._stale.set()
                # It was not run, so it can be sent again.
                if not isinstance(error.__cause__, MovedError):
                    raise
            await self._map_is_read()
        raise out_of_reach("the store does not answer")

    def post(self, script: Script, root: str, *words: Word) -> "asyncio.Future[Any]":
        """Send a script, as `Link.post` does, to where the root was last seen."""
        return self._server_of(root.encode()).link.post(script, root, *words)

    def are_together(self, root: str, other: str) -> bool:
        """Whether both are on the same node, as far as is known."""
        node = node_of(root.encode(), self._slots)
        return node is not None and node == node_of(other.encode(), self._slots)

    def beside(self, root: str, others: Sequence[str]) -> Sequence[str]:
        """Those of the others that are on the same node; all if none is."""
        return neighbours(root, others, self._slots)

    async def watch(self, actor_id: str) -> None:
        """Have the actor's events announced, as `Feed.watch` does."""
        channel = channel_of(self._location.prefix, actor_id)
        await self._server_of(channel).watch(actor_id)

    def unwatch(self, actor_id: str) -> None:
        """Have them announced no more."""
        channel = channel_of(self._location.prefix, actor_id)
        try:
            self._server_of(channel).unwatch(actor_id)
        except Unavailable:
            # Whichever node had the slot last.
            for server in self._servers.values():
                server.feed.forget(channel)

    def _server_of(self, name: bytes) -> Server:
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
        await in_time(self._read, self._tuning.link.deadline_s)

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
        nodes = set(slots.values())
        for node in nodes - self._servers.keys():
            self._servers[node] = self._server(node)
            self._servers[node].open(self._listener)
        self._hear_what_is_for_everybody()
        # All in one go: an unwatch must find each channel at one feed or another.
        for old, server in self._servers.items():
            for node, channels in moved(server.feed.channels, old, slots).items():
                for channel in channels:
                    server.feed.forget(channel)
                self._servers[node].feed.adopt(channels)
        # One whose slots nobody has taken over keeps its channels until somebody does.
        without_slots = self._servers.keys() - nodes
        gone = [node for node in without_slots if not self._servers[node].feed.channels]
        stopping = [self._servers.pop(node).stop() for node in gone]
        if self._read is not None:
            self._read.set_result(None)
            self._read = None
        await asyncio.gather(*stopping)

    def _hear_what_is_for_everybody(self) -> None:
        channel = channel_of(self._location.prefix, EVERYBODY)
        is_watched = any(channel in server.feed.channels for server in self._servers.values())
        node = node_of(channel, self._slots)
        if node is not None and not is_watched:
            self._servers[node].feed.adopt([channel])

    def _server(self, node: Node) -> Server:
        address = self._location.server(*node)
        token = partial(self._token, node)
        return Server(address, self._location.prefix, self._tuning, token)

    def _token(self, node: Node) -> str:
        """A word whose slot is on the node."""
        # A feed that needs one connects anew. That may be because slots have moved.
        self._stale.set()
        if node in self._slots.values():
            return word_on(node, self._slots)
        raise out_of_reach("the node has no slots")
