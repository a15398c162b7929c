"""How a line is left: by a draining server, for good, and without a word in the log."""

import asyncio
import logging
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

import keystay
from keystay import ConnectionState
from keystay_protocol.codec import encode
from keystay_protocol.frames import Event
from tests.support.client_py.golden import (
    CURSOR,
    KEY,
    SESSION,
    bound,
    done,
    session_set,
    wire_session,
)
from tests.support.client_py.peer import FAST, WAIT_S, Peer, listening


class TestADrainingServer:
    """The server says when to come back."""

    async def test_the_client_moves_when_its_slot_comes(self, peer: Peer) -> None:
        """
        It leaves by itself, and not before the commands on the line were answered. A login that
        is given meanwhile, and could not be sent twice, is kept for the next line.
        """
        client, line = await peer.bound_client()
        told = asyncio.Event()
        client.on("server.draining", lambda path, data: told.set())
        leaving = asyncio.ensure_future(client.logout("others"))
        id_ = (await line.command()).id
        await line.send(encode(Event("server.draining", {"reconnectAfter": 20}, None)))
        await told.wait()
        login = asyncio.ensure_future(client.login("anonymous"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await line.command()
        await line.send(done(id_))
        await leaving
        assert await line.closed_with() == 1000
        line = await peer.accept()
        await line.serve_restore(KEY, CURSOR + 1, after=CURSOR)
        id_ = await line.expect("session.login", ["anonymous"])
        await line.send(session_set(CURSOR + 2), bound(id_, CURSOR + 2))
        assert (await login).id == SESSION.id

    async def test_a_line_that_ends_before_the_slot(self, peer: Peer) -> None:
        """Closed with 1012, the client still waits for its slot."""
        _, line = await peer.bound_client()
        loop = asyncio.get_running_loop()
        told_at = loop.time()
        await line.send(encode(Event("server.draining", {"reconnectAfter": 200}, None)))
        await line.close(1012)
        line = await peer.accept()
        assert loop.time() - told_at >= 0.2
        await line.serve_restore(KEY, CURSOR + 1, after=CURSOR)


class TestTheEnd:
    """What makes the client stop, and how a program sees it."""

    @pytest.mark.parametrize("code", [1002, 1003, 1007, 1009, 4500, 4501, 4502, 4999])
    async def test_codes_that_mean_stay_away(self, peer: Peer, code: int) -> None:
        """The client is closed, knows the code, and does not come back."""
        client, line = await peer.bound_client()
        events = client.events()
        waiting = asyncio.ensure_future(client.now())
        await line.command()
        await line.close(code, "why")
        with pytest.raises(keystay.ClientClosed) as closed:
            await waiting
        assert isinstance(client.error, keystay.ClosedByServer)
        assert (client.error.close_code, client.error.reason) == (code, "why")
        assert closed.value.__cause__ is client.error
        with pytest.raises(keystay.ClosedByServer):
            await anext(events)
        with pytest.raises(keystay.ClientClosed):
            await client.wait_for(ConnectionState.OPEN)
        with pytest.raises(keystay.ClientClosed):
            await client.now()
        await client.wait_for(ConnectionState.CLOSED)
        await client.close()
        assert peer.has_no_more()

    async def test_handlers_still_hear_the_last_event(self, peer: Peer) -> None:
        """4501 comes after the `session.unset` that explains it."""
        client, line = await peer.bound_client()
        told = asyncio.Event()
        client.on("session.unset", lambda path, data: told.set())
        event = Event("session.unset", {"reason": "revoked", "id": SESSION.id}, CURSOR + 1)
        await line.send(encode(event))
        await line.close(4501)
        async with asyncio.timeout(WAIT_S):
            await told.wait()
        await client.wait_for(ConnectionState.CLOSED)
        assert client.session is None

    @pytest.mark.parametrize(
        ("status", "is_final"), [(400, True), (403, True), (429, False), (503, False)]
    )
    async def test_a_refused_handshake(self, status: int, *, is_final: bool) -> None:
        """Some statuses pass, others mean stop (SPEC section 1.1)."""
        statuses = iter([None, status])

        def process(connection: ServerConnection, request: Request) -> Response | None:
            status = next(statuses, None)
            return None if status is None else connection.respond(HTTPStatus(status), "no")

        async with listening(process_request=process) as peer:
            client = await keystay.connect(peer.url, options=FAST)
            (await peer.accept()).drop()
            if is_final:
                await client.wait_for(ConnectionState.CLOSED)
                assert isinstance(client.error, keystay.ConnectFailed)
            else:
                await peer.accept()
            await client.close()

    async def test_closing_a_peer_that_is_dead(self, peer: Peer) -> None:
        """The goodbye has a deadline: a peer that does not answer is cut off."""
        client, line = await peer.bound_client(close_timeout_s=0.1)
        line.stop_reading()
        async with asyncio.timeout(1):
            await client.close()
        assert client.state is ConnectionState.CLOSED

    async def test_a_server_that_does_not_read(self, peer: Peer) -> None:
        """Writing has a deadline too: the line is cut, and the commands are told."""
        client, line = await peer.bound_client(write_timeout_s=0.1)
        line.stop_reading()
        commands = [
            asyncio.ensure_future(client.login("jwt", "x" * 60_000)) for _ in range(200)
        ]
        await client.wait_for(ConnectionState.RECONNECTING)
        await client.close()
        results = await asyncio.gather(*commands, return_exceptions=True)
        assert {type(result) for result in results} <= {
            keystay.ConnectionLost,
            keystay.ClientClosed,
        }

    async def test_closing_while_the_server_is_away(self, peer: Peer) -> None:
        """What waits is told, at once."""
        client, line = await peer.bound_client()
        peer.stop()
        line.drop()
        await client.wait_for(ConnectionState.RECONNECTING)
        waiting = asyncio.ensure_future(client.now())
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(keystay.ClientClosed):
            await waiting


async def test_no_key_in_logs_reprs_and_errors(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at DEBUG, the secret of a key never shows."""
    caplog.set_level(logging.DEBUG)
    client, line = await peer.bound_client()
    shown = [repr(client), repr(client.session), repr(client.events())]
    line.drop()
    line = await peer.accept()
    await line.serve_restore(KEY, CURSOR + 1, after=CURSOR)
    waiting = asyncio.ensure_future(client.login("jwt", {"token": KEY}))
    command = await line.command()
    shown.append(repr(command))
    await line.close(4500)
    with pytest.raises(keystay.ConnectionLost) as lost:
        await waiting
    shown += [repr(lost.value), str(client.error), repr(wire_session().keys())]
    await client.close()
    assert "kst_" not in " ".join(shown) + caplog.text
    assert "closed" in caplog.text


async def test_the_url_is_logged_without_its_secrets(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """User, password and query of the URL are nobody's business."""
    caplog.set_level(logging.DEBUG)
    url = peer.url.replace("ws://", "ws://user:hunter2@") + "/path?token=hunter3"
    async with keystay.connect(url, options=FAST) as client:
        assert repr(client) == f"<keystay.Client {peer.url}/path open>"
    assert "hunter" not in caplog.text


async def test_replies_that_come_together_with_events(peer: Peer) -> None:
    """A burst in one packet is taken apart in order."""
    client, line = await peer.bound_client()
    heard: list[int] = []
    client.on("n", lambda path, data: heard.append(data))
    restoring = asyncio.ensure_future(client.restore(KEY))
    id_ = (await line.command()).id
    await line.send(
        *(encode(Event("n", number, None)) for number in range(50)),
        session_set(None),
        bound(id_, CURSOR + 1),
    )
    await restoring
    assert heard == list(range(50))
