"""
Finds who is connected on which node: the connections of an actor, and actors by their ids.

A node knows its own connections only. A request goes to every node as a broadcast that
is not sent to clients; each node leaves its answer in the store, where the asking node
collects them. A node that does not answer in time is left out.
"""

import asyncio
import logging
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from heapq import nsmallest
from itertools import islice

from keystay_protocol.codec import pack, unpack
from keystay_protocol.errors import Unavailable
from keystay_server.delivery.hub import BETWEEN_NODES, Hub
from keystay_server.stores.base import Store
from keystay_server.stores.events import Emitted

REQUEST = f"{BETWEEN_NODES}directory"
NODES_TOPIC = "nodes"
"""The topic of the nodes' heartbeats."""

MAX_HOLDERS, MAX_ACTORS = 200, 50
MAX_ANSWERS_AT_ONCE = 64
ANSWER_TTL_MS = 5000
WAIT_S = 0.3
FIRST_LOOK_S = 0.002
LAST_LOOK_S = 0.04

log = logging.getLogger("keystay.directory")


@dataclass(frozen=True, slots=True)
class Holder:
    """One connection that is bound to a session; `since` is in Unix milliseconds."""

    node: str
    session_id: str
    address: str
    since: int


class ConnectionDirectory:
    """
    Asks other nodes for their connections, and answers them.

    Args:
        node_id: The id of this node in its heartbeats.
    """

    def __init__(self, store: Store, hub: Hub, node_id: str) -> None:
        self._store = store
        self._hub = hub
        self._node_id = node_id
        self._answering: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start to answer."""
        self._hub.on_node_broadcast(REQUEST, self._on_request)

    async def stop(self) -> None:
        """Stop answering."""
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def holders(self, actor_id: str) -> list[Holder]:
        """
        Find the connections that hold sessions of the actor, the oldest bindings first.

        At most 200 of them; those of a node that does not answer in 0.3 s are missing.

        Raises:
            Unavailable: If the store is out of reach.
        """
        id_ = secrets.token_urlsafe(12)
        request = pack({"id": id_, "actorId": actor_id})
        answers = await self._collect(id_, Emitted(None, REQUEST, request))
        holders = [
            Holder(node, *holder)
            for node, answer in answers.items()
            for holder in unpack(answer)
        ]
        return sorted(holders, key=lambda holder: (holder.since, holder.node))[:MAX_HOLDERS]

    async def actors(self, prefix: str) -> list[str]:
        """
        Find actors that have connections and ids which begin like this, in order.

        At most 50 of them; otherwise as `holders`.

        Raises:
            Unavailable: If the store is out of reach.
        """
        id_ = secrets.token_urlsafe(12)
        request = pack({"id": id_, "prefix": prefix})
        answers = await self._collect(id_, Emitted(None, REQUEST, request))
        found = {actor_id for answer in answers.values() for actor_id in unpack(answer)}
        return sorted(found)[:MAX_ACTORS]

    async def _collect(self, id_: str, request: Emitted) -> dict[str, bytes]:
        loop = asyncio.get_running_loop()
        until, pause_s = loop.time() + WAIT_S, FIRST_LOOK_S
        await self._store.broadcast(request)
        nodes = await self._store.reports(NODES_TOPIC)
        while True:
            await asyncio.sleep(pause_s)
            answers = await self._store.reports(_topic(id_))
            if _are_all_in(answers, nodes) or loop.time() >= until:
                return answers
            pause_s = min(2 * pause_s, LAST_LOOK_S)

    def _on_request(self, data: bytes) -> None:
        # Beyond the bound a request is not answered.
        if len(self._answering) < MAX_ANSWERS_AT_ONCE:
            task = asyncio.create_task(self._answer(data), name="answer the directory")
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, data: bytes) -> None:
        request = unpack(data)
        match request:
            case {"actorId": actor_id}:
                answer = pack(self._holders_here(actor_id))
            case {"prefix": prefix}:
                answer = pack(self._actors_here(prefix))
            case _:  # Of a newer node.
                return
        topic = _topic(request["id"])
        try:
            await self._store.report(topic, self._node_id, answer, ANSWER_TTL_MS)
        except Unavailable:
            log.warning("a request for connections was not answered: the store is out of reach")

    def _holders_here(self, actor_id: str) -> list[tuple[str, str, int]]:
        bindings = islice(self._hub.bindings_of(actor_id), MAX_HOLDERS)
        return [(each.session_id, each.peer.address, each.bound_at) for each in bindings]

    def _actors_here(self, prefix: str) -> list[str]:
        found = (actor_id for actor_id in self._hub.actors if actor_id.startswith(prefix))
        return nsmallest(MAX_ACTORS, found)


def _topic(id_: str) -> str:
    return f"holders:{id_}"


def _are_all_in(answers: Collection[str], nodes: Collection[str]) -> bool:
    """Whether every node with a heartbeat has answered."""
    return bool(nodes) and set(nodes) <= set(answers)
