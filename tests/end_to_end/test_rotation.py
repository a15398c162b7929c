"""
Keys, certificates and secrets are exchanged by SIGHUP while the server runs.
"""

import asyncio
import base64
import signal
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

import keystay
from tests.support.asking import AGAIN_S, until
from tests.support.backend import backend_of
from tests.support.certificate import content_of, make_certificate
from tests.support.raw_client import connected
from tests.support.server_process import ServerProcess, serving

WAIT_S = 10.0
API_KEY = "test-api-key"
OLD, NEW = (f"whsec_{base64.b64encode(bytes([n]) * 32).decode()}" for n in (1, 2))


async def shown_at(url: str) -> bytes | None:
    """The certificate that a new connection is shown at this address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    parts = urlsplit(url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
    shown: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return shown


async def until_shown(url: str, certificate: Path) -> None:
    """Wait until new connections are shown this one."""
    await until(lambda: shown_at(url), lambda shown: shown == content_of(certificate))


def trusting(certificate: Path) -> ssl.SSLContext:
    """TLS of a client that trusts this certificate, as the file has it now, and no other."""
    return ssl.create_default_context(cafile=str(certificate))


async def test_certificates_are_exchanged_while_the_server_runs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """On both ports, for new connections; open ones stay, and a bad file changes nothing."""
    for folder in ("clients", "backends"):
        (tmp_path / folder).mkdir()
    cert, key = make_certificate(tmp_path / "clients")
    control_cert, control_key = make_certificate(tmp_path / "backends")
    async with serving(
        *("--tls-cert", str(cert), "--tls-key", str(key)),
        *("--control-tls-cert", str(control_cert), "--control-tls-key", str(control_key)),
    ) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        control = server.control.replace("127.0.0.1", "localhost")
        async with (
            connected(url, ssl=trusting(cert)) as before,
            backend_of(verify=trusting(control_cert)) as backend,
        ):
            assert (await backend.get(f"{control}/livez")).status_code == 200
            # The first pair does not match; the second is fine.
            good = cert.read_bytes(), content_of(cert)
            cert.write_bytes(control_cert.read_bytes())
            make_certificate(tmp_path / "backends")
            server.process.send_signal(signal.SIGHUP)
            await until_shown(control, control_cert)
            assert await shown_at(url) == good[1]
            make_certificate(tmp_path / "clients")
            server.process.send_signal(signal.SIGHUP)
            await until_shown(url, cert)
            async with connected(url, ssl=trusting(cert)) as after:
                assert await after.login("alice")
            # Each trusts the old certificate only: it goes on over the connection that it has.
            assert await before.login("alice")
            assert (await backend.get(f"{control}/livez")).status_code == 200
        assert await server.terminate() == 0
    log = [line for line in capfd.readouterr().err.splitlines() if "SIGHUP" in line]
    assert len(log) == 3
    assert "tls_cert: cannot be loaded with tls_key: " in log[0]
    assert "new connections get the new certificate of control_tls_cert" in log[1]
    assert "new connections get the new certificate of tls_cert" in log[2]


async def test_the_feed_of_a_removed_key_ends(tmp_path: Path) -> None:
    """Whoever listened with it comes back, and is told that it is no key any more."""
    file = tmp_path / "keys.toml"
    file.write_text('[shop]\nkey = "the-key-of-the-shop-22"\nscopes = ["read"]\n')
    async with (
        serving("--api-keys-file", str(file)) as server,
        keystay.Control(server.control, API_KEY) as other,
        keystay.Control(server.control, "the-key-of-the-shop-22") as shop,
        shop.feed() as feed,
    ):
        heard = asyncio.create_task(until_refused(feed))
        file.write_text("")
        server.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(WAIT_S):
            while not heard.done():
                await other.create_session("alice")
        assert await heard
        assert await server.terminate() == 0


async def until_refused(feed: keystay.FeedStream) -> bool:
    """Listen until the key is good no more."""
    with pytest.raises(keystay.Unauthorized):
        async for _ in feed:
            pass
    return True


class Receiver:
    """An application that takes webhooks, and verifies them with one secret at a time."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.refused: list[str] = []
        self.signatures: list[int] = []
        """How many each delivery had."""

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Take what is genuine."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[1:]
                headers = httpx.Headers(dict(line.split(": ", 1) for line in head if line))
                body = await reader.readexactly(int(headers["content-length"]))
                try:
                    keystay.verify_webhook(headers, body, self.secret)
                except keystay.InvalidWebhook as error:
                    self.refused.append(str(error))
                self.signatures.append(len(headers["webhook-signature"].split(" ")))
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The server has stopped.
        finally:
            writer.close()

    async def until_signed(self, backend: httpx.AsyncClient, number: int) -> None:
        """Have something to tell until it comes with so many signatures."""
        seen = len(self.signatures)
        async with asyncio.timeout(WAIT_S):
            while number not in self.signatures[seen:]:
                answer = await backend.post("/v1/sessions", json={"actorId": "alice"})
                assert answer.status_code == 201
                await asyncio.sleep(AGAIN_S)


@asynccontextmanager
async def delivering(
    receiver: Receiver, secret_file: Path
) -> AsyncIterator[tuple[ServerProcess, httpx.AsyncClient]]:
    """A server that delivers there, and its backend."""
    listening = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    flags = ("--webhook-url", url, "--webhook-secret-file", str(secret_file))
    async with (
        listening,
        serving(*flags, "--policy", "single") as server,
        backend_of(server.control, API_KEY) as backend,
    ):
        yield server, backend
        assert await server.terminate() == 0


async def test_the_secret_of_webhooks_is_exchanged_without_a_gap(tmp_path: Path) -> None:
    """The new one is added, receivers change to it, the old one is removed: all is verified."""
    file, receiver = tmp_path / "secret", Receiver(OLD)
    file.write_text(f"{OLD}\n")
    async with delivering(receiver, file) as (server, backend):
        await receiver.until_signed(backend, 1)
        file.write_text(f"{OLD}\n{NEW}\n")
        server.process.send_signal(signal.SIGHUP)
        await receiver.until_signed(backend, 2)
        receiver.secret = NEW
        await receiver.until_signed(backend, 2)
        file.write_text(f"{NEW}\n")
        server.process.send_signal(signal.SIGHUP)
        await receiver.until_signed(backend, 1)
    assert receiver.refused == []
