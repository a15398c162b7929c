"""
`control/api_key.py`: where the API key comes from.
"""

import secrets
import stat
from pathlib import Path

import pytest

from keystay_server.control.auth.api_key import (
    directory_beside,
    is_short,
    read_api_key,
    read_or_make_api_key,
)
from keystay_server.settings.errors import ConfigError
from tests.support.server_process import serving


def test_the_variable_comes_first(tmp_path: Path) -> None:
    """`KEYSTAY_API_KEY` is the key, whatever the file says; no file is made then."""
    environment = {"KEYSTAY_API_KEY": "from-the-environment"}
    assert read_or_make_api_key(tmp_path, environment) == "from-the-environment"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("environment", [{}, {"KEYSTAY_API_KEY": ""}])
def test_a_key_is_made_once(tmp_path: Path, environment: dict[str, str]) -> None:
    """Without the variable, or with an empty one, the first start makes a key that stays."""
    assert read_api_key(tmp_path, environment) is None
    key = read_or_make_api_key(tmp_path, environment)
    assert key.startswith("ksa_")
    assert len(key) > 40
    assert read_or_make_api_key(tmp_path, environment) == key
    assert read_api_key(tmp_path, environment) == key


def test_the_file_is_its_owners(tmp_path: Path) -> None:
    """Only its owner can read the file."""
    read_or_make_api_key(tmp_path, {})
    assert stat.S_IMODE((tmp_path / "keystay.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("key", ["two words", "Schlüssel", "line\nbreak", " "])
def test_a_key_fits_into_a_header(tmp_path: Path, key: str) -> None:
    """A key that cannot be sent as it is, is a configuration error that does not quote it."""
    with pytest.raises(
        ConfigError, match="KEYSTAY_API_KEY: an API key is visible ASCII"
    ) as caught:
        read_api_key(tmp_path, {"KEYSTAY_API_KEY": key})
    assert key.strip() == "" or key not in str(caught.value)


def test_a_key_of_128_bits_is_not_short(tmp_path: Path) -> None:
    """In base64url, in hexadecimal, or as a server makes it; what is shorter has fewer."""
    made = read_or_make_api_key(tmp_path, {})
    for key in (secrets.token_urlsafe(16), secrets.token_hex(16), made):
        assert not is_short(key)
    assert is_short(secrets.token_urlsafe(15))


def test_an_empty_file_is_no_key(tmp_path: Path) -> None:
    """An empty file is an error: an empty key would let in everybody who knows that."""
    (tmp_path / "keystay.key").touch()
    with pytest.raises(ConfigError, match=r"keystay\.key: an API key is"):
        read_or_make_api_key(tmp_path, {})


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Where no file can be created, the error names the variable."""
    with pytest.raises(ConfigError, match=r"KEYSTAY_API_KEY: is not set, and .* cannot"):
        read_or_make_api_key(tmp_path / "nowhere", {})


@pytest.mark.parametrize(
    ("store", "directory"),
    [
        ("sqlite:///keystay.db", "."),
        ("sqlite:///data/keystay.db", "data"),
        ("sqlite:////var/lib/keystay.db", "/var/lib"),
        ("memory://", "."),
        ("redis://host:6379/0", "."),
    ],
)
def test_the_file_is_beside_the_database(store: str, directory: str) -> None:
    """The file is where the SQLite file is, and else in the working directory."""
    assert directory_beside(store) == Path(directory)


async def test_a_server_makes_its_key_at_its_first_start(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The server makes the file beside its database, and neither prints nor logs the key."""
    store = f"sqlite:///{tmp_path}/keystay.db"
    async with serving(
        "--store", store, "--log-level", "debug", env={"KEYSTAY_API_KEY": ""}
    ) as server:
        key = read_api_key(tmp_path, {})
        await server.terminate()
    assert key is not None
    assert key not in capfd.readouterr().err + str(server.ready)
