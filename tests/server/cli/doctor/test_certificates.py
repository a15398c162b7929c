"""
`admin/doctor/certificates.py`: for how long a server's certificates are valid.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from keystay_server.cli.doctor.certificates import check_certificates
from keystay_server.settings.config import Config

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def certificate(folder: Path, *days: float, door: str = "tls") -> Config:
    """A server's settings with a chain of certificates that are valid for so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "game.example")])
    pem = b""
    for each in days:
        built = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(NOW - timedelta(days=100))
            .not_valid_after(NOW + timedelta(days=each))
            .sign(key, hashes.SHA256())
        )
        pem += built.public_bytes(Encoding.PEM)
    (folder / "cert.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    files = {f"{door}_{each}": str(folder / f"{each}.pem") for each in ("cert", "key")}
    return Config(**files)  # type: ignore[arg-type]


@pytest.mark.parametrize("door", ["tls", "control_tls"])
@pytest.mark.parametrize(
    ("days", "level", "advice"),
    [
        ((90,), "good", ""),
        ((20,), "doubtful", "renew it soon"),
        ((5,), "bad", "renew it now"),
        ((-1,), "bad", "it is not valid any more"),
        ((90, 3), "bad", "renew it now"),
    ],
)
def test_a_certificate_is_renewed_in_time(
    tmp_path: Path, door: str, days: tuple[float, ...], level: str, advice: str
) -> None:
    """A month before its end it is doubtful, a week before it bad; so are those above it."""
    [finding] = check_certificates(certificate(tmp_path, *days, door=door), NOW)
    assert (finding.about, finding.level) == (f"{door}_cert", level)
    assert advice in finding.advice


def test_a_certificate_of_tomorrow_is_none(tmp_path: Path) -> None:
    """A clock that is wrong shows here."""
    [finding] = check_certificates(certificate(tmp_path, 90), NOW - timedelta(days=101))
    assert (finding.level, "check the clock" in finding.advice) == ("bad", True)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    """One that is not there, and one with something else in it; none at all is fine."""
    config = Config(tls_cert=str(tmp_path / "cert.pem"), tls_key="key.pem")
    [missing] = check_certificates(config, NOW)
    assert missing.found.endswith("cert.pem: No such file or directory")
    (tmp_path / "cert.pem").write_text("hello")
    [wrong] = check_certificates(config, NOW)
    assert wrong.found.endswith("cert.pem contains no certificate")
    assert check_certificates(Config()) == []


def test_a_key_of_another_certificate_is_bad(tmp_path: Path) -> None:
    """So is one that is not there: the server would not start with either."""
    config = certificate(tmp_path, 90)
    other = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "key.pem").write_bytes(
        other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    [mixed] = check_certificates(config, NOW)
    (tmp_path / "key.pem").unlink()
    [gone] = check_certificates(config, NOW)
    for finding in (mixed, gone):
        assert finding.level == "bad"
        assert finding.found.startswith("tls_cert: cannot be loaded with tls_key: ")
        assert finding.advice.startswith("the server would not start")
