"""
What was answered outlives a server that is killed.
"""

import asyncio

from tests.support.raw_client import connected
from tests.support.server_process import serving

LOGINS_AT_ONCE = 200
ENOUGH = 50


async def test_sigkill_under_load_loses_no_answered_login(store_url: str) -> None:
    """A server killed while 200 clients log in has forgotten no key that a client received."""
    keys: list[str] = []
    enough = asyncio.Event()

    async def log_in_until_it_dies(url: str, number: int) -> None:
        try:
            async with connected(url) as client:
                while True:
                    keys.append(await client.login(f"player-{number}"))
                    if len(keys) >= ENOUGH:
                        enough.set()
        except Exception:
            return  # The server died: that is the point.

    async with serving("--store", store_url) as server:
        clients = [
            asyncio.create_task(log_in_until_it_dies(server.url, number))
            for number in range(LOGINS_AT_ONCE)
        ]
        async with asyncio.timeout(20):
            await enough.wait()
            await server.kill()
            await asyncio.gather(*clients)

    assert len(keys) >= ENOUGH
    async with serving("--store", store_url) as server, connected(server.url) as client:
        errors = {key: (await client.call("session.restore", key))[0] for key in keys}
    assert [key for key, error in errors.items() if error is not None] == []


async def test_sigkill_loses_no_answered_logout(store_url: str) -> None:
    """A session that was logged out stays ended when the server is killed right after."""
    async with serving("--store", store_url) as server, connected(server.url) as client:
        key = await client.login("alice")
        await client.call("session.logout")
        await server.kill()
    async with serving("--store", store_url) as server, connected(server.url) as client:
        assert (await client.call("session.restore", key))[0] == "loggedOut"
