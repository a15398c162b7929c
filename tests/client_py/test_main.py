"""
`python -m keystay`: a session held in a terminal.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE

from tests.support.raw_client import connected
from tests.support.server_process import serving

SOON_S = 10.0


async def test_a_session_is_held_until_it_ends() -> None:
    """It prints every change of the session, and exits with 0 when the session has ended."""
    async with serving() as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "keystay", server.url, stdout=PIPE
        )
        assert process.stdout is not None
        async with asyncio.timeout(SOON_S):
            name, _, data = (await process.stdout.readline()).decode().partition(" ")
            assert name == "session.set"
            async with connected(server.url) as client:
                await client.call("session.restore", json.loads(data)["key"])
                await client.call("session.logout")
            rest = (await process.stdout.read()).decode().splitlines()
            assert rest[-1].startswith('session.unset {"reason": "loggedOut"')
            assert await process.wait() == 0


async def test_what_goes_wrong_is_one_line() -> None:
    """A key that opens nothing is said in one line on standard error, with exit code 1."""
    async with serving() as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "keystay", server.url, "--key", "nobody:kst_" + "A" * 43),
            stderr=PIPE,
        )
        async with asyncio.timeout(SOON_S):
            _, said = await process.communicate()
        assert (process.returncode, said) == (1, b"keystay: noSession\n")
