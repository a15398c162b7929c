"""
A program with a client in a process of its own, which a test can suspend.
"""

import asyncio
import os
import signal
import sys
import textwrap
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.client_py.peer import WAIT_S

OVERDUE_S = 0.7
"""How long a suspension lasts: longer than the deadlines of these programs."""

_RUN = """
import asyncio, keystay, uvloop
async def main(url):
{body}
    print(result, flush=True)
{run}(main({url!r}))
"""


class Suspended:
    """The running program; it prints a line for each step."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def line(self) -> str:
        """The next line that it prints; its last one is the result, or an error."""
        assert self._process.stdout is not None
        async with asyncio.timeout(2 * WAIT_S):
            return (await self._process.stdout.readline()).decode().strip()

    @asynccontextmanager
    async def suspension(self) -> AsyncIterator[None]:
        """Stop the process; what is sent in this block it finds when it continues."""
        self._process.send_signal(signal.SIGSTOP)
        yield
        await asyncio.sleep(OVERDUE_S)  # Not a wait for something: so long is it suspended.
        self._process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def program(body: str, url: str, run: str) -> AsyncIterator[Suspended]:
    """Run the body of a coroutine that assigns `result`; `run` is what runs it."""
    code = _RUN.format(body=textwrap.indent(body, "    "), url=url, run=run)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=PIPE, env={**os.environ, "PYTHONWARNINGS": ""}
    )
    try:
        yield Suspended(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
