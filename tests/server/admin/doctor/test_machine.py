"""
`admin/doctor/machine.py`: this machine, and the files that the settings name.
"""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystay_server.admin.doctor.findings import Finding
from keystay_server.admin.doctor.machine import (
    SPARE_FILES,
    check_api_keys,
    check_database,
    check_files,
    check_key,
    check_key_file,
    check_open_files,
    check_settings,
)
from keystay_server.config import Config

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
    assert finding.advice.endswith(f"lower max_connections from 10000 to {2000 - SPARE_FILES}")
    assert check_open_files(Config()).level == "doubtful"
    resource.setrlimit(resource.RLIMIT_NOFILE, (5000, hard))
    assert check_open_files(Config(max_connections=3000)).level == "good"
    assert check_open_files(Config()).level == "good"


def test_no_number_of_connections_fits_into_too_few_files(
    limit_as_it_was: tuple[int, int],
) -> None:
    """Then only the limit can be changed: `max_connections = 0` would be no limit at all."""
    _, hard = limit_as_it_was
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    finding = check_open_files(Config(max_connections=5000))
    assert finding.level == "bad"
    assert finding.advice == f"raise it to {5000 + SPARE_FILES} (ulimit -n, LimitNOFILE)"


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
