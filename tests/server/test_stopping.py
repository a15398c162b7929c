"""
A real server process that is told to stop.
"""

import asyncio
import signal
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.raw_client import connected
from tests.support.server_process import serving


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_exits_0(number: signal.Signals) -> None:
    """Clients are told when to come back, answered what is under way, and closed with 1012."""
    async with serving() as server, connected(server.url) as one, connected(server.url) as two:
        await one.login("alice")
        ids = [await one.send("session.login", "anonymous") for _ in range(20)]
        await one.reply(ids[0])
        server.process.send_signal(number)
        for client in (one, two):
            with suppress(ConnectionClosed):
                while True:
                    await client.receive()
            assert client.websocket.close_code == 1012
            (draining,) = [
                data for name, data, _ in client.events() if name == "server.draining"
            ]
            assert 0 <= draining["reconnectAfter"] <= 5000
        answered = [message[1] for message in one.received if message[0] == 1]
        assert answered == list(range(1, len(answered) + 1))
        async with asyncio.timeout(10):
            assert await server.process.wait() == 0
