"""
The client port with TLS.
"""

import asyncio
import ssl
from pathlib import Path

import pytest

from keystay_server.gateway.deadlines import Timings
from keystay_server.node.tls import Certificate
from tests.support.certificate import content_of, make_certificate
from tests.support.raw_client import connected
from tests.support.server.gateway import listening
from tests.support.server.raw_peer import BINARY, CLOSE, command, frame, request
from tests.support.server_process import serving


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server_side(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """The server's TLS context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def client_side(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """The TLS context of a client that trusts the certificate."""
    return ssl.create_default_context(cafile=str(certificate[0]))


async def test_a_server_with_a_certificate_speaks_wss(
    certificate: tuple[Path, Path], client_side: ssl.SSLContext
) -> None:
    """With both files configured, its ready line says `wss://`."""
    cert, key = map(str, certificate)
    async with serving("--tls-cert", cert, "--tls-key", key) as server:
        assert server.url.startswith("wss://127.0.0.1:")
        url = server.url.replace("127.0.0.1", "localhost")
        async with connected(url, ssl=client_side) as client:
            assert await client.login("alice")


async def test_everything_is_as_without_tls(
    server_side: ssl.SSLContext, client_side: ssl.SSLContext
) -> None:
    """Large messages, many at once, and a close frame that arrives."""
    secured = {"ssl": client_side, "server_hostname": "localhost"}
    async with listening(tls=server_side) as gateway, gateway.connected(**secured) as peer:
        peer.send(frame(BINARY, command(0, "session.isValid", "x" * 60_000)))
        peer.send(*(frame(BINARY, command(id_, "time.now")) for id_ in range(1, 300)))
        assert [(await peer.message())[1] for _ in range(300)] == list(range(300))
        peer.send(frame(BINARY, b"\xc1"))
        assert (await peer.close_frame())[0] == 4500
        peer.send(frame(CLOSE, (4500).to_bytes(2)))
        assert await peer.end() == b""


async def test_a_client_that_reads_nothing_is_dropped(
    server_side: ssl.SSLContext, client_side: ssl.SSLContext
) -> None:
    """The bounds in bytes and in time hold with TLS too."""
    secured = {"ssl": client_side, "server_hostname": "localhost", "limit": 1024}
    timings = Timings(slow_s=0.1, close_s=0.1)
    async with (
        listening(timings, tls=server_side) as gateway,
        gateway.connected(**secured) as peer,
    ):
        peer.send(frame(BINARY, command(1, "session.login", "anonymous")))
        await gateway.node.store.until_asked("create", 1)
        await peer.ask_for_4_kib(3000)
        await gateway.node.until_unbound()


async def test_http_without_tls_gets_an_answer(certificate: tuple[Path, Path]) -> None:
    """400 in clear text says what to use; it is counted, as each failed TLS handshake is."""
    context = Certificate("tls", *map(str, certificate)).context
    async with listening(tls=context) as gateway:
        counts = gateway.node.node.counts.refused
        async with gateway.dialled() as peer:
            answer = await peer.handshake(request())
            assert (answer.status, "use wss://" in answer.body) == (400, True)
        async with gateway.dialled() as peer:
            peer.send(bytes(100))
            await peer.end()
        assert (counts["noTls"], counts["tlsFailed"], counts.total()) == (1, 1, 2)


async def test_a_peer_without_tls_is_dropped(server_side: ssl.SSLContext) -> None:
    """In clear text, or silent: at the deadline of the handshake at the latest."""
    async with (
        listening(Timings(handshake_s=0.2), tls=server_side) as gateway,
        gateway.dialled() as talker,
        gateway.dialled() as silent,
    ):
        talker.send(b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.gather(talker.end(), silent.end())


async def test_a_certificate_is_replaced_while_the_server_runs(tmp_path: Path) -> None:
    """Open connections stay; new ones get the new certificate."""
    cert, key = make_certificate(tmp_path)
    certificate = Certificate("tls", str(cert), str(key))
    secured = {
        "ssl": ssl.create_default_context(cafile=str(cert)),
        "server_hostname": "localhost",
    }
    async with (
        listening(tls=certificate.context) as gateway,
        gateway.connected(**secured) as before,
    ):
        make_certificate(tmp_path)
        certificate.reload()
        secured["ssl"] = ssl.create_default_context(cafile=str(cert))
        async with gateway.connected(**secured) as after:
            shown = after.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            assert shown == content_of(cert)
            assert (await after.call("time.now"))[0] is None
        assert (await before.call("time.now"))[0] is None
