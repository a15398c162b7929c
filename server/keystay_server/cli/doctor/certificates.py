"""
The TLS certificates of both ports: are they usable, and for how long.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from keystay_server.cli.doctor.findings import Finding
from keystay_server.node.tls import Certificate
from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate as Issued

SOON_DAYS, URGENT_DAYS = 30, 7


def check_certificates(config: Config, now: datetime | None = None) -> list[Finding]:
    """Check each certificate that the settings name."""
    now = now or datetime.now(UTC)
    named = {
        "tls": (config.tls_cert, config.tls_key),
        "control_tls": (config.control_tls_cert, config.control_tls_key),
    }
    return [_check(port, cert, key, now) for port, (cert, key) in named.items() if cert]


def _check(port: str, cert: str, key: str, now: datetime) -> Finding:
    # Imported late: most settings need none of it.
    from cryptography import x509

    about = f"{port}_cert"
    try:
        chain = x509.load_pem_x509_certificates(Path(cert).read_bytes())
    except OSError as error:
        advice = f"name a file that the server can read in {about}"
        return Finding(about, "bad", f"{cert}: {error.strerror}", advice)
    except ValueError:
        advice = f"name a certificate chain in PEM in {about}"
        return Finding(about, "bad", f"{cert} contains no certificate", advice)
    try:
        Certificate(port, cert, key)
    except ConfigError as error:
        advice = f"the server would not start: name the private key of {cert} in {port}_key"
        return Finding(about, "bad", str(error), advice)
    return _validity(about, chain, now)


def _validity(about: str, chain: "list[Issued]", now: datetime) -> Finding:
    if now < chain[0].not_valid_before_utc:
        found = f"valid from {chain[0].not_valid_before_utc:%Y-%m-%d %H:%MZ} only"
        return Finding(about, "bad", found, "wait, or check the clock of this machine")
    # The chain ends with its first certificate to expire.
    end = min(certificate.not_valid_after_utc for certificate in chain)
    days = (end - now).total_seconds() / 86_400
    found = f"valid until {end:%Y-%m-%d %H:%MZ}"
    if days < URGENT_DAYS:
        when = "now: it is not valid any more" if days <= 0 else "now"
        return Finding(about, "bad", found, f"renew it {when}, and send the server SIGHUP")
    if days < SOON_DAYS:
        return Finding(about, "doubtful", found, "renew it soon, and send the server SIGHUP")
    return Finding(about, "good", found)
