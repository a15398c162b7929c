"""The connection over drops, refusals and servers that misbehave."""

import asyncio
import logging
import socket
from dataclasses import replace

import pytest

import keystay
from keystay import ConnectionState
from tests.support.client_py.golden import (
    AFTER,
    CURSOR,
    KEY,
    SESSION,
    done,
    refused,
)
from tests.support.client_py.peer import FAST, WAIT_S, Peer, listening


class TestTheFirstConnection:
    """It is tried once, and says why it failed."""

    async def test_nobody_listens(self, peer: Peer) -> None:
        """A wrong address shows at once, with what the network said as its cause."""
        peer.stop()
        with pytest.raises(keystay.ConnectFailed) as failed:
            await keystay.connect(peer.url)
        assert isinstance(failed.value.__cause__, OSError)

    async def test_a_server_that_does_not_answer(self) -> None:
        """The attempt has a deadline, the handshake included."""
        with socket.create_server(("127.0.0.1", 0)) as mute:
            port = mute.getsockname()[1]
            with pytest.raises(keystay.ConnectFailed, match="in time"):
                await keystay.connect(
                    f"ws://127.0.0.1:{port}", options=replace(FAST, open_timeout_s=0.1)
                )

    async def test_a_session_that_is_not_restored_in_time(self, peer: Peer) -> None:
        """The restored session is part of being connected, and under the same deadline."""
        with pytest.raises(keystay.ConnectFailed, match="restored in time"):
            await keystay.connect(peer.url, key=KEY, options=replace(FAST, open_timeout_s=0.1))

    async def test_a_store_out_of_reach(self, peer: Peer) -> None:
        """What the server said comes through as it is."""
        opening = asyncio.ensure_future(keystay.connect(peer.url, key=KEY, options=FAST))
        line = await peer.accept()
        await line.send(refused((await line.command()).id, "unavailable", retryAfter=3))
        with pytest.raises(keystay.Unavailable) as unavailable:
            await opening
        assert unavailable.value.retry_after_s == 3

    async def test_another_protocol(self) -> None:
        """A WebSocket server that does not choose `keystay.v1` is not one of ours."""
        async with listening(subprotocols=None) as peer:
            with pytest.raises(keystay.ConnectFailed, match=r"keystay\.v1"):
                await keystay.connect(peer.url, options=FAST)

    @pytest.mark.parametrize("url", ["http://localhost", "localhost:8330", "", "ws://"])
    def test_a_url_of_another_kind(self, url: str) -> None:
        """It is refused before anything is tried."""
        with pytest.raises(ValueError, match="ws://host:port"):
            keystay.connect(url)

    async def test_giving_up_waiting(self, peer: Peer) -> None:
        """A program may cancel the opening; nothing is left behind."""
        client = keystay.connect(peer.url, key=KEY, options=FAST)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client
        assert client.state is ConnectionState.CLOSED

    async def test_a_client_connects_once(self, peer: Peer) -> None:
        """Entering it again is a mistake of the program, and does not disturb it."""
        async with keystay.connect(peer.url, options=FAST) as client:
            with pytest.raises(RuntimeError):
                await client
            assert client.state is ConnectionState.OPEN


class TestALostLine:
    """The client comes back by itself."""

    async def test_the_session_and_the_subscriptions_are_restored(self, peer: Peer) -> None:
        """Before any other command goes out."""
        client, line = await peer.bound_client()
        subscribing = asyncio.ensure_future(client.subscribe("chat"))
        id_ = await line.expect("events.subscribe", [["chat"]])
        await line.send(done(id_, ["session", "chat"]))
        await subscribing

        states = client.states()
        line.drop()
        assert await anext(states) is ConnectionState.RECONNECTING
        now = asyncio.ensure_future(client.now())
        line = await peer.accept()
        id_ = await line.expect("events.subscribe", [["chat"]])
        await line.send(done(id_, ["session", "chat"]))
        await line.serve_restore(KEY, CURSOR + 1, after=CURSOR)
        await line.serve_now(7)
        assert await now == 7
        assert await anext(states) is ConnectionState.OPEN
        await client.close()
        assert [state async for state in states] == [ConnectionState.CLOSED]

    async def test_a_store_out_of_reach(self, peer: Peer) -> None:
        """The client keeps the session, hangs up, and tries again."""
        client, line = await peer.bound_client()
        line.drop()
        for _ in range(3):
            line = await peer.accept()
            id_ = await line.expect("session.restore", [KEY, AFTER])
            await line.send(refused(id_, "unavailable"))
            assert await line.closed_with() == 1000
        assert client.session == SESSION
        line = await peer.accept()
        await line.serve_restore(KEY, CURSOR + 1, after=CURSOR)
        await client.wait_for(ConnectionState.OPEN)

    async def test_a_server_that_was_away_for_a_while(self, peer: Peer) -> None:
        """Refused connections are tried again, for as long as it takes."""
        client, line = await peer.bound_client()
        port = int(peer.url.rpartition(":")[2])
        peer.stop()
        refusals = asyncio.Event()
        handler = logging.Handler()
        handler.emit = lambda record: refusals.set()  # type: ignore[method-assign]
        line.drop()
        await client.wait_for(ConnectionState.RECONNECTING)
        logging.getLogger("keystay.client").addHandler(handler)
        async with asyncio.timeout(WAIT_S):
            await refusals.wait()
        logging.getLogger("keystay.client").removeHandler(handler)
        async with listening(port) as again:
            line = await again.accept()
            await line.serve_restore(KEY, CURSOR + 1, after=CURSOR)
            await client.wait_for(ConnectionState.OPEN)
            await client.close()

    async def test_a_line_that_went_silent(self, peer: Peer) -> None:
        """A peer that answers no ping is given up, although the line is still there."""
        client, line = await peer.bound_client(ping_interval_s=0.05, ping_timeout_s=0.05)
        line.stop_reading()
        line = await peer.accept()
        await line.serve_restore(KEY, CURSOR + 1, after=CURSOR)
        await client.wait_for(ConnectionState.OPEN)

    @pytest.mark.parametrize("nonsense", [b"\xc1", "text", done(99)])
    async def test_a_server_that_breaks_the_protocol(
        self, peer: Peer, nonsense: bytes | str
    ) -> None:
        """The client hangs up with 4500 and comes back later: it may have been a bad node."""
        client, line = await peer.bound_client()
        await line.send(nonsense)
        assert await line.closed_with() == 4500
        line = await peer.accept()
        await line.serve_restore(KEY, CURSOR + 1, after=CURSOR)
        await client.wait_for(ConnectionState.OPEN)

    async def test_a_message_too_big(self, peer: Peer) -> None:
        """The client hangs up with 1009, and does not take the echo for the server's word."""
        client, line = await peer.bound_client(max_message_bytes=1000)
        await line.send(b"\x00" * 1001)
        assert await line.closed_with() == 1009
        line = await peer.accept()
        await line.serve_restore(KEY, CURSOR + 1, after=CURSOR)
        await client.wait_for(ConnectionState.OPEN)

    async def test_a_server_that_wants_a_session_first(self, peer: Peer) -> None:
        """After 4000 an unbound client comes back when there is something to do, not before."""
        client = await peer.client()
        line = await peer.accept()
        states = client.states()
        await line.close(4000, "no session in time")
        assert await anext(states) is ConnectionState.IDLE
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):  # Five times the longest wait.
                await anext(states)
        client.set_session_key(KEY)
        async with asyncio.timeout(WAIT_S):
            assert await anext(states) is ConnectionState.RECONNECTING
        line = await peer.accept()
        await line.serve_restore(KEY)
        async with asyncio.timeout(WAIT_S):
            assert await anext(states) is ConnectionState.OPEN
