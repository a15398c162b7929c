"""
`admin/doctor/machine.py`: this machine, and the files that the settings name.
"""

import base64
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystay_server.app import App
from keystay_server.cli.doctor.findings import Finding
from keystay_server.cli.doctor.machine import (
    SPARE_FILES,
    check_database,
    check_key_file,
    check_keys,
    check_open_files,
    check_secrets,
    check_settings,
)
from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError

LONG, DEFAULT = "k" * 40, "d" * 40


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
    """Other users that can read it can end every session."""
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
    [made] = check_keys(config, {})
    assert (made.level, made.found) == ("good", "keystay.key is created at the first start")
    assert check_keys(config, {"KEYSTAY_API_KEY": LONG})[0].level == "good"
    (tmp_path / "keystay.key").write_text("hunter2\n")
    for environment in ({}, {"KEYSTAY_API_KEY": "hunter2"}):
        [finding] = check_keys(config, environment)
        assert finding.level == "bad"
        assert "hunter2" not in str(finding)


def test_an_api_key_that_a_server_refuses_is_bad(tmp_path: Path) -> None:
    """With spaces in it, empty, or one that can be neither read nor made."""
    config = Config(store=f"sqlite:///{tmp_path}/k.db")
    [finding] = check_keys(config, {"KEYSTAY_API_KEY": "hunter2 " * 8})
    assert (finding.level, finding.advice[:26]) == ("bad", "the server would not start")
    assert finding.found.startswith("KEYSTAY_API_KEY: an API key is visible ASCII")
    assert "hunter2" not in str(finding)
    file = tmp_path / "keystay.key"
    file.touch()
    assert check_keys(config, {})[0].found.startswith(f"{file}: an API key is visible ASCII")
    file.unlink()
    file.mkdir()
    assert check_keys(config, {})[0].found == f"{file}: Is a directory"
    nowhere = Config(store=f"sqlite:///{tmp_path}/nowhere/k.db")
    [finding] = check_keys(nowhere, {})
    found = f"keystay.key cannot be created in {tmp_path}/nowhere"
    assert (finding.level, finding.found) == ("bad", found)


@pytest.mark.parametrize(
    ("text", "level", "found"),
    [
        (f'[shop]\nkey = "{LONG}"\nscopes = ["read"]', "good", "FILE are long enough"),
        (f'[shop]\nsha256 = "{"0" * 64}"\nscopes = ["read"]', "good", "FILE are long enough"),
        ('[shop]\nkey = "hunter2"\nscopes = ["read"]', "bad", "[shop]: fewer than 22 char"),
        ('[shop]\nkey = "hunter2"', "bad", "[shop]: scopes must be a list of"),
        ("[shop]\nkey = 'hunter2", "bad", "FILE: not TOML"),
        (f'[shop]\nkey = "{DEFAULT}"\nscopes = ["read"]', "bad", "[shop] is the same key as"),
        (None, "bad", "FILE: No such file"),
    ],
)
def test_more_api_keys_are_looked_at(
    tmp_path: Path, text: str | None, level: str, found: str
) -> None:
    """A file that a server could not use is bad, and so is a short key; none is shown."""
    path = tmp_path / "keys.toml"
    if text is not None:
        path.write_text(text)
    config = Config(api_keys_file=str(path))
    default, finding = check_keys(config, {"KEYSTAY_API_KEY": DEFAULT})
    assert default.level == "good"
    assert (finding.about, finding.level) == ("api_keys_file", level)
    assert found.replace("FILE", str(path)) in finding.found
    assert bool(finding.advice) is (level == "bad")
    assert "hunter2" not in str(finding)
    assert DEFAULT not in str(finding)


def test_a_short_default_key_is_reported_once(tmp_path: Path) -> None:
    """The file with more keys is not to blame for it."""
    path = tmp_path / "keys.toml"
    path.write_text(f'[shop]\nkey = "{LONG}"\nscopes = ["read"]')
    found = check_keys(Config(api_keys_file=str(path)), {"KEYSTAY_API_KEY": "hunter2"})
    assert [finding.level for finding in found] == ["bad", "good"]


@pytest.mark.parametrize(
    "content", [None, b"", b"notasecret", b"whsec_c2hvcnQ=\n", b"-----BEGIN A\n", b"\xff"]
)
def test_a_secret_that_a_server_refuses_is_bad(tmp_path: Path, content: bytes | None) -> None:
    """An invalid file is reported with the text of `keystay serve`."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    config = Config(
        store="memory://",
        jwt_key_file=str(path),
        webhook_url="http://h/",
        webhook_secret_file=str(path),
    )
    only: dict[str, dict[str, Any]] = {
        "jwt_key_file": {"webhook_url": ""},
        "webhook_secret_file": {"jwt_key_file": ""},
    }
    for finding, about in zip(check_secrets(config), only, strict=True):
        assert (finding.about, finding.level) == (about, "bad")
        with pytest.raises(ConfigError) as refused:
            App(replace(config, **only[about]))
        assert str(refused.value) == f"{about}: {finding.found}"


def test_secrets_that_a_server_takes_are_good(tmp_path: Path) -> None:
    """Those that it has no use for it does not read."""
    jwt, webhook = tmp_path / "jwt.key", tmp_path / "webhook"
    jwt.write_text(LONG)
    webhook.write_text(f"whsec_{base64.b64encode(bytes(32)).decode()}\n")
    config = Config(
        jwt_key_file=str(jwt), webhook_url="http://h/", webhook_secret_file=str(webhook)
    )
    assert [finding.level for finding in check_secrets(config)] == ["good", "good"]
    assert check_secrets(Config(webhook_secret_file="gone")) == []


def test_what_is_allowed_may_not_be_meant() -> None:
    """Development, pages of any host, clear text."""
    assert check_settings(Config()) == []
    config = Config(dev=True, origins=("*",), control_insecure=True)
    levels = {finding.about: finding.level for finding in check_settings(config)}
    assert levels == {"dev": "bad", "origins": "doubtful", "control_insecure": "doubtful"}


def test_a_database_needs_a_directory_and_room(tmp_path: Path) -> None:
    """A missing directory is reported with the command that creates it."""
    fine = check_database(Config(store=f"sqlite:///{tmp_path}/k.db"))
    assert [finding.level for finding in fine] == ["good", "good"]
    [missing] = check_database(Config(store=f"sqlite:///{tmp_path}/data/k.db"))
    assert (missing.level, missing.advice) == ("bad", f"mkdir -p {tmp_path}/data")
    [memory] = check_database(Config(store="memory://"))
    assert memory.level == "doubtful"
