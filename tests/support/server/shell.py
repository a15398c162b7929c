"""
The command line, as a shell runs it: with a terminal or without.
"""

import asyncio
import io
import os
import pty
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from keystay_server.cli.main import main

SOON_S = 20.0
COMMAND = (sys.executable, "-m", "keystay_server.cli")


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """An environment with nothing of ours in it but this."""
    clean = {name: value for name, value in os.environ.items() if "KEYSTAY" not in name}
    return {**clean, **env}


def in_a_process(*arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `keystay`; return when it has ended."""
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env=environment(env),
        timeout=SOON_S,
    )


def keystay(
    *arguments: str, env: Mapping[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `keystay` in this process, which takes a tenth of the time; anything but `serve`."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        # A command runs an event loop of its own.
        ThreadPoolExecutor(1) as thread,
        patch.dict(os.environ, environment(env), clear=True),
        chdir(cwd or Path.cwd()),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = thread.submit(_code, arguments).result()
    said = [stream.buffer.getvalue().decode() for stream in (out, err)]
    return subprocess.CompletedProcess(arguments, code, *said)


def _code(arguments: Sequence[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)


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
