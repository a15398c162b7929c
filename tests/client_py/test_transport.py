"""One WebSocket: its address, its handshake, its encryption."""

import asyncio
import datetime
import ipaddress
import ssl
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
from tests.support.client_py.peer import FAST, listening


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


def test_a_wrong_url_is_not_quoted() -> None:
    """It may hold a password all the same."""
    with pytest.raises(ValueError, match="must look like") as wrong:
        check_url("https://user:hunter2@example.com")
    assert "hunter2" not in str(wrong.value)


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
            await Transport.open(peer.url, FAST)
    assert disconnected.value.retry_after_s == seconds
    assert not disconnected.value.is_final


async def test_a_subprotocol_that_was_not_offered() -> None:
    """A server that selects another one is not used."""
    async with listening(
        subprotocols=["other.v1"], select_subprotocol=lambda *_: "other.v1"
    ) as peer:
        with pytest.raises(Disconnected, match="unsupported subprotocol"):
            await Transport.open(peer.url, FAST)


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
