"""
How webhooks are signed.
"""

import base64
from pathlib import Path

import pytest

from keystay_server.signing import Signer


def test_the_signature_is_that_of_the_standard() -> None:
    """The example of standardwebhooks.com, as its own libraries sign it."""
    signer = Signer(base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    body = b'{"test": 2432232314}'
    headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert headers == {
        "content-type": "application/json",
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    """`whsec_` and base64, as it is generated; what surrounds it does not matter."""
    file = tmp_path / "secret"
    file.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    signed = Signer.from_file(file).headers("msg_1", 1, b"")
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert signed == Signer(secret).headers("msg_1", 1, b"")


@pytest.mark.parametrize(
    "text",
    ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_c2hvcnQ=", "whsec_no base64!"],
)
def test_what_is_no_secret_is_refused(tmp_path: Path, text: str) -> None:
    """Without a word of what is in the file."""
    file = tmp_path / "secret"
    file.write_text(text)
    with pytest.raises(ValueError, match="must be whsec_ and base64 of") as refused:
        Signer.from_file(file)
    assert not text.removeprefix("whsec_") or text not in str(refused.value)


def test_a_secret_is_not_shown() -> None:
    """Not even by a traceback that shows its variables."""
    assert repr(Signer(b"x" * 32)) == "Signer()"
