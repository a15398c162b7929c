"""
What the README shows works.
"""

import json
import re
import shlex
import sys
from pathlib import Path

from tests.support.doc_pages import block_with, blocks, run
from tests.support.raw_client import connected
from tests.support.server_process import serving


async def test_the_program(tmp_path: Path) -> None:
    """The first program that a newcomer copies prints what it says."""
    [program] = blocks("README.md", "python")
    async with serving() as server:
        (tmp_path / "try.py").write_text(program.replace("ws://127.0.0.1:8330", server.url))
        output = await run(sys.executable, str(tmp_path / "try.py"))
    assert re.fullmatch(r"sessions: \['\S+'\]\nsession\.unset loggedOut\n", output)


async def test_the_command_line() -> None:
    """A session is created, listed and revoked by the commands that the README shows."""
    shell = block_with("README.md", "sh", "session create")
    create, show, end = shell.splitlines()
    async with serving() as server:

        async def keystay_prints(line: str, *more: str) -> str:
            words = shlex.split(line, comments=True)[1:]
            return await run(
                *(sys.executable, "-m", "keystay_server.cli", *words, *more),
                KEYSTAY_CONTROL=server.control,
                KEYSTAY_API_KEY="test-api-key",
            )

        created = json.loads(await keystay_prints(create, "--json"))
        assert created["meta"] == {"name": "Ada"}
        assert created["id"] in await keystay_prints(show)
        await keystay_prints(end.replace(" ID ", f" {created['id']} "))
        async with connected(server.url) as client:
            assert (await client.call("session.isValid", created["key"]))[0] == "banned"
