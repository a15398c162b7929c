"""
`admin/doctor/machine.py`: this machine, and the files that the settings name.
"""

import resource
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keystay_server.admin.doctor.findings import Finding
from keystay_server.admin.doctor.machine import (
    SPARE_FILES,
    check_api_keys,
    check_certificate,
    check_database,
    check_files,
    check_key,
    check_key_file,
    check_open_files,
    check_settings,
)
from keystay_server.config import Config

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LONG = "k" * 40


@pytest.fixture
def limit_as_it_was() -> Iterator[tuple[int, int]]:
    """Give the test run its own limit back."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_as_many_files_may_be_open_as_connections(limit_as_it_was: tuple[int, int]) -> None:
    """Too few for the connections that are allowed is bad; few without a limit, doubtful."""
    _, hard = limit_as_it_was
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, hard))
    finding = check_open_files(Config(max_connections=10_000))
    assert (finding.level, finding.found) == ("bad", "at most 2000")
    assert f"raise it to {10_000 + SPARE_FILES}" in finding.advice
    assert check_open_files(Config()).level == "doubtful"
    resource.setrlimit(resource.RLIMIT_NOFILE, (5000, hard))
    assert check_open_files(Config(max_connections=3000)).level == "good"
    assert check_open_files(Config()).level == "good"


def certificate(folder: Path, *days: float) -> Config:
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
        pem += built.public_bytes(serialization.Encoding.PEM)
    (folder / "cert.pem").write_bytes(pem)
    return Config(tls_cert=str(folder / "cert.pem"), tls_key="key.pem")


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
    tmp_path: Path, days: tuple[float, ...], level: str, advice: str
) -> None:
    """A month before its end it is doubtful, a week before it bad; so are those above it."""
    finding = check_certificate(certificate(tmp_path, *days), NOW)
    assert finding is not None
    assert finding.level == level
    assert advice in finding.advice


def test_a_certificate_of_tomorrow_is_none(tmp_path: Path) -> None:
    """A clock that is wrong shows here."""
    finding = check_certificate(certificate(tmp_path, 90), NOW - timedelta(days=101))
    assert finding is not None
    assert (finding.level, "look at the clock" in finding.advice) == ("bad", True)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    """One that is not there, and one with something else in it; none at all is fine."""
    config = Config(tls_cert=str(tmp_path / "cert.pem"), tls_key="key.pem")
    missing = check_certificate(config, NOW)
    assert missing is not None
    assert missing.found.endswith("cert.pem: No such file or directory")
    (tmp_path / "cert.pem").write_text("hello")
    wrong = check_certificate(config, NOW)
    assert wrong is not None
    assert wrong.found.endswith("cert.pem has none")
    assert check_certificate(Config()) is None


def test_the_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Whoever else may read it can end every session."""
    config, path = Config(store=f"sqlite:///{tmp_path}/k.db"), tmp_path / "keystay.key"
    assert check_key_file(config) is None
    path.write_text(LONG)
    path.chmod(0o600)
    assert check_key_file(config) == Finding("API key file", "good", f"{path} has mode 0600")
    path.chmod(0o640)
    finding = check_key_file(config)
    assert finding is not None
    assert finding.level == "bad"
    assert finding.advice.startswith(f"chmod 600 {path}")


def test_a_short_api_key_is_bad(tmp_path: Path) -> None:
    """Wherever it is; it is never shown."""
    config = Config(store=f"sqlite:///{tmp_path}/k.db")
    assert check_key(config, {}).found == "keystay.key is made at the first start"
    assert check_key(config, {"KEYSTAY_API_KEY": LONG}).level == "good"
    (tmp_path / "keystay.key").write_text("hunter2\n")
    for environment in ({}, {"KEYSTAY_API_KEY": "hunter2"}):
        finding = check_key(config, environment)
        assert finding.level == "bad"
        assert "hunter2" not in str(finding)


@pytest.mark.parametrize(
    ("text", "level", "found"),
    [
        (f'[shop]\nkey = "{LONG}"\nscopes = ["read"]', "good", "FILE are long enough"),
        (f'[shop]\nsha256 = "{"0" * 64}"\nscopes = ["read"]', "good", "FILE are long enough"),
        ('[shop]\nkey = "hunter2"\nscopes = ["read"]', "bad", "[shop]: fewer than 22 char"),
        ('[shop]\nkey = "hunter2"', "bad", "[shop]: scopes must be a list of"),
        ("[shop]\nkey = 'hunter2", "bad", "FILE: not TOML"),
        (None, "bad", "FILE: No such file"),
    ],
)
def test_more_api_keys_are_looked_at(
    tmp_path: Path, text: str | None, level: str, found: str
) -> None:
    """A file that a server could not read is bad, and so is a short key; none is shown."""
    path = tmp_path / "keys.toml"
    if text is not None:
        path.write_text(text)
    finding = check_api_keys(Config(api_keys_file=str(path)))
    assert finding is not None
    assert (finding.about, finding.level) == ("api_keys_file", level)
    assert found.replace("FILE", str(path)) in finding.found
    assert bool(finding.advice) is (level == "bad")
    assert "hunter2" not in str(finding)
    assert check_api_keys(Config()) is None


def test_files_that_settings_name_can_be_read(tmp_path: Path) -> None:
    """One that is not there keeps the server from starting."""
    there = tmp_path / "jwt.key"
    there.write_text("secret")
    gone = str(tmp_path / "gone")
    config = Config(jwt_key_file=str(there), webhook_secret_file=gone)
    good, bad = check_files(config)
    assert (good.about, good.level) == ("jwt_key_file", "good")
    assert (bad.about, bad.level) == ("webhook_secret_file", "bad")
    assert gone in bad.found
    assert check_files(Config()) == []


def test_what_is_allowed_may_not_be_meant() -> None:
    """Development, pages of any host, clear text."""
    assert check_settings(Config()) == []
    config = Config(dev=True, origins=("*",), control_insecure=True)
    levels = {finding.about: finding.level for finding in check_settings(config)}
    assert levels == {"dev": "bad", "origins": "doubtful", "control_insecure": "doubtful"}


def test_a_database_needs_a_directory_and_room(tmp_path: Path) -> None:
    """What is missing is told with the command that makes it."""
    fine = check_database(Config(store=f"sqlite:///{tmp_path}/k.db"))
    assert [finding.level for finding in fine] == ["good", "good"]
    [missing] = check_database(Config(store=f"sqlite:///{tmp_path}/data/k.db"))
    assert (missing.level, missing.advice) == ("bad", f"mkdir -p {tmp_path}/data")
    [memory] = check_database(Config(store="memory://"))
    assert memory.level == "doubtful"
