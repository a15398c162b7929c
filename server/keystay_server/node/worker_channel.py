"""
A worker's side of the pair of sockets that leads to its parent.
"""

import asyncio
import json
import socket
from collections.abc import Callable, Sequence
from typing import Any

from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError
from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.log_writer import dropped_lines
from keystay_server.telemetry.merging import to_document
from keystay_server.timing.tasks import Background, Repeating

REPORT_EVERY_S = 1.0


class WorkerChannel:
    """
    Gets the settings, and sends what the parent needs to know.

    Args:
        pair: This side of the pair of sockets; it is blocking until `start`.
        sockets: The listening sockets of the client port.
    """

    def __init__(self, pair: socket.socket, sockets: Sequence[socket.socket]) -> None:
        self.sockets = sockets
        self._pair = pair
        self._counts = Counts()
        self._stop: Callable[[], None] = lambda: None
        self._reporting = Repeating(self._report, "report", pause_s=REPORT_EVERY_S)
        self._watching = Background(self._watch, "watch the parent")

    def read_settings(self) -> Config:
        """Return the settings, which the parent sends first."""
        with self._pair.makefile("rb", buffering=0) as lines:
            values: dict[str, Any] = json.loads(lines.readline())
        values["origins"] = tuple(values["origins"])
        return Config(**values)

    def start(self, counts: Counts, stop: Callable[[], None]) -> None:
        """Report that clients are served, and the counts from now on; stop with the parent."""
        self._counts, self._stop = counts, stop
        self.send({"ready": True})
        self._pair.setblocking(False)
        self._reporting.start()
        self._watching.start()

    async def stop(self) -> None:
        """Report nothing more."""
        await self._watching.stop()
        await self._reporting.stop()

    def fail(self, error: ConfigError) -> None:
        """Send why the worker cannot start."""
        what = {"setting": error.setting, "what": error.what, "code": error.exit_code}
        self.send({"error": what})

    def send(self, message: dict[str, Any]) -> None:
        """Send a message while the channel is not started."""
        self._pair.sendall(_encoded(message))

    async def _report(self) -> None:
        document = {**to_document(self._counts), "log_lines_dropped": dropped_lines()}
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._pair, _encoded({"counts": document}))

    async def _watch(self) -> None:
        # The parent sends nothing more: what can be read is its end.
        await asyncio.get_running_loop().sock_recv(self._pair, 1)
        self._stop()


def _encoded(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"
