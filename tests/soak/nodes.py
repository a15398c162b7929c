"""
Two servers that come back on the same address, whatever was done to them.
"""

import asyncio
import random
import signal
import socket
from contextlib import AsyncExitStack, suppress

from tests.soak.record import Absence
from tests.soak.recorder import Recorder, now_ms
from tests.support.server_process import ServerProcess, serving

BELOW_EPHEMERAL = range(20_000, 32_000)
"""Ports that no outgoing connection is given while a server that had one is away."""


class Node:
    """A server process that can be killed, stopped or drained, and started again."""

    def __init__(self, number: int, recorder: Recorder, flags: tuple[str, ...]) -> None:
        listen, control = _free_ports(2)
        self.number = number
        self.url = f"ws://127.0.0.1:{listen}"
        self.control = f"http://127.0.0.1:{control}"
        self.is_up = False
        self._recorder = recorder
        self._flags = (
            *("--listen", f"127.0.0.1:{listen}", "--control", f"127.0.0.1:{control}"),
            *("--log-level", "error"),
            *flags,
        )
        self._life = AsyncExitStack()
        self._server: ServerProcess | None = None
        self._down_since: int | None = None

    async def start(self) -> None:
        """Start it; return when it serves."""
        self._server = await self._life.enter_async_context(serving(*self._flags))
        self.is_up = True
        if self._down_since is not None:
            absence = Absence("down", self._down_since, now_ms(), self.number)
            self._recorder.record.absences.append(absence)

    async def kill(self) -> None:
        """End it without giving it time for anything."""
        self.is_up = False
        self._down_since = now_ms()
        await self._life.aclose()

    async def drain(self) -> int:
        """Ask it to stop; return its exit code."""
        self.is_up = False
        assert self._server is not None
        code = await self._server.terminate()
        self._down_since = now_ms()
        await self._life.aclose()
        return code

    async def stop_for(self, seconds: float) -> None:
        """Stop the process, and let it go on after a time."""
        server = self._server
        if server is None or not self.is_up:
            return
        with self._recorder.absent("stopped", self.number):
            server.process.send_signal(signal.SIGSTOP)
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await server.process.wait()  # It may be killed meanwhile.
            finally:
                if server.process.returncode is None:
                    server.process.send_signal(signal.SIGCONT)


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
