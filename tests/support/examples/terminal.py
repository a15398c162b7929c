"""
The game, played by a test on a terminal, as a person plays it.
"""

import asyncio
import os
import pty
import sys
import termios
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.examples.stage import SOON_S
from tests.support.paths import ROOT


class Terminal:
    """A terminal, and the game that runs on it."""

    def __init__(self, process: Process, ours: int) -> None:
        self.process = process
        self._ours = ours
        self._said = ""
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(ours, self._read)

    def press(self, keys: str) -> None:
        """Send what these keys send."""
        os.write(self._ours, keys.encode())

    async def until(self, text: str) -> None:
        """Wait until this is written, after what was waited for last."""
        async with asyncio.timeout(SOON_S):
            while text not in self._said:
                self._news.clear()
                await self._news.wait()
        self._said = self._said.partition(text)[2]

    async def exit_code(self) -> int:
        """Wait until the game is over."""
        async with asyncio.timeout(SOON_S):
            return await self.process.wait()

    def settings(self) -> Sequence[object]:
        """How the terminal treats what is typed: its echo, its lines, its signals."""
        return termios.tcgetattr(self._ours)

    def _read(self) -> None:
        self._said += os.read(self._ours, 65536).decode(errors="replace")
        self._news.set()


@asynccontextmanager
async def on_terminal(
    *arguments: str, cwd: Path, rows: int = 24, columns: int = 80
) -> AsyncIterator[Terminal]:
    """Run `python -m examples.game` in this folder; kill it at the end if it still runs."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (rows, columns))
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    # Theirs stays open here: what the game leaves behind can then be read after its end.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.game", *arguments),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, "TERM": "xterm-256color"},
    )
    try:
        yield Terminal(process, ours)
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)
        os.close(theirs)
