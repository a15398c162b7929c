"""
Who holds the sessions of an actor, on all nodes: they ask each other.

Connections are known to their own node only. A question goes to every node as a
broadcast that no client hears; each node leaves its answer in the store, where
the one that asked collects them. Nobody waits long for a node that is gone.
"""

import asyncio
import logging
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

from keystay_protocol.codec import pack, unpack
from keystay_protocol.errors import Unavailable
from keystay_server.delivery.hub import BETWEEN_NODES, Hub
from keystay_server.stores.base import Emitted, Store

QUESTION = f"{BETWEEN_NODES}directory"
NODES_TOPIC = "nodes"
"""Where every node leaves word that it lives."""

MAX_HOLDERS = 200
MAX_ANSWERS_AT_ONCE = 64
ANSWERS_LAST_MS = 5000
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
    This node's part in finding out who is connected.

    Args:
        node_id: How this node is called where nodes leave word of themselves.
    """

    def __init__(self, store: Store, hub: Hub, node_id: str) -> None:
        self._store = store
        self._hub = hub
        self._node_id = node_id
        self._answering: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to answer."""
        self._hub.on_node_broadcast(QUESTION, self._asked)

    async def stop(self) -> None:
        """Stop answering."""
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def holders(self, actor_id: str) -> list[Holder]:
        """
        Find the connections that hold sessions of the actor, those of longest standing first.

        At most 200 of them, and those of a node that does not answer in 0.3 s are missing.

        Raises:
            Unavailable: If the store is out of reach.
        """
        id_ = secrets.token_urlsafe(12)
        question = pack({"id": id_, "actorId": actor_id})
        answers = await self._collect(id_, Emitted(None, QUESTION, question))
        holders = [
            Holder(node, *holder)
            for node, answer in answers.items()
            for holder in unpack(answer)
        ]
        return sorted(holders, key=lambda holder: (holder.since, holder.node))[:MAX_HOLDERS]

    async def _collect(self, id_: str, question: Emitted) -> dict[str, bytes]:
        loop = asyncio.get_running_loop()
        until, pause_s = loop.time() + WAIT_S, FIRST_LOOK_S
        await self._store.broadcast(question)
        nodes = await self._store.reports(NODES_TOPIC)
        while True:
            await asyncio.sleep(pause_s)
            answers = await self._store.reports(_topic(id_))
            if _are_all_in(answers, nodes) or loop.time() >= until:
                return answers
            pause_s = min(2 * pause_s, LAST_LOOK_S)

    def _asked(self, data: bytes) -> None:
        # Beyond the bound nothing is answered: whoever asks so much can do without.
        if len(self._answering) < MAX_ANSWERS_AT_ONCE:
            task = asyncio.create_task(self._answer(data), name="answer the directory")
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, data: bytes) -> None:
        question = unpack(data)
        answer = pack(self._holders_here(question["actorId"]))
        topic = _topic(question["id"])
        try:
            await self._store.report(topic, self._node_id, answer, ANSWERS_LAST_MS)
        except Unavailable:
            log.warning("a question about connections was not answered")

    def _holders_here(self, actor_id: str) -> list[tuple[str, str, int]]:
        bindings = islice(self._hub.bindings_of(actor_id), MAX_HOLDERS)
        return [(each.session_id, each.peer.address, each.bound_at) for each in bindings]


def _topic(id_: str) -> str:
    return f"holders:{id_}"


def _are_all_in(answers: Collection[str], nodes: Collection[str]) -> bool:
    """Whether every node that left word has answered; nobody did where nodes leave none."""
    return bool(nodes) and set(nodes) <= set(answers)
