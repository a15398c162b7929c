"""
URLs of Redis servers.
"""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keystay_server.stores import open_store
from keystay_server.stores.errors import StoreError
from keystay_server.stores.redis import RedisStore
from keystay_server.stores.redis.address import Location
from keystay_server.stores.retention import Retention
from tests.support.stores.installation import new_session, opened
from tests.support.stores.proxy import proxy_to
from tests.support.stores.redis_node import node
from tests.support.valkey import Valkey


@pytest.mark.parametrize(
    ("url", "topology", "hosts", "rest"),
    [
        ("redis://", "", [("localhost", 6379)], ("", 0, "ks")),
        ("redis://host", "", [("host", 6379)], ("", 0, "ks")),
        ("redis://u:secret@host:1/7?prefix=a:b", "", [("host", 1)], ("", 7, "a:b")),
        ("rediss://:secret@[::1]:1", "", [("::1", 1)], ("", 0, "ks")),
        ("redis+sentinel://a,b:2/m", "sentinel", [("a", 26379), ("b", 2)], ("m", 0, "ks")),
        ("rediss+sentinel://u:secret@a/m/3", "sentinel", [("a", 26379)], ("m", 3, "ks")),
        ("redis+cluster://a,b:2/", "cluster", [("a", 6379), ("b", 2)], ("", 0, "ks")),
    ],
)
def test_a_url_says_where_redis_is(
    url: str, topology: str, hosts: list[tuple[str, int]], rest: tuple[str, int, str]
) -> None:
    """Hosts, the sentinels' service, database and prefix; and what is printed has no secret."""
    location = Location.parse(url)
    assert (location.topology, list(location.hosts)) == (topology, hosts)
    assert (location.service, location.db, location.prefix) == rest
    assert "secret" not in f"{location} {location.server(*hosts[0])}"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://u:secret@host:port", "write the URL"),
        ("redis://u:secret@host:99999", "write the URL"),
        ("redis://u:secret@host/sessions", "write the URL"),
        ("redis://u:secret@host/0/1", "write the URL"),
        ("redis://u:secret@host/0?prefix", "write the URL"),
        ("redis://u:secret@a,b", "write the URL"),
        ("redis+elsewhere://u:secret@host", "write the URL"),
        ("redis+sentinel://u:secret@host", "write the URL"),
        ("redis+sentinel://u:secret@host/service/db", "write the URL"),
        ("redis+cluster://u:secret@host/1", "write the URL"),
        ("redis://u:secret@host?prefix=", "1 to 64 letters"),
        ("redis://u:secret@host?prefix={x}", "1 to 64 letters"),
        ("redis://u:secret@host?prefix=" + "x" * 65, "1 to 64 letters"),
        ("redis://u:secret@host?protocol=3", "not protocol"),
        ("redis://u:secret@host?db=3", "not db"),
        ("redis://u:secret@host?sentinel_password=secret", "not sentinel_password"),
    ],
)
def test_a_wrong_url_is_told_without_quoting_it(url: str, says: str) -> None:
    """A StoreError says what is wrong; the URL, which has a password in it, is not shown."""
    with pytest.raises(StoreError, match=says) as refused:
        RedisStore.from_url(url, Retention())
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_the_scheme_names_the_store(scheme: str) -> None:
    """`redis` and `rediss` URLs open this store."""
    assert isinstance(open_store(f"{scheme}://host", Retention()), RedisStore)


async def test_tls_is_spoken_and_verified(valkey: Valkey, prefix: str, tmp_path: Path) -> None:
    """With rediss:// the server has to show a certificate of a known authority."""
    certificate = make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with proxy_to(valkey.port, tls=context) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}/0?prefix={prefix}"
        new = new_session()
        async with node(f"{url}&ssl_ca_certs={certificate}") as (store, heard):
            heard.actors.add("alice")
            event = await opened(store, new)
            assert await heard.event() == event
        served = len(proxy.sent)
        async with node(url):
            pass
        assert len(proxy.sent) == served


def make_certificate(folder: Path) -> Path:
    """Make a key and a certificate for 127.0.0.1 that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    address = x509.IPAddress(ip_address("127.0.0.1"))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path
