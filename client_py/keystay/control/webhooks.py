"""
Webhooks, as the endpoint that gets them sees them (Standard Webhooks 1.0).

No I/O, and nothing but the standard library.
"""

import hashlib
import hmac
import json
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence

from keystay.control.events import FeedEvent, read_event
from keystay.errors import InvalidWebhook
from keystay_protocol.errors import MalformedFrame

TOLERANCE_S = 300.0
"""How old a message may be, or how far ahead the sender's clock."""

_SECRET_PREFIX = "whsec_"  # noqa: S105  # What every secret starts with, not one.
_VERSION = "v1,"


def verify_webhook(
    headers: Mapping[str, str],
    body: bytes,
    secret: str | Sequence[str],
    *,
    tolerance_s: float = TOLERANCE_S,
) -> list[FeedEvent]:
    """
    Return the events of a webhook that the server sent just now.

    They come at least once, in the order of each actor: one whose `cursor` is not
    greater than the last of its `actor_id` was told before. `FeedLost` is among them
    where events are missing.

    Args:
        headers: The headers of the request, in any case.
        body: The body as it came, before anything parsed it.
        secret: What the server signs with, `whsec_` and base64; or several, while one is
            exchanged for another: each is good.

    Raises:
        InvalidWebhook: If it was not signed with a secret, or too long ago.
        ValueError: If a secret is none, or none is given. Its text does not quote it.
    """
    keys = _keys([secret] if isinstance(secret, str) else secret)
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        id_ = lowered["webhook-id"]
        sent_at = lowered["webhook-timestamp"]
        signatures = lowered["webhook-signature"]
    except KeyError as error:
        raise InvalidWebhook(f"the header {error.args[0]} is missing") from None
    content = b"%b.%b.%b" % (_bytes(id_), _bytes(sent_at), body)
    if not _is_signed(keys, content, signatures):
        raise InvalidWebhook("no signature is that of a secret known here")
    if not (sent_at.isascii() and sent_at.isdigit() and _is_near(int(sent_at), tolerance_s)):
        raise InvalidWebhook("it was signed too long ago, or the clocks differ")
    return _read(body)


def _keys(secrets: Sequence[str]) -> list[bytes]:
    if not secrets:
        raise ValueError("there is no secret to verify a webhook with")
    return [_key(secret) for secret in secrets]


def _key(secret: str) -> bytes:
    try:
        key = b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError(f"the secret of a webhook is {_SECRET_PREFIX} and base64") from None
    return key


def _is_signed(keys: Sequence[bytes], content: bytes, signatures: str) -> bool:
    expected = [b64encode(hmac.digest(key, content, hashlib.sha256)) for key in keys]
    # Several, while a secret is exchanged. All are compared, each in constant time.
    matching = [
        hmac.compare_digest(_bytes(signature.removeprefix(_VERSION)), each)
        for signature in signatures.split(" ")
        if signature.startswith(_VERSION)
        for each in expected
    ]
    return any(matching)


def _bytes(header: str) -> bytes:
    # Some frameworks decode what is no UTF-8 into lone surrogates.
    return header.encode(errors="replace")


def _is_near(sent_at: int, tolerance_s: float) -> bool:
    return abs(time.time() - sent_at) <= tolerance_s


def _read(body: bytes) -> list[FeedEvent]:
    try:
        events = json.loads(body)["events"]
        read = [read_event(event["type"], event) for event in events]
    except (ValueError, KeyError, TypeError, RecursionError, MalformedFrame):
        raise InvalidWebhook("it is signed, but not in a form known here") from None
    return [event for event in read if event is not None]
