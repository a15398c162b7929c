"""
A real server process, for tests that treat Keystay as its users do.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_S = 20.0
STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running `keystay serve`, and what its ready line said."""

    process: Process
    ready: dict[str, Any]

    @property
    def url(self) -> str:
        """Where clients connect."""
        return str(self.ready["listen"])

    @property
    def control(self) -> str:
        """Where backends connect."""
        return str(self.ready["control"])

    @property
    def pid(self) -> int:
        return self.process.pid

    def memory_bytes(self) -> int:
        """Resident memory, from /proc."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        await self.process.wait()

    async def terminate(self) -> int:
        """SIGTERM; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_S):
            return await self.process.wait()


@asynccontextmanager
async def serving(
    *flags: str,
    env: dict[str, str] | None = None,
    dev: bool = True,
    log: Path | None = None,
    max_files: int | None = None,
) -> AsyncIterator[ServerProcess]:
    """
    Run `keystay serve` with these flags on free ports; kill it at the end if it still runs.

    Without `--store` among the flags it keeps sessions in memory. Its log goes to the file
    `log`, or to this process's standard error, which pytest shows when a test fails.
    `max_files` is its limit on file descriptors.
    """
    defaults = {"--listen": "127.0.0.1:0", "--control": "127.0.0.1:0", "--store": "memory://"}
    command = [sys.executable, "-m", "keystay_server.cli", "serve", *flags]
    for flag, value in defaults.items():
        if flag not in flags:
            command += [flag, value]
    if dev:
        command.append("--dev")
    if max_files is not None:
        command = ["sh", "-c", f'ulimit -n {max_files}; exec "$@"', "sh", *command]
    with ExitStack() as stack:
        stderr = None if log is None else stack.enter_context(log.open("wb"))
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=PIPE,
            stderr=stderr,
            env={**os.environ, "KEYSTAY_API_KEY": "test-api-key", **(env or {})},
        )
    try:
        async with asyncio.timeout(START_S):
            assert process.stdout is not None
            line = await process.stdout.readline()
        assert line, f"the server exited with {await process.wait()}"
        yield ServerProcess(process, json.loads(line))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        # asyncio closes the pipes some rounds later, and warns if the loop ends before that.
        getattr(process, "_transport").close()  # noqa: B009
