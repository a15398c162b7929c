"""
One worker process, as its parent sees it: started, read from, restarted, stopped.

A worker gets its settings as the first line on a pair of sockets, and sends lines to its
parent: `{"ready": true}` once, `{"error": ...}` if it cannot start, and its counts every
second. When the pair breaks, the parent has ended, and the worker stops too.
"""

import asyncio
import json
import logging
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError

MAX_LINE_BYTES = 1024 * 1024
PROGRAM = (sys.executable, "-m", "keystay_server.cli.worker")

log = logging.getLogger("keystay.workers")


class WorkerProcess:
    """
    A process that serves clients on these sockets.

    `counts` is what it counted, as it reported last. `is_ready` says whether it serves,
    `has_served` whether it ever did.
    """

    def __init__(self, number: int, config: Config, sockets: Sequence[socket.socket]) -> None:
        self.number = number
        self.counts: Mapping[str, Any] | None = None
        self.is_ready = asyncio.Event()
        self.has_served = False
        self.error: ConfigError | None = None
        self._settings = json.dumps(asdict(config)).encode()
        self._sockets = sockets
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Its process id; None if it does not run."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def run(self) -> int:
        """Start it, and read from it until it has ended; return its exit code."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            descriptors = [theirs.fileno(), *(each.fileno() for each in self._sockets)]
            self._process = await asyncio.create_subprocess_exec(
                *(*PROGRAM, *map(str, descriptors)),
                pass_fds=descriptors,
                # Ctrl-C in a terminal is for the parent, which then stops the workers.
                start_new_session=True,
            )
            theirs.close()
            try:
                reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
                writer.write(self._settings + b"\n")
                await self._read(reader)
                writer.close()
                return await self._process.wait()
            finally:
                self.is_ready.clear()
                self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while line := await reader.readline():
                match json.loads(line):
                    case {"ready": True}:
                        self.has_served = True
                        self.is_ready.set()
                    case {"error": {"setting": setting, "what": what, "code": code}}:
                        self.error = WorkerError(setting, what, code)
                    case {"counts": counts}:
                        self.counts = counts


class WorkerError(ConfigError):
    """A worker cannot start with a setting."""

    def __init__(self, setting: str, what: str, exit_code: int) -> None:
        super().__init__(setting, what)
        self._exit_code = exit_code

    @property
    def exit_code(self) -> int:
        """That of the worker."""
        return self._exit_code
