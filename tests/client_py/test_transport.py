"""One WebSocket: its address, its handshake, its encryption."""

import asyncio
import datetime
import ipaddress
import os
import ssl
import traceback
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

import keystay
from keystay import Options
from keystay._transport import Disconnected, Transport, check_url
from tests.support.client_py.golden import KEY
from tests.support.client_py.http_peer import answer, http_peer, keep_silent
from tests.support.client_py.peer import FAST, WAIT_S, Peer, listening
from tests.support.client_py.proxy import connect_proxy


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://127.0.0.1:8330", "ws://127.0.0.1:8330"),
        ("wss://example.com", "wss://example.com:443"),
        ("wss://example.com/game?token=x", "wss://example.com:443/game"),
        ("ws://user:password@example.com/", "ws://example.com:80/"),
        ("ws://[::1]:8330", "ws://[::1]:8330"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    """Scheme, host, port and path; never user, password, or query."""
    assert check_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@example.com",
        "ws://user:hunter2",
        "ws://[hunter2",
        "ws://user:hunter2@" + "\N{SNOWMAN}" * 70,
    ],
)
def test_a_wrong_url_is_not_quoted(url: str) -> None:
    """It may contain a password."""
    with pytest.raises(ValueError, match="must look like") as wrong:
        check_url(url)
    shown = "".join(traceback.format_exception(wrong.value))
    assert "hunter2" not in shown.replace(f'"{url}"', "")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("Fri, 07 Nov 2036 23:59:59 GMT", 0.0), ("-1", 0.0), ("", 0.0)],
)
async def test_a_refused_handshake_may_say_when_to_come_back(
    header: str, seconds: float
) -> None:
    """`Retry-After` in seconds is obeyed; a date is not, for clocks differ."""

    def refuse(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "going away")
        response.headers["Retry-After"] = header
        return response

    async with listening(process_request=refuse) as peer:
        with pytest.raises(Disconnected, match="503") as disconnected:
            await Transport.open(peer.url, FAST, WAIT_S)
    assert disconnected.value.retry_after_s == seconds
    assert not disconnected.value.is_final


async def test_a_subprotocol_that_was_not_offered() -> None:
    """A server that selects another one is not used."""
    async with listening(
        subprotocols=["other.v1"], select_subprotocol=lambda *_: "other.v1"
    ) as peer:
        with pytest.raises(Disconnected, match="unsupported subprotocol"):
            await Transport.open(peer.url, FAST, WAIT_S)


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which no proxy variable is set; the test sets its own."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """Another host would get the key; the error names the host, and nothing else of the URL."""

    def redirect(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(HTTPStatus(status), "elsewhere")
        response.headers["Location"] = f"{other.url}/login?token=hunter2"
        return response

    async with listening() as other, listening(process_request=redirect) as peer:
        with pytest.raises(keystay.ConnectFailed) as failed:
            await keystay.connect(peer.url, key=KEY, options=FAST)
        assert other.has_no_more()
    assert f"HTTP {status}" in str(failed.value)
    assert f"redirects to {other.url}" in str(failed.value)
    assert "hunter2" not in str(failed.value)


async def test_a_redirect_without_a_target() -> None:
    """It is an answer like any other."""

    def redirect(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(HTTPStatus.FOUND, "elsewhere")
        response.headers["Location"] = "http://[nonsense"
        return response

    async with listening(process_request=redirect) as peer:
        with pytest.raises(keystay.ConnectFailed, match="HTTP 302"):
            await keystay.connect(peer.url, options=FAST)


async def test_loopback_does_without_the_proxy(direct: pytest.MonkeyPatch, peer: Peer) -> None:
    """A proxy variable of the company's network does not stop a server on this machine."""
    direct.setenv("http_proxy", "http://127.0.0.1:1")
    direct.setenv("SOCKS_PROXY", "socks5h://127.0.0.1:1")
    client, _ = await peer.bound_client()
    assert client.state == "open"


async def test_a_server_is_reached_through_the_proxy(
    direct: pytest.MonkeyPatch, peer: Peer
) -> None:
    """It is asked to connect to the server; what is said then goes through."""
    async with connect_proxy(peer.url) as proxy:
        direct.setenv("http_proxy", proxy.url)
        async with keystay.connect("ws://game.example", options=FAST) as client:
            now = asyncio.ensure_future(client.now())
            await (await peer.accept()).serve_now(7)
            assert await now == 7
    assert proxy.targets == ["game.example:80"]


@pytest.mark.parametrize(
    ("name", "proxy", "reason"),
    [
        ("http_proxy", "http://user:hunter2@127.0.0.1:1", "http://127.0.0.1:1: .*Errno"),
        ("http_proxy", "ftp://user:hunter2@127.0.0.1:1", "ftp://127.0.0.1:1: scheme ftp"),
        ("http_proxy", "127.0.0.1:1", r"\(not a URL\): scheme"),
        ("socks_proxy", "http://user:hunter2@127.0.0.1:1", "socks5h://127.0.0.1:1: .*socks"),
    ],
)
async def test_an_error_names_the_proxy(
    direct: pytest.MonkeyPatch, name: str, proxy: str, reason: str
) -> None:
    """Without its password: who has set the variable long ago learns where to look."""
    direct.setenv(name, proxy)
    with pytest.raises(keystay.ConnectFailed, match=f"through the proxy {reason}") as failed:
        await keystay.connect("ws://game.example", options=FAST)
    assert "hunter2" not in str(failed.value)


async def test_a_proxy_that_refuses(direct: pytest.MonkeyPatch) -> None:
    """Its status is in the error, and so is its address."""
    async with http_peer(answer(407, b"", content_type="text/html")) as proxy:
        direct.setenv("http_proxy", proxy.url)
        with pytest.raises(
            keystay.ConnectFailed, match=f"through the proxy {proxy.url}: .*407"
        ):
            await keystay.connect("ws://game.example", options=FAST)


async def test_a_silent_proxy(direct: pytest.MonkeyPatch) -> None:
    """When the time is over, the error names it too."""
    async with http_peer(keep_silent) as proxy:
        direct.setenv("http_proxy", proxy.url)
        options = replace(FAST, open_timeout_s=0.1)
        with pytest.raises(keystay.ConnectFailed, match=f"proxy {proxy.url}: no response"):
            await keystay.connect("ws://game.example", options=options)


@pytest.mark.parametrize("host", [f"{'a' * 64}.example", "a..example"])
async def test_a_host_that_cannot_be_one(direct: pytest.MonkeyPatch, host: str) -> None:
    """The error is that of the address, not of the client."""
    with pytest.raises(keystay.ConnectFailed) as failed:
        await keystay.connect(f"ws://{host}:1", options=FAST)
    assert "bug" not in str(failed.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody but the test trusts, with its private key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


async def test_tls_with_an_authority_of_ones_own(certificate: Path) -> None:
    """`Options.ssl` says whom to trust; without it the certificate is refused."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)
    async with listening(ssl=server_side) as peer:
        url = peer.url.replace("ws:", "wss:")
        with pytest.raises(keystay.ConnectFailed, match="certificate verify failed"):
            await keystay.connect(url, options=FAST)
        trusting = ssl.create_default_context(cafile=certificate)
        async with keystay.connect(url, options=Options(ssl=trusting)) as client:
            now = asyncio.ensure_future(client.now())
            await (await peer.accept()).serve_now(6)
            assert await now == 6


def test_tls_options_without_tls() -> None:
    """They would do nothing: that is said before anything is sent in the clear."""
    with pytest.raises(ValueError, match="wss://"):
        keystay.connect("ws://example.com", options=Options(ssl=ssl.create_default_context()))
