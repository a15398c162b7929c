"""
What every store that outlives its server promises: what was answered is kept.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from keystay_server.stores import open_store
from keystay_server.stores.retention import Retention
from tests.support.paths import ROOT
from tests.support.stores.installation import SOON_S, Heard


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> str:
    """Where a store is kept."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/keystay.db"
    shared: str = request.getfixturevalue("valkey").url(prefix)
    return shared


async def test_what_was_answered_survives_a_killed_server(url: str) -> None:
    """A SIGKILL in the middle of work loses nothing that a caller was told."""
    command = [sys.executable, "-m", "tests.support.stores.opener", url]
    server = await asyncio.create_subprocess_exec(*command, stdout=PIPE, cwd=ROOT)
    assert server.stdout is not None
    async with asyncio.timeout(2 * SOON_S):
        told = [await server.stdout.readline() for _ in range(100)]
        server.kill()
        told += (await server.stdout.read()).splitlines(keepends=True)
        await server.wait()
    digests = [bytes.fromhex(line.decode()) for line in told if line.endswith(b"\n")]
    assert len(digests) >= 100

    store = open_store(url, Retention())
    await store.start(Heard())
    try:
        for digest in digests:
            assert (await store.check("alice", digest)).actor_id == "alice"
    finally:
        await store.stop()
