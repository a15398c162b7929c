"""
The worker processes of a node: they serve its client port, on as many cores.

Invariant: the parent has the listening sockets too, so a client that connects while a worker
is started again waits for it, and is not refused.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from keystay_server.node.listening import listening_sockets
from keystay_server.node.worker_process import WorkerProcess
from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError
from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.merging import add_document, to_document
from keystay_server.timing.backoff import backoff_s

START_S = 30.0
STOP_S = 10.0
"""How long a worker may take to stop, beside `drain_timeout_s` and `close_timeout_s`."""
RESTART_BASE_S, RESTART_CAP_S = 0.2, 10.0
STEADY_S = 10.0
"""A worker that has run for so long did not fail at its start."""

log = logging.getLogger("keystay.workers")


class Workers:
    """
    The worker processes.

    Args:
        config: The settings of the node.
        counts: Those of the parent, which counts restarts.
    """

    def __init__(self, config: Config, counts: Counts) -> None:
        self._config = config
        self._counts = counts
        self._ended = Counts()
        """What processes that have ended had counted."""
        self._sockets: list[socket.socket] = []
        self._workers: list[WorkerProcess] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False

    async def start(self, host: str, port: int) -> int:
        """
        Listen, start the workers, and return the port once all serve clients.

        Raises:
            OSError: If the host has no address, or one of them cannot be listened on.
            ConfigError: If a worker does not start.
        """
        sockets, port = await self._listen(host, port)
        # The others listen, and the workers keep the port that was chosen for 0.
        config = replace(self._config, listen=f"{host}:{port}", workers=1)
        for number in range(self._config.workers):
            worker = WorkerProcess(number + 1, config, sockets[number % len(sockets)])
            self._workers.append(worker)
            self._tasks.append(asyncio.create_task(self._keep(worker), name="worker"))
        try:
            async with asyncio.timeout(START_S):
                for worker in self._workers:
                    await self._started(worker)
        except TimeoutError:
            raise ConfigError("workers", f"did not start within {START_S:g} s") from None
        return port

    async def stop(self, drain_s: float) -> None:
        """
        Stop accepting, let each worker drain and end, and end those that do not.

        Args:
            drain_s: How long the commands under way may take.
        """
        self._is_stopping = True
        for each in self._sockets:
            each.close()
        for worker in self._workers:
            worker.signal(signal.SIGTERM)
        if self._tasks:
            limit_s = drain_s + self._config.close_timeout_s + STOP_S
            await asyncio.wait(self._tasks, timeout=limit_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reload(self) -> str | None:
        """Let the workers read certificates again, as they do at SIGHUP."""
        for worker in self._workers:
            worker.signal(signal.SIGHUP)
        return None

    def is_serving(self) -> bool:
        """Return whether a worker serves clients."""
        return any(worker.is_ready.is_set() for worker in self._workers)

    def documents(self) -> Sequence[Mapping[str, Any]]:
        """Return what the workers counted, those that have ended included."""
        running = [worker.counts for worker in self._workers if worker.counts is not None]
        return [to_document(self._ended), *running]

    def pids(self) -> Sequence[int]:
        """Return the process ids of those that run."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def _listen(self, host: str, port: int) -> tuple[list[list[socket.socket]], int]:
        """Return the listening sockets, in sets of which each worker takes one."""
        sockets = await listening_sockets(host, port)
        port = sockets[0].getsockname()[1]
        if sys.platform != "linux":  # Elsewhere one of several sockets would get all clients.
            self._sockets = sockets
            return [sockets], port
        # With SO_REUSEPORT the port could be shared with another server: it is free now.
        for each in sockets:
            each.close()
        sets = []
        for _ in range(self._config.workers):
            sets.append(await listening_sockets(host, port, is_shared=True))
            self._sockets += sets[-1]
        return sets, port

    async def _started(self, worker: WorkerProcess) -> None:
        ready = asyncio.create_task(worker.is_ready.wait())
        task = self._tasks[worker.number - 1]
        await asyncio.wait({ready, task}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            ready.cancel()
            task.result()

    async def _keep(self, worker: WorkerProcess) -> None:
        """Run the worker, again and again until the node stops."""
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            started = loop.time()
            code = await worker.run()
            self._bury(worker)
            if self._is_stopping:
                return
            if not worker.has_served:
                raise worker.error or ConfigError("workers", f"one ended: {_named(code)}")
            failures = 0 if loop.time() - started > STEADY_S else failures + 1
            self._counts.workers_restarted += 1
            log.error("worker %d ended: %s; it is started again", worker.number, _named(code))
            await asyncio.sleep(backoff_s(failures, RESTART_BASE_S, RESTART_CAP_S))

    def _bury(self, worker: WorkerProcess) -> None:
        if worker.counts is not None:
            add_document(self._ended, worker.counts, is_gone=True)
            worker.counts = None


def _named(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
