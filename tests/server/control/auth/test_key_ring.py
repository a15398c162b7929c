"""
`control/key_ring.py`: which API keys are good, and what each may do.
"""

import hashlib
from pathlib import Path

import pytest

from keystay_server.control.auth.key_ring import MAX_KEYS, KeyRing, read_keys
from keystay_server.control.auth.rights import Right
from keystay_server.settings.errors import ConfigError

DIGEST = hashlib.sha256(b"shop-key").hexdigest()


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with `keystay.key`."""
    monkeypatch.delenv("KEYSTAY_API_KEY", raising=False)
    (tmp_path / "keystay.key").write_text("the-default-key\n")
    return tmp_path


def ring(directory: Path, text: str = "") -> KeyRing:
    """The keys with a file of this content."""
    file = directory / "keys.toml"
    file.write_text(text, encoding="utf-8")
    return KeyRing(lambda: read_keys(directory, str(file)))


def test_the_default_key_can_do_everything(directory: Path) -> None:
    """`KEYSTAY_API_KEY` or `keystay.key` is called `default` and has the scope `admin`."""
    key = ring(directory).find("the-default-key")
    assert key is not None
    assert (key.name, key.rights) == ("default", frozenset({Right.ADMIN}))


@pytest.mark.parametrize(
    "line", ['key = "shop-key"', f'sha256 = "{DIGEST}"', f'sha256 = "{DIGEST.upper()}"']
)
def test_a_key_is_given_as_it_is_or_as_its_digest(directory: Path, line: str) -> None:
    """Either way it is found by the key alone, and has the scopes of its table."""
    keys = ring(directory, f'[shop-2]\n{line}\nscopes = ["read", "events", "read"]\n')
    key = keys.find("shop-key")
    assert key is not None
    assert (key.name, key.rights) == ("shop-2", frozenset({Right.READ, Right.EVENTS}))
    assert keys.named("shop-2") == key
    assert (keys.name_of("shop-key"), keys.digest_of("shop-2")) == ("shop-2", key.digest)
    assert (keys.name_of("shop"), keys.digest_of("shop")) == (None, None)
    for wrong in (DIGEST, "shop", "", "shop-key ", "Ключ"):
        assert keys.find(wrong) is None


def test_a_short_key_is_served_with_a_warning(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names each when it is asked to and at each reload, and shows none."""
    table = '[{}]\n{} = "{}"\nscopes = ["read"]\n'
    text = table.format("shop", "key", "hunter2") + table.format("till", "key", "t" * 22)
    keys = ring(directory, text + table.format("digest", "sha256", DIGEST))
    assert keys.name_of("hunter2") == "shop"
    assert not caplog.records
    keys.warn_of_short()
    assert "the API key default may be guessed" in caplog.text
    assert len(caplog.records) == 2
    caplog.clear()
    (directory / "keystay.key").write_text("d" * 22)
    keys.reload()
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert warning.getMessage() == (
        "the API key shop may be guessed: it has fewer than 22 characters"
    )
    assert "hunter2" not in caplog.text


def test_no_key_is_in_what_is_printed(directory: Path) -> None:
    """Not even its digest."""
    shown = repr(ring(directory, f'[a]\nsha256 = "{DIGEST}"\nscopes = ["read"]').named("a"))
    assert DIGEST not in shown
    assert repr(bytes.fromhex(DIGEST)) not in shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[shop]", "either key, or sha256"),
        ('[shop]\nkey = "a"', "scopes must be a list of read, sessions, events, admin"),
        ('[shop]\nkey = "a"\nscopes = []', "scopes must be"),
        ('[shop]\nkey = "a"\nscopes = "read"', "scopes must be"),
        ('[shop]\nkey = "a"\nscopes = ["write"]', "scopes must be"),
        ('[shop]\nkey = "a"\nscopes = [1]', "scopes must be"),
        ('[shop]\nkey = "two words"\nscopes = ["read"]', "visible ASCII"),
        ('[shop]\nkey = ""\nscopes = ["read"]', "visible ASCII"),
        ('[shop]\nsha256 = "abc"\nscopes = ["read"]', "64 hexadecimal digits"),
        (f'[shop]\nkey = "a"\nsha256 = "{DIGEST}"\nscopes = ["read"]', "either key"),
        ('[shop]\nkey = "a"\nscope = ["read"]', "there is no scope"),
        ('[default]\nkey = "a"\nscopes = ["read"]', "not default"),
        ('["a b"]\nkey = "a"\nscopes = ["read"]', "a name is"),
        ("shop = 1", "must be a table"),
        ('[a]\nkey = "x"\nscopes = ["read"]\n[b]\nkey = "x"\nscopes = ["read"]', "same key"),
        ('[a]\nkey = "the-default-key"\nscopes = ["read"]', "same key as default"),
        ("[shop]\nkey", "not TOML (at "),
        ("[shop", "not TOML (at "),
        (
            "".join(f'[k{n}]\nkey = "{n}"\nscopes = ["read"]\n' for n in range(MAX_KEYS)),
            "there may be 255 keys",
        ),
    ],
)
def test_a_wrong_file_is_explained(directory: Path, text: str, words: str) -> None:
    """The error names the setting and what is wrong, on one line."""
    with pytest.raises(ConfigError) as caught:
        ring(directory, text)
    assert words in str(caught.value)
    assert "api_keys_file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_an_error(directory: Path) -> None:
    """It was named, so it is needed; and so is the default key."""
    with pytest.raises(ConfigError, match="api_keys_file: nowhere: No such file"):
        read_keys(directory, "nowhere")
    (directory / "keystay.key").unlink()
    with pytest.raises(ConfigError, match="KEYSTAY_API_KEY: is not set"):
        read_keys(directory, "")


def test_keys_stay_good_if_they_cannot_be_read_again(directory: Path) -> None:
    """A slip in the file locks nobody out; when it is mended, only what is new is news."""
    keys = ring(directory, '[shop]\nkey = "shop-key"\nscopes = ["read"]')
    assert keys.reload() is None
    (directory / "keys.toml").write_text('[shop]\nkey = "other\n')
    with pytest.raises(ConfigError, match="api_keys_file: ") as refused:
        keys.reload()
    assert "other" not in str(refused.value)
    assert keys.name_of("shop-key") == "shop"
    (directory / "keys.toml").write_text("")
    assert keys.reload() == "the API keys are default"
    assert keys.name_of("shop-key") is None
    assert keys.name_of("the-default-key") == "default"
