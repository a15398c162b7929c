"""
`tls.py`: certificates are exchanged, and what cannot be used changes nothing.
"""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from keystay_server.node.tls import Certificate
from keystay_server.settings.errors import ConfigError
from tests.support.certificate import content_of, make_certificate


def client_side(
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, ciphers: str = "DEFAULT"
) -> ssl.SSLContext:
    """TLS as a client has it that looks at whatever it is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = newest
    context.set_ciphers(ciphers)
    return context


def handshake(
    server: ssl.SSLContext,
    client: ssl.SSLContext | None = None,
    session: ssl.SSLSession | None = None,
) -> ssl.SSLObject:
    """Complete the handshake of both sides in memory; return the client's."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = (client or client_side()).wrap_bio(to_client, to_server, session=session)
    waiting = [theirs, ours]
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    return theirs


def shown_by(certificate: Certificate, client: ssl.SSLContext | None = None) -> bytes | None:
    """The certificate that a new connection is shown."""
    return handshake(certificate.context, client).getpeercert(binary_form=True)


def loaded(directory: Path, *, is_rsa: bool = False) -> Certificate:
    """A certificate that was made here."""
    cert, key = make_certificate(directory, is_rsa=is_rsa)
    return Certificate("tls", str(cert), str(key))


def test_a_new_certificate_is_for_new_connections(tmp_path: Path) -> None:
    """It is shown from the moment on at which it was read, and only what is new is news."""
    certificate = loaded(tmp_path)
    assert certificate.reload() is None
    old = shown_by(certificate)
    cert, _ = make_certificate(tmp_path)
    assert shown_by(certificate) == old
    assert certificate.reload() == "new connections get the new certificate of tls_cert"
    assert shown_by(certificate) == content_of(cert) != old
    assert certificate.reload() is None


def test_of_a_key_of_another_kind_nothing_is_left(tmp_path: Path) -> None:
    """Who would take the old certificate rather than the new one is not shown it any more."""
    certificate = loaded(tmp_path, is_rsa=True)
    old_fashioned = client_side(ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-GCM-SHA256")
    assert shown_by(certificate, old_fashioned)
    cert, _ = make_certificate(tmp_path)
    certificate.reload()
    with pytest.raises(ssl.SSLError):
        shown_by(certificate, old_fashioned)
    assert shown_by(certificate) == content_of(cert)


def test_who_resumes_a_tls_session_gets_the_new_certificate(tmp_path: Path) -> None:
    """A ticket from before is good as long as the certificate is, and no longer."""
    certificate, client = loaded(tmp_path), client_side(ssl.TLSVersion.TLSv1_2)
    first = handshake(certificate.context, client)
    again = handshake(certificate.context, client, first.session)
    assert again.session_reused
    cert, _ = make_certificate(tmp_path)
    certificate.reload()
    resuming = handshake(certificate.context, client, first.session)
    assert not resuming.session_reused
    assert resuming.getpeercert(binary_form=True) == content_of(cert)


def mismatch(cert: Path, key: Path) -> None:
    """Exchange the certificate, and forget its key."""
    other = key.read_bytes()
    make_certificate(cert.parent)
    key.write_bytes(other)


def encrypt(key: Path) -> None:
    """Protect the key with a password."""
    plain = load_pem_private_key(key.read_bytes(), None)
    encryption = BestAvailableEncryption(b"hunter2")
    key.write_bytes(plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


UNUSABLE: dict[str, Callable[[Path, Path], object]] = {
    "the key of another certificate": mismatch,
    "no key": lambda _, key: key.unlink(),
    "half a key": lambda _, key: key.write_text(key.read_text()[:100]),
    "an encrypted key": lambda _, key: encrypt(key),
    "no certificate": lambda cert, _: cert.unlink(),
    "an empty certificate": lambda cert, _: cert.write_text(""),
}


@pytest.mark.parametrize("spoil", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("is_rsa", [False, True], ids=["EC", "RSA"])
def test_files_that_cannot_be_used_change_nothing(
    tmp_path: Path, spoil: Callable[[Path, Path], object], is_rsa: bool
) -> None:
    """The error names the setting on one line and quotes no key; the old pair is in force."""
    certificate = loaded(tmp_path, is_rsa=is_rsa)
    old = shown_by(certificate)
    spoil(*make_certificate(tmp_path))
    with pytest.raises(ConfigError, match=r"^tls_(cert|key): ") as refused:
        certificate.reload()
    assert "\n" not in str(refused.value)
    assert "PRIVATE" not in str(refused.value)
    assert shown_by(certificate) == old
    cert, _ = make_certificate(tmp_path)
    assert certificate.reload() is not None
    assert shown_by(certificate) == content_of(cert)
