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
        self._output = ""
        self._has_output = asyncio.Event()
        asyncio.get_running_loop().add_reader(ours, self._read)

    def press(self, keys: str) -> None:
        """Send the characters of these keys."""
        os.write(self._ours, keys.encode())

    async def until(self, text: str) -> None:
        """Wait until this text is written, after the text of the last call."""
        async with asyncio.timeout(SOON_S):
            while text not in self._output:
                self._has_output.clear()
                await self._has_output.wait()
        self._output = self._output.partition(text)[2]

    async def exit_code(self) -> int:
        """Wait until the game is over."""
        async with asyncio.timeout(SOON_S):
            return await self.process.wait()

    def settings(self) -> Sequence[object]:
        """The settings of the terminal: echo, lines, signals."""
        return termios.tcgetattr(self._ours)

    def _read(self) -> None:
        self._output += os.read(self._ours, 65536).decode(errors="replace")
        self._has_output.set()


@asynccontextmanager
async def on_terminal(
    *arguments: str, cwd: Path, rows: int = 24, columns: int = 80
) -> AsyncIterator[Terminal]:
    """Run `python -m examples.game` in this folder; kill it at the end if it still runs."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (rows, columns))
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    # Stays open here, so that the output can be read after the game has ended.
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
