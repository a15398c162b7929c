"""
`examples/hello.py`: the first program, as short as it can be.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import keystay
from tests.support import asking
from tests.support.client_py.backends import backend
from tests.support.doc_pages import SOON_S
from tests.support.paths import ROOT
from tests.support.server_process import ServerProcess, serving

HELLO = (ROOT / "examples/hello.py").read_text()


@asynccontextmanager
async def hello(server: ServerProcess, folder: Path) -> AsyncIterator[Process]:
    """The program, running in this folder."""
    code = HELLO.replace("ws://127.0.0.1:8330", server.url)
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-c", code), cwd=folder, stdout=PIPE, env={**os.environ}
    )
    try:
        yield program
    finally:
        if program.returncode is None:
            program.kill()
        await program.communicate()


async def until(program: Process, start: str, part: str = "") -> str:
    """The rest of the next line that begins like this, and has this part."""
    assert program.stdout is not None
    async with asyncio.timeout(SOON_S):
        while line := (await program.stdout.readline()).decode():
            if line.startswith(start) and part in line:
                return line.removeprefix(start).strip()
    raise AssertionError(f"the program ended before it printed {start}")


async def test_it_stays_logged_in_and_prints_what_happens(tmp_path: Path) -> None:
    """The second start has the session of the first; changes are printed at once."""
    async with serving() as server, backend(server) as control:
        async with hello(server, tmp_path) as first:
            actor_id = await until(first, "logged in as ")
            # A thread writes the file, and the program is killed next.
            await asking.until(lambda: asyncio.to_thread((tmp_path / "session").exists))
        [session] = [session async for session in control.list_sessions(actor_id)]
        async with hello(server, tmp_path) as second:
            assert await until(second, "logged in as ") == actor_id
            await control.update_session(session.id, meta={"level": 2})
            await until(second, "session.set ", "'level': 2")
            await control.revoke_session(session.id, reason="banned")
            await until(second, "session.unset ", "'reason': 'banned'")


def test_it_is_short() -> None:
    """It fits on the front page: at most 15 lines, and no key is printed."""
    lines = [line for line in HELLO.splitlines() if line]
    assert len(lines) <= 15
    assert "kst_" not in repr(keystay.Session("a", "b", 1, 2, key="a:kst_x"))
