"""Webhooks, as the endpoint that gets them sees them."""

import base64
import hashlib
import hmac
import json
import math
import time
from typing import Any

import pytest

import keystay
from tests.client_py.control.test_events import SET, UNSET

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
BODY = json.dumps(
    {"events": [{"type": "session.set", **SET}, {"type": "session.unset", **UNSET}]}
).encode()


def signature(key: bytes, id_: str, sent_at: str, body: bytes) -> str:
    """As Standard Webhooks 1.0 has it, written down a second time."""
    content = f"{id_}.{sent_at}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def signed(body: bytes = BODY, *, age_s: float = 0, key: bytes = KEY) -> dict[str, str]:
    sent_at = str(int(time.time() - age_s))
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": sent_at,
        "webhook-signature": signature(key, "msg_1", sent_at, body),
    }


def test_what_is_signed_is_told() -> None:
    """The events come typed, in order, without a position."""
    first, second = keystay.verify_webhook(signed(), BODY, SECRET)
    assert isinstance(first, keystay.SessionSet)
    assert (first.actor_id, first.cursor, first.position) == ("alice", 7, None)
    assert isinstance(second, keystay.SessionUnset)
    assert (second.id, second.reason) == ("YQ.1", "banned")


def test_the_vector_of_the_standard() -> None:
    """The example of the reference implementations is accepted, but for what it says."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    with pytest.raises(keystay.InvalidWebhook, match="its content is unknown"):
        keystay.verify_webhook(
            headers,
            b'{"test": 2432232314}',
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            tolerance_s=math.inf,
        )


def test_headers_in_any_case() -> None:
    """Frameworks spell them as they like."""
    for change in (str.upper, str.title):
        headers = {change(name): value for name, value in signed().items()}
        assert len(keystay.verify_webhook(headers, BODY, SECRET)) == 2


def test_several_signatures() -> None:
    """While a secret is replaced, one of them being right is enough; other versions are not."""
    headers = signed()
    right = headers["webhook-signature"]
    old = signed(key=b"old")["webhook-signature"]
    headers["webhook-signature"] = f"v1a,xyz {old} {right}"
    assert len(keystay.verify_webhook(headers, BODY, SECRET)) == 2
    headers["webhook-signature"] = right.replace("v1,", "v2,")
    with pytest.raises(keystay.InvalidWebhook):
        keystay.verify_webhook(headers, BODY, SECRET)


def test_several_secrets() -> None:
    """A receiver that is given the old and the new one takes what either has signed."""
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    for secrets in ([SECRET, other], (other, SECRET), [SECRET]):
        assert len(keystay.verify_webhook(signed(), BODY, secrets)) == 2
    with pytest.raises(keystay.InvalidWebhook):
        keystay.verify_webhook(signed(key=b"y" * 32), BODY, [SECRET, other])
    with pytest.raises(ValueError, match="whsec_"):
        keystay.verify_webhook(signed(), BODY, [SECRET, "kst_secret"])
    with pytest.raises(ValueError, match="no secret"):
        keystay.verify_webhook(signed(), BODY, [])


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_is_missing_is_named(name: str) -> None:
    """Whoever sets this up sees what a proxy has dropped."""
    headers = signed()
    del headers[name]
    with pytest.raises(keystay.InvalidWebhook, match=name):
        keystay.verify_webhook(headers, BODY, SECRET)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", "msg_2"),
        ("webhook-timestamp", "1"),
        ("webhook-timestamp", ""),
        ("webhook-signature", ""),
        ("webhook-signature", "v1,"),
        ("webhook-signature", "v1,\N{SNOWMAN}\udcff"),
    ],
)
def test_what_was_touched_is_refused(name: str, value: str) -> None:
    """Everything is under the signature."""
    with pytest.raises(keystay.InvalidWebhook):
        keystay.verify_webhook({**signed(), name: value}, BODY, SECRET)


def test_another_body_or_secret() -> None:
    """Nothing that somebody else signed is believed."""
    with pytest.raises(keystay.InvalidWebhook):
        keystay.verify_webhook(signed(), BODY + b" ", SECRET)
    with pytest.raises(keystay.InvalidWebhook):
        keystay.verify_webhook(signed(key=b"x" * 32), BODY, SECRET)


@pytest.mark.parametrize("age_s", [310, -310])
def test_an_old_message_is_refused(age_s: float) -> None:
    """What was recorded cannot be played again for more than five minutes."""
    with pytest.raises(keystay.InvalidWebhook, match="too long ago"):
        keystay.verify_webhook(signed(age_s=age_s), BODY, SECRET)
    assert keystay.verify_webhook(signed(age_s=age_s * 0.9), BODY, SECRET)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!", "kst_secret"])
def test_a_secret_that_is_none(secret: str) -> None:
    """A missing setting is not an empty secret, and is not quoted."""
    with pytest.raises(ValueError, match="whsec_") as caught:
        keystay.verify_webhook(signed(key=b"x"), BODY, secret)
    assert "kst_" not in str(caught.value)


def test_events_that_are_missing() -> None:
    """A server whose history was too short says so, in their place."""
    body = json.dumps({"events": [{"type": "feed.lost"}]}).encode()
    assert keystay.verify_webhook(signed(body), body, SECRET) == [keystay.FeedLost()]


def test_an_event_of_a_later_version_is_passed_over() -> None:
    """What is not known yet stops nobody."""
    body = json.dumps({"events": [{"type": "session.moved"}, {"type": "session.set", **SET}]})
    assert len(keystay.verify_webhook(signed(body.encode()), body.encode(), SECRET)) == 1


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"\xff", {"events": 7}, {"events": [7]}, {"events": [{}]}]
)
def test_what_is_signed_and_makes_no_sense(body: Any) -> None:
    """It is an `InvalidWebhook` too, never another exception."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(keystay.InvalidWebhook):
        keystay.verify_webhook(signed(sent), sent, SECRET)
