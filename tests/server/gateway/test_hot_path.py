"""
How much Python a command and an event take: calls and memory, the same on every machine.

A change that needs more raises a bound here on purpose, or is not made.
"""

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest

from benchmarks.wire import command, handshake
from keystay_server.gateway.deadlines import Timings
from keystay_server.gateway.limits import ConnectionLimits
from keystay_server.gateway.listener import Listener
from keystay_server.gateway.opening import Opening
from keystay_server.gateway.origin_policy import OriginPolicy
from keystay_server.gateway.websocket import WebSocket, frame
from keystay_server.stores.events import Emitted
from tests.support.server.memory_node import MemoryNode, running_node

TIMES = 200


class Transport(asyncio.Transport):
    """A socket whose peer reads everything at once."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.last = b""
        self.replied = asyncio.Event()
        self._protocol: asyncio.BaseProtocol | None = None

    def write(self, data: Any) -> None:
        self.last = data
        if data[4:6] == b"\x94\x01":
            self.replied.set()

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol


@asynccontextmanager
async def node_in_memory() -> AsyncIterator[MemoryNode]:
    """A node whose store answers from memory, as an embedded one does."""
    async with running_node(frame=frame, watched=lambda store: store.near) as node:
        yield node


async def logged_in(node: MemoryNode, listener: Listener) -> tuple[WebSocket, str]:
    """A connection with a session; its key."""
    opening, transport = Opening(listener, asyncio.get_running_loop()), Transport()
    opening.connection_made(transport)
    opening.data_received(handshake("127.0.0.1", 8330))
    websocket = transport.get_protocol()
    websocket.data_received(command("session.login", "anonymous", {"actorId": "alice"}))
    await transport.replied.wait()
    return websocket, msgpack.unpackb(transport.last[4:])[3]["session"]["key"]


def listener_of(node: MemoryNode) -> Listener:
    """A listener that connections are given to by hand."""
    return Listener(node.node, Timings(), OriginPolicy(), ConnectionLimits())


def calls(of: Callable[[], object]) -> float:
    """How many calls of Python functions it takes, on the average of many times."""
    count = 0

    def counted(_: object, event: str, __: object) -> None:
        nonlocal count
        count += event == "call"

    of()  # What is made once is no part of it.
    sys.setprofile(counted)
    try:
        for _ in range(TIMES):
            of()
    finally:
        sys.setprofile(None)
    return count / TIMES - 1


async def test_a_check_from_memory() -> None:
    """From the bytes of the frame to the bytes of the reply."""
    async with node_in_memory() as node:
        websocket, key = await logged_in(node, listener_of(node))
        sent = command("session.isValid", key)
        assert calls(lambda: websocket.data_received(sent)) <= 26


async def test_sixteen_checks_in_one_read() -> None:
    """Less for each than one by one."""
    async with node_in_memory() as node:
        websocket, key = await logged_in(node, listener_of(node))
        sent = command("session.isValid", key) * 16
        assert calls(lambda: websocket.data_received(sent)) / 16 <= 22


async def test_a_restore_from_memory() -> None:
    """It is a read: the event and the reply are most of it."""
    async with node_in_memory() as node:
        websocket, key = await logged_in(node, listener_of(node))
        sent = command("session.restore", key)
        assert calls(lambda: websocket.data_received(sent)) <= 72


async def test_an_event_to_everybody() -> None:
    """For each connection: look whether it is subscribed, and write."""
    async with node_in_memory() as node:
        listener = listener_of(node)
        for _ in range(50):
            websocket, _ = await logged_in(node, listener)
            websocket.data_received(command("events.subscribe", ["news"]))
        said = Emitted(None, "news.flash", msgpack.packb({"text": "hello"}))
        assert calls(lambda: node.hub.announced_to_all(said)) / 50 <= 3.5


def allocated(of: Callable[[], object]) -> tuple[int, float]:
    """The most bytes that it takes while it runs, and how many blocks are kept, on average."""
    of()  # What is made once is no part of it.
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        of()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        of()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    times, blocks = 5 * TIMES, sys.getallocatedblocks()
    for _ in range(times):
        of()
    return peak - before, (sys.getallocatedblocks() - blocks) / times


@pytest.mark.parametrize(
    ("method", "most"), [("session.isValid", 800), ("session.restore", 5000)]
)
async def test_what_a_command_allocates(method: str, most: int) -> None:
    """A bounded amount, and nothing of it is kept."""
    async with node_in_memory() as node:
        websocket, key = await logged_in(node, listener_of(node))
        sent = command(method, key)
        peak, kept = allocated(lambda: websocket.data_received(sent))
        assert peak <= most
        assert kept < 1


async def test_what_an_event_allocates() -> None:
    """It is encoded once, for however many connections."""
    async with node_in_memory() as node:
        listener = listener_of(node)
        for _ in range(50):
            websocket, _ = await logged_in(node, listener)
            websocket.data_received(command("events.subscribe", ["news"]))
        said = Emitted(None, "news.flash", msgpack.packb({"text": "x" * 8000}))
        peak, kept = allocated(lambda: node.hub.announced_to_all(said))
        assert peak <= 8 * len(said.data)
        assert kept < 1
