"""
How webhooks are signed, and what with.
"""

import base64
from pathlib import Path

import pytest

from keystay_server.feed.signing import Signer, read_secrets
from keystay_server.settings.errors import ConfigError

# The example of standardwebhooks.com, as its own libraries sign it.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = "whsec_" + base64.b64encode(b"x" * 32).decode()


def signer(file: Path, text: str) -> Signer:
    """What signs with the secrets of a file with this content."""
    file.write_text(text)
    return Signer(lambda: read_secrets(str(file)))


def headers(signer: Signer) -> dict[str, str]:
    """How the example is signed."""
    body = b'{"test": 2432232314}'
    return signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)


def test_the_signature_is_that_of_the_standard(tmp_path: Path) -> None:
    """With one secret there is one; what surrounds it in the file does not matter."""
    assert headers(signer(tmp_path / "secret", f"{SECRET}\n\n")) == {
        "content-type": "application/json",
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_with_several_secrets_there_is_a_signature_of_each(tmp_path: Path) -> None:
    """In the order of the file, with a space between, as the standard has it."""
    both = signer(tmp_path / "secret", f"{SECRET}\n{OTHER}\n")
    first, second = headers(both)["webhook-signature"].split(" ")
    assert first == SIGNATURE
    assert second == headers(signer(tmp_path / "other", OTHER))["webhook-signature"]


def test_secrets_are_exchanged(tmp_path: Path) -> None:
    """What is signed after they were read again has the signatures of the new ones."""
    file = tmp_path / "secret"
    signing = signer(file, OTHER)
    assert signing.reload() is None
    file.write_text(f"{OTHER}\n{SECRET}")
    assert signing.reload() == "webhooks are signed with 2 secrets"
    assert SIGNATURE in headers(signing)["webhook-signature"].split(" ")
    file.write_text(SECRET)
    assert signing.reload() == "webhooks are signed with 1 secret"
    assert headers(signing)["webhook-signature"] == SIGNATURE


def test_secrets_that_cannot_be_read_change_nothing(tmp_path: Path) -> None:
    """One that is none, or no file: the old secrets stay in use, all of them."""
    file = tmp_path / "secret"
    signing = signer(file, SECRET)
    file.write_text(f"{OTHER}\nwhsec_")
    with pytest.raises(ConfigError):
        signing.reload()
    file.unlink()
    with pytest.raises(ConfigError, match=r"^webhook_secret_file: .*: No such file"):
        signing.reload()
    assert headers(signing)["webhook-signature"] == SIGNATURE


@pytest.mark.parametrize(
    "text",
    [
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_no+base64!",
        f"{SECRET}\nwhsec_c2hvcnQ=",
        "\ufffd" * 32,
    ],
)
def test_what_is_no_secret_is_refused(tmp_path: Path, text: str) -> None:
    """Without a word of what is in the file."""
    with pytest.raises(
        ConfigError, match=r"^webhook_secret_file: .* a secret is whsec_ and base64 of"
    ) as refused:
        signer(tmp_path / "file", text)
    for word in text.split():
        assert word == "whsec_" or word not in str(refused.value)


@pytest.mark.parametrize("number", [0, 5])
def test_there_are_one_to_four_secrets(tmp_path: Path, number: int) -> None:
    """None would sign nothing, and each is a signature more in every request."""
    with pytest.raises(
        ConfigError, match=r"^webhook_secret_file: .* must have one secret, or up"
    ):
        signer(tmp_path / "file", f"{SECRET}\n" * number)


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    """Not even by a traceback that shows its variables."""
    assert repr(signer(tmp_path / "secret", SECRET)) == "Signer()"
