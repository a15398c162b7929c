"""
Two servers that come back on the same address, however they went.
"""

import random
import socket
from contextlib import AsyncExitStack

from tests.server_process import ServerProcess, serving

BELOW_EPHEMERAL = range(20_000, 32_000)
"""Ports that no outgoing connection is given while a server that had one is away."""


class Node:
    """A server process that can be killed, or asked to go, and started again."""

    def __init__(self, flags: tuple[str, ...]) -> None:
        listen, control = _free_ports(2)
        self.url = f"ws://127.0.0.1:{listen}"
        self.control = f"http://127.0.0.1:{control}"
        self.is_up = False
        self._flags = (
            *("--listen", f"127.0.0.1:{listen}", "--control", f"127.0.0.1:{control}"),
            *("--log-level", "error"),
            *flags,
        )
        self._life = AsyncExitStack()
        self._server: ServerProcess | None = None

    async def start(self) -> None:
        """Start it; return when it serves."""
        self._server = await self._life.enter_async_context(serving(*self._flags))
        self.is_up = True

    async def kill(self) -> None:
        """End it without giving it time for anything."""
        self.is_up = False
        await self._life.aclose()

    async def drain(self) -> int:
        """Ask it to go; return its exit code."""
        self.is_up = False
        assert self._server is not None
        code = await self._server.terminate()
        await self._life.aclose()
        return code


def _free_ports(count: int) -> list[int]:
    ports: list[int] = []
    while len(ports) < count:
        # Not from the plan's randomness: which are free is the machine's affair.
        port = random.SystemRandom().choice(BELOW_EPHEMERAL)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports
