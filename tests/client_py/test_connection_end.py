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

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 426, 429, 500, 502, 503])
    async def test_a_refused_handshake_before_the_first_connection(self, status: int) -> None:
        """The first connection is attempted once: `connect` raises what the server answered."""

        def refuse(connection: ServerConnection, request: Request) -> Response:
            return connection.respond(HTTPStatus(status), "no")

        async with listening(process_request=refuse) as peer:
            with pytest.raises(keystay.ConnectFailed, match=str(status)):
                await keystay.connect(peer.url, options=FAST)

    @pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 407, 426, 429, 503])
    async def test_a_refused_handshake_after_the_first_connection(self, status: int) -> None:
        """A proxy answers anything during a deployment: an open client reconnects."""
        statuses = iter([None, status, status])

        def process(connection: ServerConnection, request: Request) -> Response | None:
            status = next(statuses, None)
            if status is None:
                return None
            response = connection.respond(HTTPStatus(status), "no")
            response.headers["Location"] = "ws://127.0.0.1:1/login"
            return response

        async with listening(process_request=process) as peer:
            client = await keystay.connect(peer.url, options=FAST)
            (await peer.accept()).drop()
            await peer.accept()
            await client.wait_for(ConnectionState.OPEN)
            await client.close()
            assert client.error is None

    async def test_another_subprotocol_after_the_first_connection(self) -> None:
        """A server without the protocol, for a moment, does not close an open client."""
        chosen = iter(["keystay.v1", None, "keystay.v1"])
        async with listening(select_subprotocol=lambda *_: next(chosen)) as peer:
            client = await keystay.connect(peer.url, options=FAST)
            (await peer.accept()).drop()
            assert await (await peer.accept()).closed_with() == 1002
            await peer.accept()
            await client.wait_for(ConnectionState.OPEN)
            await client.close()

    async def test_a_handler_of_closed_gets_the_error(self, peer: Peer) -> None:
        """After the last event of the server, `closed` has why the client failed."""
        client, line = await peer.bound_client()
        received: list[tuple[str, object]] = []
        client.on("", lambda name, data: received.append((name, data)))
        client.on("closed", lambda name, data: received.append((name, data)))
        closed = asyncio.Event()
        client.on("closed", lambda name, data: closed.set())
        await line.send(encode(Event("n", 1, None)))
        await line.close(4502, "why")
        async with asyncio.timeout(WAIT_S):
            await closed.wait()
        assert received == [("n", 1), ("closed", client.error)]
        assert isinstance(client.error, keystay.ClosedByServer)

    async def test_a_handler_of_closed_when_the_program_closes(self, peer: Peer) -> None:
        """The data of `closed` is then None; the handler is called before `close` returns."""
        client, _ = await peer.bound_client()
        received: list[tuple[str, object]] = []
        client.on("closed", lambda name, data: received.append((name, data)))
        await client.close()
        assert received == [("closed", None)]

    async def test_a_backend_cannot_send_the_client_its_own_closed(self, peer: Peer) -> None:
        """An event of that name is a backend's: handlers of `closed` do not get it."""
        client, line = await peer.bound_client()
        closed: list[object] = []
        client.on("closed", lambda name, data: closed.append(data))
        shop = asyncio.Event()
        client.on("closed.shop", lambda name, data: shop.set())
        await line.send(*(encode(Event(name, 7, None)) for name in ("closed", "closed.shop")))
        async with asyncio.timeout(WAIT_S):
            await shop.wait()
        assert closed == []
        await client.close()
        assert closed == [None]

    async def test_closing_a_peer_that_is_dead(self, peer: Peer) -> None:
        """The close has a deadline: a peer that does not answer is cut off."""
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
