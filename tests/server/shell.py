"""
The command line, as a shell runs it: with a terminal or without.
"""

import asyncio
import os
import pty
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

SOON_S = 20.0
COMMAND = (sys.executable, "-m", "keystay_server.cli")


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """An environment with nothing of ours in it but this."""
    clean = {name: value for name, value in os.environ.items() if "KEYSTAY" not in name}
    return {**clean, **env}


def keystay(
    *arguments: str, env: Mapping[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `keystay`; return when it has ended."""
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        check=False,
        cwd=cwd,
        encoding="utf-8",
        env=environment(env),
        timeout=SOON_S,
    )


@asynccontextmanager
async def running(*arguments: str, env: Mapping[str, str]) -> AsyncIterator[Process]:
    """Run `keystay` beside the test; kill it at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, *arguments), stdout=PIPE, stderr=PIPE, env=environment(env)
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def on_terminal(*arguments: str, env: Mapping[str, str]) -> str:
    """Run `keystay` on a terminal; return what it puts there, escape sequences included."""
    ours, theirs = pty.openpty()
    size = {"COLUMNS": "200", "TERM": "xterm-256color"}
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, *arguments),
        stdin=DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=environment({**env, **size}),
    )
    os.close(theirs)
    try:
        async with asyncio.timeout(SOON_S):
            return await asyncio.to_thread(_read, ours)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        os.close(ours)


def _read(terminal: int) -> str:
    said = b""
    while True:
        try:
            said += os.read(terminal, 65536)
        except OSError:  # The other side is closed.
            return said.decode()
